"""Looks that are kept: which face they are of, mirrored or not, and that the key alone decides."""

from io import BytesIO
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from data_pipelines.augment import Amounts
from data_pipelines.frozen_sets import AT_ONCE, NUMBERS, Eyes, FrozenSets, frozen_sets
from data_pipelines.kept_looks import Origin, gathered, load_sets, origin_of, save_sets
from emoca_jax.capture.detect import detect_largest, load_networks
from emoca_jax.emotion.landmark_units import load_unit_reader
from emoca_jax.emotion.units import ARKIT_UNITS, MIRRORED
from emoca_jax.errors import InputError
from emoca_jax.flame import load_head
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.nets.emotion.open import load_expression_networks

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"

FACES = AT_ONCE + 1


class Faces:
    """One photo again and again, every time with other labels."""

    def __init__(self) -> None:
        self.columns: dict[str, np.ndarray] = {}
        picture = Image.open(ASTRONAUT).convert("RGB").crop((150, 0, 300, 150)).resize((144, 144))
        file = BytesIO()
        picture.save(file, "PNG")
        found = detect_largest(load_networks(), np.asarray(picture))
        assert found is not None
        self.sample = {"image": file.getvalue(), "points": found.landmarks - [0.5, 0.5, 0.0]}

    def __len__(self) -> int:
        return FACES

    def __getitem__(self, index: int) -> dict:
        units = np.random.default_rng(index).random(52)
        return {**self.sample, "units": units, "expression": index % 8, "valence": 0.01 * index, "arousal": -0.01}


@pytest.mark.slow
def test_looks_are_of_their_faces_and_come_again():
    faces, eyes = Faces(), Eyes(load_expression_networks(), load_networks()["mesh"], load_unit_reader())
    judges = frozen_sets(faces, eyes, jax.random.key(0), amounts=None)
    order = [load_head("open").expression_names.index(name) for name in ARKIT_UNITS]
    true = np.stack([faces[row]["units"] for row in range(FACES)])[:, order]
    np.testing.assert_allclose(judges.units, np.concatenate([true, true[:, MIRRORED]]), atol=1e-6)
    assert judges.expression.tolist() == 2 * [row % 8 for row in range(FACES)]
    np.testing.assert_allclose(judges.affect[FACES:, 0], 0.01 * np.arange(FACES), atol=1e-6)
    assert judges.points.shape == (2 * FACES, 146, 3)
    outer = [EXPRESSION_POINTS.index(corner) for corner in (33, 263)]
    plain, turned = judges.points[:FACES, outer, 0], judges.points[FACES:, outer, 0]
    np.testing.assert_allclose(plain, 192 - turned[:, ::-1], atol=3)
    assert (np.abs(plain - turned).max(1) > 1e-3).all(), "which eye is higher tells them apart"
    smile = ARKIT_UNITS.index("mouthSmileLeft")
    assert judges.read[:, smile].min() > 0.3, "seen in every look, mirrored or not"
    np.testing.assert_allclose(judges.read[:FACES].mean(0), judges.read[FACES:, MIRRORED].mean(0), atol=0.1)
    first, again, other = (frozen_sets(faces, eyes, jax.random.key(seed), amounts=Amounts()) for seed in (1, 1, 2))
    assert (first.maps == again.maps).all() and (first.maps != other.maps).any(axis=1).all()
    flipped = np.abs(first.units - true[:, MIRRORED]).max(1) < 1e-6
    assert 0 < flipped.sum() < FACES, "half of them, by chance"
    np.testing.assert_allclose(first.units[~flipped], true[~flipped], atol=1e-6)


ORIGIN = Origin(seed=3, turn=1, faces=4, data="ab")


@pytest.fixture
def kept(tmp_path):
    """A folder with looks that are none, and these."""
    random, count = np.random.default_rng(0), ORIGIN.faces
    maps, read, units, affect = (random.random((count, size)).astype(np.float32) for size in (NUMBERS, 52, 52, 2))
    points = random.random((count, 146, 3)).astype(np.float32)
    sets = FrozenSets(maps.astype(np.float16), read, points, units, np.arange(count, dtype=np.int32), affect)
    save_sets(tmp_path, "turn1", sets, ORIGIN)
    return tmp_path, sets


def test_kept_looks_come_back_as_they_were(kept):
    folder, sets = kept
    assert sorted(path.name for path in folder.iterdir()) == ["turn1.npz", "turn1_maps.npy"]
    for part, back in zip(sets, load_sets(folder, "turn1", ORIGIN) or (), strict=True):
        assert back.dtype == part.dtype
        np.testing.assert_array_equal(back, part)


@pytest.mark.parametrize("name", ["turn1.npz", "turn1_maps.npy"])
def test_half_a_set_is_none_and_a_cut_file_is_refused(kept, name):
    folder, _ = kept
    data = (folder / name).read_bytes()
    for size in (0, 60, len(data) // 2, len(data) - 1):
        (folder / name).write_bytes(data[:size])
        with pytest.raises(InputError, match=r"turn1\.npz: .* is not whole; remove it"):
            load_sets(folder, "turn1", ORIGIN)
    (folder / name).unlink()
    assert load_sets(folder, "turn1", ORIGIN) is None


@pytest.mark.parametrize("other", [{"seed": 4}, {"turn": 2}, {"faces": 5}, {"data": "cd"}], ids=str)
def test_looks_of_something_else_are_refused(kept, other):
    expected = ORIGIN._replace(**other)
    with pytest.raises(
        InputError, match=f"turn1.npz: has looks of {ORIGIN}; expected are looks of {expected}; remove it"
    ):
        load_sets(kept[0], "turn1", expected)


def test_looks_without_points_are_of_an_earlier_version(kept):
    folder, _ = kept
    others = dict(np.load(folder / "turn1.npz"))
    del others["points"]
    np.savez(folder / "turn1.npz", **others)
    with pytest.raises(InputError, match="kept by an earlier version, which told no landmarks; remove it"):
        load_sets(folder, "turn1", ORIGIN)


def test_looks_that_do_not_say_what_they_are_of_are_refused(kept):
    folder, sets = kept
    np.savez(folder / "turn1.npz", **{name: part for name, part in sets._asdict().items() if name != "maps"})
    with pytest.raises(InputError, match="does not say what its looks are of"):
        load_sets(folder, "turn1", ORIGIN)


def test_the_origin_knows_faces_by_labels_pictures_and_order():
    class Drawn(list):
        def __init__(self, samples, labels):
            super().__init__(samples)
            self.columns = {"expression": np.array(labels)}

    pictures = [{"image": bytes([row])} for row in range(3)]
    sources = [
        Drawn(samples, labels)
        for samples, labels in (
            (pictures, [0, 1, 2]),
            (pictures[::-1], [0, 1, 2]),
            (pictures, [2, 1, 0]),
            (pictures, [0, 1, 2]),
        )
    ]
    first, turned, relabelled, again = (origin_of(source, seed=0, turn=0) for source in sources)
    assert first == again
    assert len({first.data, turned.data, relabelled.data}) == 3


def test_looks_of_several_sizes_are_counted_through():
    parts = [np.arange(rows * 5, dtype=np.float16).reshape(rows, 5) + 100 * rows for rows in (4, 1, 7)]
    rows = np.array([11, 0, 3, 4, 5, 4])
    np.testing.assert_array_equal(gathered(parts, rows), np.concatenate(parts)[rows])

"""Batches: every sample once an epoch, shared among processes, resumed exactly, balanced, grouped, cut to the pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from data_pipelines.pixels import cut_into, decoded, square
from data_pipelines.samples import Split
from data_pipelines.sources import Joined
from emoca_jax.errors import InputError

grain = pytest.importorskip("grain", reason="grain has no wheel here")
loader = pytest.importorskip("data_pipelines.loader")

COUNT = 23
EXPRESSIONS = np.array([0] * 12 + [1] * 8 + [2] * 3, np.int32)
IDENTITIES = np.array([0, 0, 0, 1, 1, 2] + [3] * 17, np.int32)


def sample(row):
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), (row * 10, 0, 0)).save(stream, "PNG")
    return {"image": stream.getvalue(), "file": "a", "valence": np.float32(row), "expression": int(EXPRESSIONS[row])}


SOURCE = Split(range(COUNT), sample, {"expression": EXPRESSIONS, "identity": IDENTITIES})


def drawn(count=None, **options):
    """Sample numbers of the batches, and the first batch."""
    iterator = iter(loader.batches(SOURCE, loader.Batching(side=20, threads=2, **options)))
    batches = [batch for batch, _ in zip(iterator, range(count or 10**6), strict=False)]
    iterator.close()
    return np.array([batch["index"] for batch in batches]), batches[0]


def test_every_sample_once_an_epoch():
    numbers, batch = drawn(size=1, epochs=2)
    for epoch in (numbers[:COUNT], numbers[COUNT:]):
        assert sorted(epoch.ravel()) == list(range(COUNT))
    assert not np.array_equal(numbers[:COUNT], numbers[COUNT:])
    assert batch["image"].dtype == np.uint8 and (batch["image"][0, :, :, 0] == batch["index"][0] * 10).all()
    assert batch["valence"] == batch["index"] and "file" not in batch


def test_the_seed_decides():
    same, other = drawn(size=4, epochs=1)[0], drawn(size=4, epochs=1, seed=1)[0]
    np.testing.assert_array_equal(same, drawn(size=4, epochs=1)[0])
    assert same.shape == (5, 4) and not np.array_equal(same, other)


def test_processes_share_the_samples():
    parts = [drawn(size=1, epochs=1, processes=3, process=i)[0].ravel() for i in range(3)]
    assert [len(part) for part in parts] == [7, 7, 7]
    assert len(set(np.concatenate(parts))) == 21


@pytest.mark.parametrize("options", [{}, {"balance": "expression"}, {"group": "identity", "per_group": 2}])
def test_a_batch_of_all_processes_is_the_same_however_many_they_are(options):
    whole = drawn(5, size=12, **options)[0]
    parts = [drawn(5, size=4, processes=3, process=i, **options)[0] for i in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_resumes_in_the_middle_of_an_epoch():
    batching = loader.Batching(size=3, side=20, epochs=2, threads=2)
    iterator = iter(loader.batches(SOURCE, batching))
    for _ in range(4):
        next(iterator)
    state = iterator.get_state()
    rest = [batch["index"] for batch in iterator]
    iterator.close()
    again = iter(loader.batches(SOURCE, batching))
    again.set_state(state)
    np.testing.assert_array_equal([batch["index"] for batch in again], rest)
    again.close()
    assert len(rest) == 2 * COUNT // 3 - 4 and len(str(state)) < 500


def test_joined_sources_are_one_after_the_other():
    first, second = (
        Split(range(*ends), sample, {"expression": EXPRESSIONS[slice(*ends)]}) for ends in ((0, 5), (5, COUNT))
    )
    joined = Joined([first, second])
    assert [int(joined[i]["valence"]) for i in range(len(joined))] == list(range(COUNT))
    np.testing.assert_array_equal(joined.columns["expression"], EXPRESSIONS)
    with pytest.raises(IndexError):
        joined[COUNT]


def test_people_of_two_sources_are_not_mixed_up():
    """Both number theirs from 0, and only one knows classes."""
    first = Split(range(6), sample, {"identity": np.array([0, 0, 1, 1, 2, 2])})
    second = Split(
        range(6, 10), lambda row: {name: sample(row)[name] for name in ("image", "valence")},
        {"identity": np.array([0, 0, 1, 1])},
    )  # fmt: skip
    joined = Joined([first, second])
    assert joined.columns["identity"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    batching = loader.Batching(size=4, side=20, epochs=1, group="identity", per_group=2)
    people = [batch["index"].reshape(2, 2) // 2 for batch in loader.batches(joined, batching)]
    assert len(people) == 2 and all((pair[:, 0] == pair[:, 1]).all() for pair in people)


def test_without_margin_the_whole_picture_comes_as_it_is():
    faced = Split(range(COUNT), lambda row: {**sample(row), "face": np.array([5, 5, 4], np.float32)})
    (batch,) = loader.batches(faced, loader.Batching(size=COUNT, side=20, margin=None, epochs=1))
    assert (batch["image"][..., 0] == batch["index"][:, None, None] * 10).all()
    np.testing.assert_array_equal(batch["place"], np.broadcast_to([0, 0, 1], (COUNT, 3)))


def test_classes_come_equally_often():
    numbers, _ = drawn(24, size=3, balance="expression")
    assert (np.bincount(EXPRESSIONS[numbers.ravel()]) == 24).all()
    rare = numbers.ravel()[EXPRESSIONS[numbers.ravel()] == 2]
    assert all(set(part) == {20, 21, 22} for part in rare.reshape(8, 3))


def test_batches_smaller_than_the_number_of_classes():
    numbers, _ = drawn(6, size=1, balance="expression")
    assert EXPRESSIONS[numbers.ravel()].tolist() == [0, 1, 2, 0, 1, 2]


def test_images_of_an_identity_come_side_by_side():
    numbers, _ = drawn(20, size=4, group="identity", per_group=2)
    for first, second in numbers.reshape(-1, 2):
        assert first != second and IDENTITIES[first] == IDENTITIES[second]
    assert set(IDENTITIES[numbers.ravel()]) == {0, 1, 3}  # 2 has one picture only
    assert len({tuple(pair) for pair in numbers.reshape(-1, 2)}) > 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 24, "epochs": 1}, "too few for a batch of 24"),
        ({"size": 0}, "size is 0; give 1 or more"),
        ({"size": 4, "seed": -1}, "seed is -1; give 0 or more"),
        ({"size": 3, "group": "identity", "per_group": 2}, "no whole number of groups"),
        ({"size": 18, "group": "identity", "per_group": 18}, "no identity has 18 samples"),
        ({"size": 3, "balance": "age"}, "has no column age; choose expression, identity"),
    ],
)
def test_what_cannot_be_batched_is_said(options, said):
    with pytest.raises(InputError, match=said):
        drawn(1, **options)


@pytest.mark.parametrize("face", [None, (60.0, 40.0, 50.0), (5.0, 90.0, 70.0)])
def test_squares_are_where_they_say(face):
    """A ramp of x and y in the picture shows where each pixel of the square came from."""
    x, y = np.meshgrid(np.arange(120), np.arange(100))
    pixels = np.stack([x * 2, y * 2, np.full_like(x, 255)], -1).astype(np.uint8)
    cut, (left, top, scale) = square(pixels, None if face is None else np.array(face), margin=1.5, side=96)
    column, row = np.meshgrid(np.arange(96), np.arange(96))
    there_x, there_y = (column + 0.5) / scale + left - 0.5, (row + 0.5) / scale + top - 0.5
    inside = (there_x > 1) & (there_x < 118) & (there_y > 1) & (there_y < 98)
    assert inside.mean() > 0.3 and (cut[inside, 2] == 255).all()
    np.testing.assert_allclose(cut[inside, 0] / 2, there_x[inside], atol=0.8)
    np.testing.assert_allclose(cut[inside, 1] / 2, there_y[inside], atol=0.8)
    outside = (there_x < -1) | (there_x > 120) | (there_y < -1) | (there_y > 100)
    assert not cut[outside].any()


@pytest.mark.parametrize(
    ("extent", "face"), [((300, 400), None), ((301, 403), (190.0, 170.0, 160.0)), ((640, 640), None)]
)
def test_fine_pictures_are_decoded_coarser_to_the_same_squares(extent, face):
    """Smooth, so that any good filter gives the same; beside the square of all their pixels."""
    y, x = np.mgrid[: extent[0], : extent[1]]
    smooth = np.stack([x / 2, y / 2, 128 + 100 * np.sin(x / 40) * np.cos(y / 50)], -1).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(smooth).save(stream, "JPEG", quality=98, subsampling=0)
    face = None if face is None else np.array(face, np.float32)
    found = np.empty((64, 64, 3), np.uint8)
    place = cut_into(found, stream.getvalue(), face, margin=1.6)
    expected, expected_place = square(decoded(stream.getvalue()), face, margin=1.6, side=64)
    np.testing.assert_array_equal(place, expected_place)
    assert np.abs(found.astype(int) - expected).max() <= 3


def test_a_picture_of_the_squares_size_comes_as_it_is():
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(stream, "JPEG")
    found = np.empty((2, 64, 64, 3), np.uint8)[1]
    np.testing.assert_array_equal(cut_into(found, stream.getvalue(), None, margin=1.0), [0, 0, 1])
    with Image.open(stream) as image:
        np.testing.assert_array_equal(found, np.asarray(image))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_every_kind_of_jpeg_becomes_rgb(mode):
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 200, 200)).convert(mode).save(stream, "JPEG", quality=95)
    pixels = decoded(stream.getvalue())
    assert pixels.shape == (16, 16, 3) and abs(int(pixels.mean()) - 200) < 3

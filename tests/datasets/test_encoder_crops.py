"""Faces as encoders see them: points stay on what they mark, and only pictures with a face are given out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from data_pipelines.augment import Amounts
from data_pipelines.encoder_crops import as_encoded, as_trained_on, as_trained_on_photos
from data_pipelines.samples import Split
from emoca_jax.errors import InputError
from emoca_jax.mediapipe_points import FACE_OVAL
from emoca_jax.nets.encoders import CROP_MARGIN

pytest.importorskip("grain", reason="grain has no wheel here")
from data_pipelines import found as found_module
from data_pipelines.found import FOUND, FoundFaces, open_found

SIDE, SIZE, COUNT = 96, 112, 3
MOVED = Amounts(*[0.0] * len(Amounts._fields))._replace(turn=0.2, zoom=0.1, shift=0.05)
DOT = 5
"""Which of the points is drawn."""


def batch() -> dict[str, jax.Array]:
    """Black pictures 48 pixels a side, brought to 96, with a blurred dot at one of the found points."""
    draw = np.random.default_rng(2)
    points = draw.uniform(14, 34, (COUNT, 478, 3)).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[:, FACE_OVAL, :2] = 24 + 11 * np.stack([np.sin(angle), -np.cos(angle)], axis=-1)
    across = (np.arange(SIDE) + 0.5) / 2 - 0.5
    square = (across[None, None, :] - points[:, DOT, 0, None, None]) ** 2
    square = square + (across[None, :, None] - points[:, DOT, 1, None, None]) ** 2
    images = np.repeat(np.round(255 * np.exp(-square / 2)).astype(np.uint8)[..., None], 3, axis=-1)
    place = np.tile(np.array([0, 0, 2], np.float32), (COUNT, 1))
    return {"image": jnp.asarray(images), FOUND: jnp.asarray(points), "place": jnp.asarray(place)}


@pytest.mark.thorough
@pytest.mark.parametrize("moved", [False, True])
def test_points_mark_what_they_marked(moved: bool) -> None:
    seen = as_encoded(batch(), size=SIZE)
    if moved:
        seen = as_trained_on(jax.random.key(1), batch(), size=SIZE, amounts=MOVED)
    dots, images = np.asarray(seen["landmarks_mediapipe"])[:, DOT, :2], np.asarray(seen["images"])[..., 0]
    centres = (2 * np.arange(SIZE) + 1) / SIZE - 1
    for dot, image in zip(dots, images, strict=True):
        weight = np.where(image > 0.3 * image.max(), image, 0)
        found = [(weight.sum(axis=axis) * centres).sum() / weight.sum() for axis in (0, 1)]
        np.testing.assert_allclose(found, dot, atol=0.5 * 2 / SIZE)


def test_the_crop_is_that_of_inference_and_the_mask_the_faces_inside() -> None:
    seen = jax.device_get(as_encoded(batch(), size=SIZE))
    points = seen["landmarks_mediapipe"][..., :2]
    low, high = points.min(axis=1), points.max(axis=1)
    np.testing.assert_allclose((high - low).mean(axis=-1), 2 / CROP_MARGIN, rtol=1e-5)
    np.testing.assert_allclose(low + high, 0, atol=1e-5)
    assert (seen["mask"][:, SIZE // 2, SIZE // 2] == 1).all() and (seen["mask"][:, 0] == 0).all()


def test_photos_are_cut_as_the_official_code_cuts_them() -> None:
    """From a square of margin 1.6 the middle 1.25 / 1.6 of it; whole numbers are pixel centres."""
    picture = np.zeros((1, 320, 320, 3), np.uint8)
    picture[:, 118:123, 198:203] = 255
    photos = {"image": jnp.asarray(picture), "landmarks": jnp.full((1, 68, 2), 159.5 + 125.0)}
    still = Amounts(*[0.0] * len(Amounts._fields))
    cut = as_trained_on_photos(jax.random.key(0), photos, size=224, margin=1.6, amounts=still)
    np.testing.assert_allclose(cut["landmarks"][..., :2], 1.0, atol=1e-6)
    light = np.asarray(cut["images"])[0, ..., 0]
    found = [(light.sum(axis=axis) * np.arange(224)).sum() / light.sum() for axis in (0, 1)]
    expected = [(middle + 0.5 - 35) * 224 / 250 - 0.5 for middle in (200, 120)]
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_pictures_without_a_face_are_left_out(tmp_path: Path) -> None:
    source = Split(range(4), lambda row: {"file": str(row)}, {"identity": np.array([7, 7, 8, 8])})
    points = np.zeros((2, 478, 3), np.float32)
    faces = FoundFaces(source, np.array([1, 3]), points)
    assert [faces[i]["file"] for i in range(len(faces))] == ["1", "3"]
    assert [sample["file"] for sample in faces.__getitems__([1, 0])] == ["3", "1"]
    assert faces.columns["identity"].tolist() == [7, 8]
    with pytest.raises(InputError, match=r"make it with python -m data_pipelines\.build open_faces"):
        open_found("open_faces", "train", data_dir=tmp_path)


def test_looking_for_faces_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in its third batch it has saved two; it goes on with that of the last face it found."""
    shown = (Path(__file__).parents[2] / "examples/grace_hopper.jpg").read_bytes()
    empty = io.BytesIO()
    Image.new("RGB", (64, 64)).save(empty, "PNG")
    looked: list[int] = []

    def read(row: int) -> dict[str, Any]:
        looked.append(row)
        return {"image": shown if row in (0, 3) else empty.getvalue()}

    monkeypatch.setattr(found_module, "open_records", lambda *name, **place: Split(range(6), read, {}))
    monkeypatch.setattr(found_module, "AT_ONCE", 2)
    monkeypatch.setattr(found_module, "SAVED_EVERY", 2)
    (tmp_path / "open_faces").mkdir()
    monkeypatch.setattr(found_module, "track", lambda steps, name: list(steps)[:2])
    found_module.find("open_faces", "train", data_dir=tmp_path)
    monkeypatch.setattr(found_module, "track", lambda steps, name: steps)
    looked.clear()
    assert found_module.find("open_faces", "train", data_dir=tmp_path) == (2, 6)
    # Besides those that tell one dataset from another, 0, 3 and 5, which it reads each time it opens or saves.
    assert 1 not in looked and {2, 4} <= set(looked)
    with np.load(tmp_path / "open_faces" / "found_train.npz") as file:
        np.testing.assert_array_equal(np.isfinite(file["points"][:, 0, 0]), [True, False, False, True, False, False])
        np.testing.assert_array_equal(file["points"][0], file["points"][3])

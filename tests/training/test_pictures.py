"""What a run shows of faces: which picture stands where, and that TensorBoard and the page have it."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from emoca_jax.model import codes_from, decode
from emoca_jax.open_codes import open_outputs, split_open
from emoca_jax.training.seeing import Faces, Sight
from emoca_jax.training.stages.pictures import COLUMNS, SHOWN, WITH_DETAIL, as_faces, drawn_in_columns
from tests.training import coarse_toy

SIDE = 32


def test_columns_show_what_their_names_say() -> None:
    """Photos behind what is drawn over them; shapes have no photo; people at rest have neither expression nor pose."""
    head = coarse_toy.coarse().head
    draw = np.random.default_rng(0)
    images = jnp.asarray(draw.uniform(size=(2, SIDE, SIDE, 3)).astype(np.float32))
    codes = codes_from(split_open(head, jnp.zeros((2, open_outputs(head)))))
    codes = codes.replace(camera=codes.camera * jnp.array([[0.4, 1.0, 1.0]]))
    units = jnp.asarray(draw.uniform(0.5, 1, codes.expression.shape).astype(np.float32))
    turned = codes.replace(expression=units, pose=codes.pose + 0.2, jaw=codes.jaw + 0.2, eyes=codes.eyes + 0.3)
    columns = np.asarray(jax.jit(drawn_in_columns)(head, turned, images))
    alpha = np.asarray(decode(head, turned, (SIDE, SIDE)).alpha)[..., None]
    assert 0.02 < alpha.mean() < 0.98
    photo, rendering, coarse, neutral = columns
    np.testing.assert_array_equal(photo, images)
    np.testing.assert_array_equal(rendering * (1 - alpha), photo * (1 - alpha))
    assert np.abs(rendering - photo)[alpha[..., 0] > 0].max() > 0.1
    assert not (coarse * (1 - alpha)).any() and np.ptp(coarse, axis=-1).max() < 1e-6
    at_rest = np.asarray(jax.jit(drawn_in_columns)(head, codes, images))
    np.testing.assert_array_equal(neutral, at_rest[3])
    assert np.abs(coarse - at_rest[2]).max() > 0.1

    faces = as_faces(jnp.asarray(columns))
    assert faces.columns == COLUMNS and faces.picture.shape == (2 * SIDE, 4 * SIDE, 3)
    assert not as_faces(jnp.full((4, 1, 2, 2, 3), jnp.nan)).picture.any()
    below = faces.picture[SIDE:, 2 * SIDE : 3 * SIDE]
    np.testing.assert_allclose(below / 255, np.clip(coarse[1], 0, 1), atol=0.5 / 255 + 1e-6)
    assert as_faces(jnp.zeros((5, 1, 4, 4, 3))).columns == WITH_DETAIL


@pytest.mark.thorough
def test_a_stage_shows_the_first_faces_that_judge() -> None:
    minimised, batch = coarse_toy.coarse(), coarse_toy.examples(SHOWN + 2)
    stage = coarse_toy.stage(minimised, minimised.encoders.start(jax.random.key(4)), held_out=lambda: [batch])
    shown = stage.show(*stage.initial(jax.random.key(0)))
    assert shown is not None
    rows, side = np.split(shown.picture, SHOWN), shown.picture.shape[1] // len(COLUMNS)
    for row, image in zip(rows, batch["images"], strict=False):
        np.testing.assert_array_equal(row[:, :side], image)
    # Nothing to judge on, nothing to show.
    assert coarse_toy.stage(minimised, stage.initial(jax.random.key(0))).show({}, {}) is None


def test_the_last_faces_are_kept_and_the_page_shows_them(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3), np.uint8)
    with Sight(tmp_path, "toy", 2) as sight:
        sight.begin(0)
        for step, picture in enumerate(pictures):
            sight.show(step, Faces(picture, ("photo", "a & b")))
        sight.report()
    with Image.open(tmp_path / "faces.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), pictures[-1])
        assert picture.info["Title"] == "photo, a & b"
    page = (tmp_path / "report.html").read_text()
    (embedded,) = re.findall(r'<img alt="photo, a &amp; b" src="data:image/png;base64,([^"]+)"', page)
    with Image.open(io.BytesIO(b64decode(embedded))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pictures[-1])
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert events.read_bytes().count(b"\x89PNG") == len(pictures)
    # A picture that cannot be written, or is somebody else's, ends no run.
    (tmp_path / "faces.png").write_bytes(b"not a picture")
    with Sight(tmp_path, "toy", 2) as sight:
        sight.report()
    assert "<img" not in (tmp_path / "report.html").read_text()
    (tmp_path / "faces.png").unlink()
    (tmp_path / "faces.png").mkdir()
    with Sight(tmp_path, "toy", 2) as sight:
        sight.begin(0)
        sight.show(1, Faces(pictures[0], ("photo",)))
    assert (tmp_path / "faces.png").is_dir()


def test_bars_are_drawn_on_terminals_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Jupyter sets this for its children, and keeps all that they write."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Sight(tmp_path, "toy", 2) as sight:
        sight.begin(0)
        sight.tell("going on")
    told = capfd.readouterr().err
    assert "going on" in told and "\x1b" not in told

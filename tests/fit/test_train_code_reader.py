"""What the encoder that ships learns from: faces mixed in the head's own frame, and nothing where nobody looked."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.fit.landmark_model import project
from tests.fit.test_one_pass import model, people

pytest.importorskip("grain", reason="grain has no wheel here")


def test_faces_in_the_heads_frame_know_no_place_and_size() -> None:
    from scripts.train_code_reader import in_frame

    framed = jax.jit(lambda one: in_frame(model().landmarks, one)[0])
    face = people()[1][0]
    moved = 0.8 * face + np.array([0.1, -0.2, 3], np.float32)
    index = np.asarray(model().landmarks.index)
    # The points that the head has: the others are nowhere in these faces.
    np.testing.assert_allclose(_centred(framed(face)[index]), _centred(framed(moved)[index]), atol=1e-5)


def _centred(points: jax.Array) -> np.ndarray:
    return np.asarray(points - jnp.mean(points, axis=0, keepdims=True))


def test_partners_are_each_others_mirror_images() -> None:
    """Lids, brows and corners of the mouth by MediaPipe's numbers; the nose's tip is its own."""
    from emoca_jax.emotion.landmark_units import load_unit_reader
    from scripts.train_code_reader import Eyes, partners, unit_order

    index = np.asarray(model().landmarks.index)
    still = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), people()[0]).replace(camera=jnp.array([6.5, 0.0, 0.0]))
    faces = np.zeros((1, 478, 3), np.float32)
    faces[:, index] = project(model().landmarks, still)
    missing = np.setdiff1d(np.arange(478), index)
    # Irises' rims: above, below and beside their middles.
    for number, point in enumerate(missing):
        middle, side = (468, 1) if point < 473 else (473, -1)
        angle = side * (0.3 + 1.4 * ((number % 4) + 0.1))
        faces[:, point] = faces[:, middle] + 0.01 * np.array([side * np.cos(angle), np.sin(angle), 0], np.float32)
    found = partners(Eyes(model().landmarks, load_unit_reader(), unit_order(model().head)), jnp.asarray(faces))
    assert found[1] == 1 and found[33] == 263 and found[61] == 291 and found[105] == 334 and found[468] == 473
    np.testing.assert_array_equal(found[found], np.arange(478))


def test_nobody_looked_for_faces_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from scripts.train_code_reader import main

    assert main(["--data_dir", str(tmp_path), "--judged", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("train_code_reader: ")
    assert main(["--data_dir", str(tmp_path), "--judged", str(tmp_path), "--steps", "0"]) == 2
    assert "give 1 or more" in capsys.readouterr().err

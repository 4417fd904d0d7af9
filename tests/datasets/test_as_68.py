"""The 68 among the detector's points: where FLAME's contour is when a head turns, as is known of the open head."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from data_pipelines.as_68 import MIDDLE, as_68
from emoca_jax import flame
from emoca_jax.mediapipe_points import ALL_POINTS, JAW_OF_68, MESH_POINTS


def test_the_jaw_follows_the_outline() -> None:
    """Of the open head turned by 30 degrees to either side: both kinds of points are known of it."""
    head = flame.load_head("open")
    shapes, units = (jnp.zeros(part.shape[-1]) for part in (head.shape_dirs, head.expression_dirs))
    turns = np.deg2rad([-30.0, 0.0, 30.0])
    pose = np.zeros((3, 5, 3), np.float32)
    pose[:, 0, 1] = turns
    posed = flame.forward(head, shapes, units, jnp.asarray(pose))
    # Pixels, y down.
    pixels = np.array([1000, -1000, 1000], np.float32)
    points = np.zeros((3, ALL_POINTS, 3), np.float32)
    points[:, np.asarray(head.mediapipe_index)] = np.asarray(flame.landmarks_mediapipe(head, posed.vertices)) * pixels
    truth = (np.asarray(flame.landmarks68(head, posed)) * pixels)[..., :2]
    width = np.ptp(points[1, :MESH_POINTS, 0])
    found = np.stack([as_68(face) for face in points])
    off = 100 * np.linalg.norm(found - truth, axis=-1) / width
    on_skin = 100 * np.linalg.norm(points[:, list(JAW_OF_68), :2] - truth[:, : len(JAW_OF_68)], axis=-1) / width
    assert off[:, 17:].mean() < 0.4 and off[1].max() < 2
    for far, side in ((0, slice(MIDDLE)), (2, slice(MIDDLE + 1, 17))):
        assert on_skin[far, side].mean() > 5 and off[far, side].mean() < 2
        near = slice(MIDDLE + 1, 17) if far == 0 else slice(MIDDLE)
        assert off[far, near].mean() < 0.5
    # Whichever way up the picture is.
    turned = points[2][:, [1, 0, 2]] * np.array([-1, 1, 1], np.float32)
    expected = found[2][:, ::-1] * np.array([-1, 1], np.float32)
    np.testing.assert_allclose(as_68(turned), expected, atol=1e-3)


def test_what_is_no_face_has_none() -> None:
    line = np.linspace(0, 1, ALL_POINTS, dtype=np.float32)[:, None] * np.array([3, 4, 5], np.float32)
    spoiled = np.random.default_rng(0).normal(size=(ALL_POINTS, 3)).astype(np.float32)
    spoiled[200, 1] = np.nan
    for points in (np.full((ALL_POINTS, 3), np.nan, np.float32), np.zeros((ALL_POINTS, 3), np.float32), line, spoiled):
        assert np.isnan(as_68(points)).all()

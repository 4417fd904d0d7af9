"""Lashes lie on the rims of the lids, as rays from the front find them, and close with them."""

import numpy as np
import pytest
import trimesh

from emoca_jax import render
from emoca_jax.flame.head import FaceHead
from emoca_jax.texture.lashes import LOWER, UPPER, lash_map
from tests.texture.test_eyes_and_mouth import open_head

STEP = 0.0004
"""Metres between rays."""


def rays(head: FaceHead, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Around the subject's left eye: face and place of the first hit, on a grid from top to bottom."""
    eyes = np.asarray(head.face_part) == head.part_names.index("eyes")
    ball = vertices[np.unique(np.asarray(head.faces)[eyes])]
    ball = ball[ball[:, 0] > 0]
    x, y = (np.arange(ball[:, k].min() - 0.012, ball[:, k].max() + 0.012, STEP) for k in (0, 1))
    start = np.stack([*np.meshgrid(x, y[::-1]), np.full((len(y), len(x)), 0.3)], -1)
    mesh = trimesh.Trimesh(vertices, np.asarray(head.faces), process=False)
    place, ray, face = mesh.ray.intersects_location(
        start.reshape(-1, 3), np.tile([0.0, 0.0, -1.0], (start[..., 0].size, 1)), multiple_hits=False
    )
    faces, places = np.full(start[..., 0].size, -1), np.zeros((start[..., 0].size, 3))
    faces[ray], places[ray] = face, place
    shape = start.shape[:2]
    return faces.reshape(shape), places.reshape(*shape, 3), eyes


def shade_at(head, layout, vertices, faces, places):
    corners = vertices[np.asarray(head.faces)[faces]]
    weights = trimesh.triangles.points_to_barycentric(corners, places)
    uv = (np.asarray(head.uv)[np.asarray(head.uv_faces)[faces]] * weights[..., None]).sum(1).astype(np.float32)
    return np.asarray(render.sample_texture(layout.lashes[..., None], uv[None]))[0, :, 0]


def test_they_follow_the_rims_and_nothing_else():
    head, layout = open_head()
    shade = np.asarray(layout.lashes)
    assert (shade[np.asarray(layout.skin) == 0] == 0).all()
    vertices = np.asarray(head.template)
    faces, places, eyes = rays(head, vertices)
    is_eye = eyes[faces] & (faces >= 0)
    is_skin = ~is_eye & (faces >= 0)
    columns = np.flatnonzero(is_eye.any(0))
    # The outer half: towards the nose lashes begin.
    columns = columns[len(columns) // 2 : -4]
    top = is_eye[:, columns].argmax(0) - 1
    bottom = is_eye.shape[0] - is_eye[::-1, columns].argmax(0)
    for rows, (_, most) in ((top, UPPER), (bottom, LOWER)):
        on_rim = shade_at(head, layout, vertices, faces[rows, columns], places[rows, columns])
        assert np.median(on_rim) > 0.55 * most and np.mean(on_rim > 0.25 * most) > 0.9
    far = is_skin.copy()
    for row, column in np.argwhere(is_eye):
        far[max(row - 12, 0) : row + 13, max(column - 12, 0) : column + 13] = False
    assert far.sum() > 1000
    assert shade_at(head, layout, vertices, faces[far], places[far]).max() < 0.02


def test_they_are_of_both_eyes_alike():
    _, layout = open_head()
    shade, mirror = np.asarray(layout.lashes), np.asarray(layout.mirror)[..., 0]
    other = shade.ravel()[mirror]
    assert np.abs(shade - other).max() < 0.12 and np.abs(shade - other)[shade > 0].mean() < 0.03


def test_a_head_without_eyes_of_their_own_has_none():
    head, _ = open_head()
    blind: FaceHead = head.replace(part_names=tuple(name.replace("eyes", "skin too") for name in head.part_names))
    position = np.zeros((8, 8, 3), np.float32)
    np.testing.assert_array_equal(lash_map(blind, position, np.ones((8, 8), np.float32)), 0)


@pytest.mark.parametrize("closed", [0.0, 1.0])
def test_lines_meet_where_an_eye_closes(closed):
    """Between the upper and the lower line in the middle of an eye there is the open eye, or hardly anything."""
    head, layout = open_head()
    names = head.expression_names
    units = np.zeros(len(names), np.float32)
    units[[names.index("eyeBlinkLeft"), names.index("eyeBlinkRight")]] = closed
    vertices = np.asarray(head.template) + np.asarray(head.expression_dirs) @ units
    faces, places, eyes = rays(head, vertices)
    middle = np.argmax((eyes[faces] & (faces >= 0)).sum(0)) if closed == 0 else faces.shape[1] // 2
    column = (faces[:, middle] >= 0) & ~eyes[faces[:, middle]]
    shade = np.zeros(faces.shape[0])
    shade[column] = shade_at(head, layout, vertices, faces[column, middle], places[column, middle])
    dark = np.flatnonzero(shade > 0.15)
    gap = STEP * np.diff(dark).max()
    assert (gap > 0.006) if closed == 0 else (gap < 0.002)

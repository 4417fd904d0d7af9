"""The comparison picture: everything at its own place."""

from dataclasses import replace

import numpy as np
import pytest

from emoca_jax.export.pictures import comparison as figures
from emoca_jax.export.pictures import paper
from emoca_jax.export.pictures.panel import emotion_panel, strongest_units
from tests.export.made_up_face import made_up_face

SIZE = 128


@pytest.fixture(scope="module")
def face():
    return made_up_face()


def test_photo_tile_is_the_photo_through_the_crop(face):
    # 60 pixels half side to 120 tile pixels: one to one, from column 40 and row 15 on.
    np.testing.assert_array_equal(figures.photo_tile(face, 120), face.photo[15:135, 40:160])
    beyond = replace(face, crop=face.crop + np.float32([[0, 0, -100], [0, 0, 0], [0, 0, 0]]))
    tile = figures.photo_tile(beyond, 120)
    assert (tile[:, :59] == paper.TILE).all()
    np.testing.assert_array_equal(tile[:, 61:], face.photo[15:135, 1:60])


def test_a_large_photo_is_averaged_not_picked(face):
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), np.uint8)
    crop = np.array([[480, 0, 800], [0, 480, 600], [0, 0, 1]], np.float32)
    tile = figures.photo_tile(replace(face, photo=noise, crop=crop), 120)
    assert tile.std() < 20, "64 pixels of noise average out"


def test_landmarks_lie_on_their_points(face):
    points = np.full((478, 3), -1000, np.float32)
    points[0, :2] = 100, 75
    lone = replace(face, landmarks=points, landmark_visible=np.zeros_like(face.landmark_visible))
    black = np.zeros((121, 121, 3), np.uint8)
    rows, columns = np.nonzero(figures.landmark_tile(lone, black).sum(-1))
    assert abs(rows.mean() - 60) < 0.6 and abs(columns.mean() - 60) < 0.6


def test_the_shape_lies_where_the_crop_plane_says(face):
    view = figures._view(face, face.codes, face.texture, SIZE)
    rows, columns = np.nonzero(view.alpha[..., 0] > 0.5)
    plane = face.vertices[:, :2] * [1, -1] + [face.codes.camera[1], -face.codes.camera[2]]
    expected = (plane * face.codes.camera[0] + 1) * SIZE / 2
    np.testing.assert_allclose([columns.min(), rows.min()], expected.min(0), atol=1.5)
    np.testing.assert_allclose([columns.max() + 1, rows.max() + 1], expected.max(0), atol=1.5)


@pytest.mark.parametrize("yaw", [0.0, 90.0])
def test_the_neutral_head_fills_its_tile(face, yaw):
    alpha = figures._view(face, figures.neutral_codes(face, yaw), face.texture, SIZE).alpha[..., 0]
    rows, columns = np.nonzero(alpha > 0.5)
    spans = np.ptp(face.neutral_vertices, axis=0)
    across = spans[0] if yaw == 0 else spans[2]
    np.testing.assert_allclose(np.ptp(rows) + 1, figures.FILL * SIZE * spans[1] / spans.max(), atol=2.5)
    np.testing.assert_allclose(np.ptp(columns) + 1, figures.FILL * SIZE * across / spans.max(), atol=2.5)
    np.testing.assert_allclose([rows.mean(), columns.mean()], SIZE / 2, atol=4)


def test_the_result_decodes_itself_in_the_crop_plane(face):
    decoded = face.reconstruction
    assert isinstance(decoded.rendering, np.ndarray) and decoded.rendering.shape == (224, 224, 3)
    np.testing.assert_allclose(decoded.vertices, face.vertices, atol=1e-6)
    assert face.reconstruction is decoded


def test_the_side_view_shows_the_nose_to_the_right(face):
    codes = figures.neutral_codes(face, 90.0)
    assert codes.pose[0, 1] > 0 and not codes.expression.any()


def test_panel_and_sheet(face):
    panel = emotion_panel(face, SIZE)
    assert panel.shape == (SIZE, SIZE, 3) and panel.std() > 10
    names = [name for name, _ in strongest_units(face, 2)]
    assert names[0] == "jawOpen" and len(names) == 2
    sides = dict(strongest_units(face, 9))
    assert sides["mouthSmile"] == pytest.approx(face.codes.expression[1:3].mean())
    picture = figures.comparison(face, size=SIZE)
    assert picture.dtype == np.uint8
    # The shape in its tile is grey, on the photo's own colours around it.
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000

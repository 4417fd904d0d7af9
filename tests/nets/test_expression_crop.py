"""The expression crop: follows the face, and shows the picture it is cut from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from emoca_jax.mediapipe_points import CHIN, FOREHEAD, OUTER_EYE_CORNERS
from emoca_jax.nets.emotion.crop import (
    CROP_MARGIN,
    ExpressionCrop,
    expression_crop,
)
from emoca_jax.nets.emotion.crop import crop_image as eager_crop_image

crop_image = jax.jit(eager_crop_image, static_argnames="size")

RIGHT_EYE_CORNER, LEFT_EYE_CORNER = OUTER_EYE_CORNERS


def upright_face() -> np.ndarray:
    """A cloud 0.6 wide and 0.8 high about the origin, irises far outside, with the four points that give the roll."""
    points = np.random.default_rng(0).uniform(-1, 1, (478, 3)) * [0.3, 0.4, 0.1]
    points[0, :2], points[1, :2] = [-0.3, -0.4], [0.3, 0.4]
    points[RIGHT_EYE_CORNER, :2], points[LEFT_EYE_CORNER, :2] = [-0.2, -0.1], [0.2, -0.1]
    points[FOREHEAD, :2], points[CHIN, :2] = [0, -0.4], [0, 0.4]
    points[468:] = 5
    return points.astype(np.float32)


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.5])
def test_crop_turns_shrinks_and_moves_with_the_face(angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    moved = np.concatenate([0.5 * upright_face()[:, :2] @ turn.T + [0.3, -0.2], np.zeros((478, 1))], axis=1)
    still, crop = expression_crop(upright_face()), expression_crop(np.float32(moved))
    np.testing.assert_allclose(still.half, CROP_MARGIN * 0.4, rtol=1e-5)
    np.testing.assert_allclose(still.rotation, 0, atol=1e-5)
    np.testing.assert_allclose(crop.half, still.half / 2, rtol=1e-5)
    np.testing.assert_allclose(crop.rotation, angle, atol=1e-5)
    np.testing.assert_allclose(crop.centre, 0.5 * turn @ np.asarray(still.centre) + [0.3, -0.2], atol=1e-5)


def test_profile_roll_comes_from_the_midline():
    """Eye corners one above the other, as noise makes them in profile, tilt the crop by less than ten degrees."""
    points = upright_face()
    points[LEFT_EYE_CORNER, :2] = points[RIGHT_EYE_CORNER, :2] + np.float32([0.0, 0.1])
    assert abs(float(expression_crop(points).rotation)) < np.radians(10)


def test_crop_pixels_lie_where_the_crop_says():
    """On a picture whose colour is its position, the crop's colours are the positions of its pixel centres."""
    size, angle = 50, 0.3
    centres = (2 * np.arange(80) + 1) / 80 - 1
    picture = np.stack([*np.meshgrid(centres, centres), np.ones((80, 80))], axis=-1).astype(np.float32)
    crop = ExpressionCrop(np.float32([0.1, -0.05]), jnp.float32(0.5), jnp.float32(angle))
    local = ((2 * np.arange(size) + 1) / size - 1) * 0.5
    x, y = np.meshgrid(local, local)
    found = crop_image(picture, crop, size=size)
    np.testing.assert_allclose(found[..., 0], 0.1 + x * np.cos(angle) - y * np.sin(angle), atol=1e-5)
    np.testing.assert_allclose(found[..., 1], -0.05 + x * np.sin(angle) + y * np.cos(angle), atol=1e-5)
    np.testing.assert_allclose(found[..., 2], 1, atol=1e-6)


def test_fine_patterns_turn_grey_instead_of_aliasing():
    board = (np.indices((224, 224)).sum(axis=0) % 2).astype(np.float32)[..., None].repeat(3, axis=-1)
    crop = ExpressionCrop(np.zeros(2, np.float32), jnp.float32(1.0), jnp.float32(0.1))
    found = crop_image(board, crop, size=112)
    np.testing.assert_allclose(found[20:-20, 20:-20], 0.5, atol=0.06)


def test_beyond_the_picture_its_edge_continues():
    picture = np.random.default_rng(1).uniform(0, 1, (20, 20, 3)).astype(np.float32)
    crop = ExpressionCrop(np.float32([-3.0, -3.0]), jnp.float32(0.3), jnp.float32(0.0))
    np.testing.assert_allclose(crop_image(picture, crop, size=8), np.broadcast_to(picture[0, 0], (8, 8, 3)), atol=1e-6)


def test_gradients_match_differences():
    draw = np.random.default_rng(2)
    picture, weights = draw.uniform(0, 1, (12, 12, 3)), draw.normal(size=(6, 6, 3))
    crop = ExpressionCrop(np.array([0.05, 0.1]), np.array(0.6), np.array(0.2))
    with jax.enable_x64(True):
        picture, weights = jnp.asarray(picture), jnp.asarray(weights)
        crop = jax.tree.map(jnp.asarray, crop)
        check_grads(
            jax.jit(lambda p, c: jnp.sum(eager_crop_image(p, c, size=6) * weights)),
            (picture, crop),
            1,
            modes=["rev"],
            atol=1e-4,
            rtol=1e-4,
        )

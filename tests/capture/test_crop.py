"""Crop transforms and warps on images whose values are known everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.capture.crop import apply_transform, cut, invert_transform, shrink, square_crop, warp

finite = st.floats(-500, 500, width=32)


def ramp(height: int, width: int) -> np.ndarray:
    """Each pixel holds its own centre's position."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(finite, finite, st.floats(1, 2000), st.floats(-4, 4))
def test_inverse_undoes_a_crop_and_corners_lie_where_they_should(x, y, size, rotation):
    transform = square_crop(np.array([x, y]), np.array(size), np.array(rotation), 64)
    points = np.array([[0, 0], [64, 0], [32, 32], [10, 50.5]])
    placed = apply_transform(transform, points)
    np.testing.assert_allclose(apply_transform(invert_transform(transform), placed), points, atol=1e-6)
    np.testing.assert_allclose(placed[2], [x, y], atol=1e-6 * (1 + size))
    along = placed[1] - placed[0]
    np.testing.assert_allclose(np.hypot(*along), size, rtol=1e-6)
    np.testing.assert_allclose(along, size * np.array([np.cos(rotation), np.sin(rotation)]), atol=1e-6 * size)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_warp_reads_a_ramp_exactly_and_continues_its_edge(array):
    transform = square_crop(np.array([12.0, 9.0]), np.array(10.0), np.array(0.5), 8)
    crop = warp(array(ramp(30, 40)), array(transform.astype(np.float32)), (8, 8))
    centres = np.stack(np.meshgrid(np.arange(8) + 0.5, np.arange(8) + 0.5), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(crop[..., :2].reshape(-1, 2), apply_transform(transform, centres), atol=1e-4)
    assert isinstance(crop, jax.Array) == (array is jnp.asarray)
    far = square_crop(np.array([-100.0, 9.5]), np.array(2.0), np.array(0.0), 2).astype(np.float32)
    np.testing.assert_allclose(warp(array(ramp(30, 40)), far, (2, 2))[..., 0], 0.5)
    np.testing.assert_allclose(warp(array(ramp(30, 40)), far, (2, 2), border=-1.0), -1)


def test_warp_is_differentiable_to_the_transform():
    image, transform = jnp.asarray(ramp(20, 20)), jnp.array([[1.0, 0, 3], [0, 1, 4]])
    gradient = jax.grad(lambda t: warp(image, t, (4, 4))[..., 0].sum())(transform)
    # The sum of x positions grows by 16 per unit of shift in x and by nothing in y.
    np.testing.assert_allclose(gradient[:, 2], [16, 0], atol=1e-4)


def test_cut_equals_warp_where_nothing_is_averaged_and_the_mean_where_it_is():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    for centre, size, rotation in (((40, 30), 20, 0.3), ((5, 55), 30, -2.0), ((79, 1), 25, 0.0)):
        transform = square_crop(np.array(centre), np.array(size), np.array(rotation), 32).astype(np.float32)
        assert np.abs(cut(image, transform, (32, 32)) - warp(image, transform, (32, 32))).max() <= 1.01
    whole = np.array([[8, 0, 0], [0, 6, 0]], np.float32)
    striped = np.full((60, 80, 3), 90, np.uint8)
    striped[::2] += 20
    np.testing.assert_allclose(cut(striped, whole, (10, 10)), 100, atol=1)
    far = square_crop(np.array([300.0, 300.0]), np.array(5.0), np.array(0.0), 4).astype(np.float32)
    assert (cut(image, far, (4, 4)) == image[-1, -1]).all()


def test_shrink_is_the_mean_of_blocks():
    image = np.random.default_rng(0).integers(0, 256, (23, 31, 3), dtype=np.uint8)
    expected = image[:20, :30].reshape(4, 5, 6, 5, 3).mean(axis=(1, 3))
    assert np.abs(shrink(image, 5) - expected).max() <= 0.53

"""Cameras, drawing in perspective with faces through the near plane, and mip-mapping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.errors import InputError
from emoca_jax.render import (  # fmt: skip
    barycentric_slopes,
    interpolate,
    look_at,
    mip_level,
    mip_pyramid,
    orthographic,
    perspective,
    rasterize,
    sample_texture,
)

SIZE, NEAR, FIELD = (24, 32), 0.2, 1.2
ASPECT = SIZE[1] / SIZE[0]


def cast_rays(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each pixel's ray from the origin along -z meets first in front of the near plane, in float64."""
    height, width = SIZE
    x = ((2 * np.arange(width) + 1) / width - 1) * np.tan(FIELD / 2) * ASPECT
    y = -((2 * np.arange(height) + 1) / height - 1) * np.tan(FIELD / 2)
    rays = np.stack([*np.meshgrid(x, y), np.full(SIZE, -1.0)], axis=-1)
    index, depth, weights = np.full(SIZE, -1), np.full(SIZE, np.inf), np.zeros((*SIZE, 3))
    for number, face in enumerate(faces):
        corners = points[face].astype(np.float64)
        # ray * depth = corners^T weights with weights that sum to 1: so weights / depth solves a 3 x 3 system.
        solved = np.linalg.solve(corners.T, rays.reshape(-1, 3).T).T.reshape(*SIZE, 3)
        here = 1 / solved.sum(-1)
        own = solved * here[..., None]
        nearer = (own > 0).all(-1) & (here >= NEAR) & (here < depth)
        index[nearer], depth[nearer], weights[nearer] = number, here[nearer], own[nearer]
    return index, depth, weights


TRIANGLES = np.arange(36).reshape(12, 3)


@pytest.fixture(scope="module")
def seen_in_perspective(rasterize):
    """Of points, fragments and the gradient of a sum of barycentrics."""

    def total(points):
        image = perspective(points, FIELD, aspect=ASPECT)
        found = rasterize(image, jnp.array(TRIANGLES), SIZE, perspective=True, near=NEAR)
        return jnp.sum(found.barycentric[..., 0]), found

    return jax.jit(jax.grad(total, has_aux=True))


@pytest.mark.parametrize("seed", range(3))
def test_perspective_equals_ray_casting_through_the_near_plane(seen_in_perspective, seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-2, 2, (36, 3)).astype(np.float32)
    behind = (points[TRIANGLES][..., 2] > -NEAR).sum(1)
    assert {1, 2, 3} <= set(behind)
    index, depth, weights = cast_rays(points, TRIANGLES)
    gradient, got = seen_in_perspective(jnp.array(points))
    same = np.array(got.face_index) == index
    # Rays within a rounding of an edge or of the near plane.
    assert same.mean() > 0.995 and (index >= 0).mean() > 0.1
    seen = same & (index >= 0)
    np.testing.assert_allclose(np.array(got.depth)[seen], depth[seen], rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(np.array(got.barycentric)[seen], weights[seen], atol=2e-3)
    assert jnp.isfinite(gradient).all() and (gradient != 0).any()


@pytest.mark.slow
def test_in_front_of_the_camera_the_same_faces_are_seen_with_and_without_perspective():
    rng = np.random.default_rng(5)
    points = jnp.array(rng.uniform([-1, -1, -4], [1, 1, -2], (60, 3)).astype(np.float32))
    faces = jnp.arange(60).reshape(20, 3)
    image = perspective(points, 1.0)
    flat = rasterize(image, faces, (32, 32))
    true = rasterize(image, faces, (32, 32), perspective=True)
    assert ((flat.face_index >= 0) == (true.face_index >= 0)).all()
    for cull in ("back", "front"):
        one, other = (rasterize(image, faces, (32, 32), cull=cull, perspective=p) for p in (True, False))
        assert ((one.face_index >= 0) == (other.face_index >= 0)).all()
    with pytest.raises(InputError, match="near"):
        rasterize(image, faces, (32, 32), perspective=True, near=0.0)
    with pytest.raises(InputError, match="official"):
        rasterize(image, faces, (32, 32), perspective=True, official=True)


def test_cameras():
    points = jnp.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    # From the world's right, one up: what was far (z = 0) to near (z = 1) now runs from right to left.
    seen = look_at(points, jnp.array([5.0, 0.0, 0.0]), jnp.zeros(3))
    np.testing.assert_allclose(seen, [[0, 0, -5], [0, 1, -5], [0, 0, -4], [-1, 0, -5]], atol=1e-6)
    np.testing.assert_allclose(orthographic(seen, half_height=2.0, aspect=2.0)[3], [-0.25, 0, 5], atol=1e-6)
    np.testing.assert_allclose(perspective(seen, np.pi / 2)[1], [0, -0.2, 5], atol=1e-6)
    assert jnp.isfinite(perspective(jnp.zeros((1, 3)), 1.0)).all()


def test_mip_levels():
    """A tilted checkerboard: the level follows the texels per pixel, and the far end turns grey."""
    texture = jnp.repeat((jnp.indices((64, 64)).sum(0)[..., None] % 2).astype(jnp.float32), 3, axis=-1)
    pyramid = mip_pyramid(texture)
    assert pyramid.sizes[0] == (64, 64) and pyramid.sizes[-1] == (1, 1) and len(pyramid.sizes) == 7
    uv = jax.random.uniform(jax.random.key(0), (50, 2))
    np.testing.assert_allclose(sample_texture(pyramid, uv, level=0.0), sample_texture(texture, uv), atol=1e-6)
    np.testing.assert_allclose(sample_texture(pyramid, uv, level=1.0), 0.5, atol=1e-6)
    half = sample_texture(pyramid, uv, level=jnp.full(50, 0.5))
    np.testing.assert_allclose(half, 0.5 * sample_texture(texture, uv) + 0.25, atol=1e-6)
    assert mip_pyramid(jnp.ones((2, 5, 3, 1))).sizes == ((5, 3), (3, 2), (2, 1), (1, 1))

    corners = jnp.array([[-3, -1, -1], [3, -1, -1], [3, -1, -40], [-3, -1, -40]], jnp.float32)
    faces, uv = jnp.array([[0, 1, 2], [0, 2, 3]]), jnp.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    image = perspective(corners, 1.2)
    fragments = rasterize(image, faces, (32, 32), perspective=True)
    right, down = (
        interpolate(slope, uv, faces) for slope in barycentric_slopes(fragments, image, faces, perspective=True)
    )
    place = interpolate(fragments, uv, faces)
    column = 12
    rows = np.array(fragments.face_index[:, column] == fragments.face_index[31, column]).nonzero()[0][1:-1]
    steps = np.array(place[rows + 1, column] - place[rows - 1, column]) / 2
    np.testing.assert_allclose(down[rows, column], steps, rtol=0.15, atol=1e-4)
    level = mip_level(right, down, (64, 64))
    assert level[rows[0], column] > level[rows[-1], column] >= 0


def test_corners_aligned():
    texture = jnp.arange(6.0).reshape(2, 3, 1)
    got = sample_texture(texture, jnp.array([[0.0, 1.0], [1.0, 0.0], [0.25, 1.0]]), align_corners=True)
    np.testing.assert_allclose(got[:, 0], [0.0, 5.0, 0.5], atol=1e-6)
    with pytest.raises(InputError, match="mip_pyramid"):
        sample_texture(texture, jnp.zeros((1, 2)), level=1.0)

"""Soft rasterisation against pytorch3d's numbers and against every face at every pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.errors import InputError
from emoca_jax.render import soft_fragments, soft_rasterize, soft_silhouette
from tests.render.meshes import golden

# pytorch3d's x points left and its y up.
TURN = np.array([-1, -1, 1], np.float32)
SIZE = (64, 64)


def scene() -> tuple[dict[str, np.ndarray], jax.Array, jax.Array, float]:
    arrays = golden("raster_soft")
    return arrays, jnp.array(arrays["verts"] * TURN), jnp.array(arrays["faces"]), float(arrays["blur_radius"])


@pytest.mark.parametrize("faces_per_pixel", [50, 4])
def test_silhouette_equals_pytorch3d(faces_per_pixel):
    arrays, vertices, faces, radius = scene()
    weights, name = jnp.array(arrays["W"]), f"K{faces_per_pixel}"

    def loss(vertices):
        alpha = soft_silhouette(
            vertices, faces, SIZE, sigma=float(arrays["sigma"]), blur_radius=radius, faces_per_pixel=faces_per_pixel
        )
        return jnp.sum(alpha * weights), alpha

    (_, alpha), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(vertices)
    np.testing.assert_allclose(alpha, arrays[f"{name}/alpha"], atol=1e-5)
    want = arrays[f"{name}/grad_verts"] * TURN
    np.testing.assert_allclose(gradient, want, atol=1e-4 * np.abs(want).max())


def test_the_nearest_faces_equal_pytorch3d():
    arrays, vertices, faces, radius = scene()
    got = soft_fragments(vertices, faces, SIZE, blur_radius=radius, faces_per_pixel=4)
    np.testing.assert_array_equal(got.face_index, arrays["K50/pix_to_face_k4"])
    np.testing.assert_allclose(got.squared_distance, arrays["K50/dists_k4"], atol=1e-6)
    seen = np.array(got.face_index) >= 0
    assert (np.diff(np.where(seen, got.depth, 1e9), axis=-1) >= 0).all() and np.isinf(np.array(got.depth)[~seen]).all()


def test_bad_requests():
    with pytest.raises(InputError, match="at least 1"):
        soft_silhouette(jnp.zeros((3, 3)), jnp.array([[0, 1, 2]]), (4, 4), faces_per_pixel=0)
    assert (soft_silhouette(jnp.zeros((3, 3)), jnp.zeros((0, 3), jnp.int32), (4, 4)) == 0).all()
    assert soft_rasterize(jnp.ones((3, 3)), jnp.array([[0, 1, 2]]), jnp.ones((3, 2)), (4, 4)).shape == (4, 4, 3)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from emoca_jax.render import (  # fmt: skip
    directional_lights,
    normalize,
    point_lights,
    sh_basis,
    spherical_harmonics,
    vertex_normals,
    weak_perspective,
)
from emoca_jax.render.lighting import SH_BANDS
from tests.render.meshes import golden


def test_camera_equals_the_official_projection():
    arrays = golden("misc")
    got = weak_perspective(jnp.array(arrays["orth_X"]), jnp.array(arrays["orth_cam"]))
    np.testing.assert_allclose(got, arrays["batch_orth_proj"] * [1, -1, -1], rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("each_back_end")
def test_spherical_harmonics_equal_the_official_ones():
    arrays = golden("misc")
    np.testing.assert_allclose(SH_BANDS, arrays["sh_constant_factor"], rtol=1e-6)
    normals = jnp.array(np.moveaxis(arrays["sh_normals"], 1, -1))
    got = spherical_harmonics(normals, jnp.array(arrays["sh_coeff"]))
    np.testing.assert_allclose(np.moveaxis(got, -1, 1), arrays["add_SHlight"], rtol=1e-5, atol=1e-5)
    single = spherical_harmonics(normals[0, 3, 4], jnp.array(arrays["sh_coeff"][0]))
    np.testing.assert_allclose(single, got[0, 3, 4], rtol=1e-5, atol=1e-6)


def test_lights_equal_the_official_ones():
    arrays = golden("misc")
    points, normals = jnp.array(arrays["pl_verts"]), jnp.array(arrays["pl_normals"])
    places, intensities = jnp.split(jnp.array(arrays["pl_lights"]), 2, axis=-1)
    near = point_lights(normals, points, places, intensities, official=True)
    far = directional_lights(normals, places, intensities, official=True)
    np.testing.assert_allclose(near, arrays["add_pointlight"], atol=1e-6)
    np.testing.assert_allclose(far, arrays["add_directionlight"], atol=1e-6)
    np.testing.assert_allclose(directional_lights(normals, places, intensities), far * places.shape[1], atol=1e-5)
    # A point light far away is a directional one.
    distant = point_lights(normals, points, places * 1e4, intensities)
    np.testing.assert_allclose(distant, far * places.shape[1], atol=2e-3)


def test_basis_is_orthogonal_on_the_sphere():
    normals = np.random.default_rng(0).normal(size=(200_000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    basis = np.array(sh_basis(jnp.array(normals, jnp.float32)), np.float64) / np.array(SH_BANDS)
    correlation = np.corrcoef(basis[:, 1:].T)
    np.testing.assert_allclose(correlation, np.eye(8), atol=0.01)


@pytest.mark.usefixtures("each_back_end")
def test_normals_of_a_tetrahedron_point_outwards():
    vertices = jnp.array([[1.0, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
    faces = jnp.array([[0, 2, 1], [0, 3, 2], [0, 1, 3], [1, 2, 3]])
    np.testing.assert_allclose(vertex_normals(vertices, faces), vertices / np.sqrt(3), atol=1e-6)
    np.testing.assert_allclose(vertex_normals(vertices * 1e-5, faces), vertices / np.sqrt(3), atol=1e-6)


@pytest.mark.usefixtures("each_back_end")
def test_normals_without_area_are_zero_with_finite_gradients():
    vertices, faces = jnp.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]]), jnp.array([[0, 1, 2]])
    assert (vertex_normals(vertices, faces) == 0).all()
    assert jnp.isfinite(jax.grad(lambda v: jnp.sum(vertex_normals(v, faces) ** 2))(vertices)).all()
    check_grads(normalize, (jnp.array([0.3, -2.0, 0.5]),), order=1, modes=["rev"], rtol=1e-2)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emoca_jax.flame import rotations

ANGLES = np.random.default_rng(0).uniform(-np.pi, np.pi, (200, 3)).astype(np.float32)


def test_euler_angles_equal_scipy():
    want = Rotation.from_euler("XYZ", ANGLES)
    np.testing.assert_allclose(rotations.matrix_from_euler(ANGLES), want.as_matrix(), atol=1e-6)
    found = Rotation.from_rotvec(np.asarray(rotations.axis_angle_from_euler(ANGLES)))
    assert (found * want.inv()).magnitude().max() < 2e-6


@pytest.mark.parametrize("angle", [0.0, 1e-6, 1e-3, 0.5, 2.0, np.pi - 1e-4, np.pi])
def test_matrices_give_their_axis_back(angle):
    axes = Rotation.random(50, rng=np.random.default_rng(1)).as_rotvec()
    vectors = (axes / np.linalg.norm(axes, axis=1, keepdims=True) * angle).astype(np.float32)
    found = rotations.axis_angle_from_matrix(rotations.rotation_matrix(jnp.asarray(vectors)))
    if angle < 3:
        np.testing.assert_allclose(found, vectors, atol=1e-6)
    difference = Rotation.from_rotvec(np.asarray(found)) * Rotation.from_rotvec(vectors).inv()
    assert difference.magnitude().max() < 2e-6


def test_gradients_are_finite_at_no_rotation():
    for function in (rotations.axis_angle_from_euler, rotations.matrix_from_euler):
        assert np.isfinite(jax.jacobian(function)(jnp.zeros(3))).all()
    assert np.isfinite(jax.jacobian(rotations.axis_angle_from_matrix)(jnp.eye(3))).all()

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


def test_half_turns_about_the_axes_and_planes():
    """Where all but one or two of the quaternion's components are zero."""
    axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, -1, 1]]) * 1.0
    matrices = Rotation.from_rotvec(np.pi * axes / np.linalg.norm(axes, axis=1, keepdims=True)).as_matrix()
    found = rotations.axis_angle_from_matrix(jnp.asarray(matrices, jnp.float32))
    np.testing.assert_allclose(Rotation.from_rotvec(np.asarray(found)).as_matrix(), matrices, atol=2e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("angle", [0.0, 1e-3, 0.5, 2.0, 3.1])
def test_the_derivative_of_there_and_back_is_the_identity(angle):
    axis = jnp.array([0.36, -0.48, 0.8])
    jacobian = jax.jacobian(lambda vector: rotations.axis_angle_from_matrix(rotations.rotation_matrix(vector)))
    np.testing.assert_allclose(jacobian(angle * axis), np.eye(3), atol=2e-6 if angle < 3 else 1e-4)


def test_gradients_are_finite_at_no_rotation():
    for function in (rotations.axis_angle_from_euler, rotations.matrix_from_euler):
        assert np.isfinite(jax.jacobian(function)(jnp.zeros(3))).all()
    assert np.isfinite(jax.jacobian(rotations.axis_angle_from_matrix)(jnp.eye(3))).all()

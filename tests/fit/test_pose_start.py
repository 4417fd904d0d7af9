"""Closed-form pose against SciPy's rotations."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from emoca_jax.fit.pose_start import align_similarity, matrix_to_axis_angle


def test_axis_angle_round_trip_including_half_turns_and_identity():
    vectors = np.random.default_rng(1).normal(size=(64, 3))
    vectors *= (np.linspace(0, np.pi, 64) / np.linalg.norm(vectors, axis=1))[:, None]
    matrices = np.concatenate(
        [Rotation.from_rotvec(vectors).as_matrix(), np.diag([1, -1, -1])[None], np.diag([-1, 1, -1])[None]]
    )
    back = jax.vmap(matrix_to_axis_angle)(jnp.asarray(matrices, jnp.float32))
    np.testing.assert_allclose(Rotation.from_rotvec(np.asarray(back)).as_matrix(), matrices, atol=2e-6)


def test_similarity_recovers_a_known_motion_and_ignores_points_without_weight():
    rng = np.random.default_rng(2)
    source = rng.normal(size=(40, 3))
    rotation = Rotation.from_euler("yxz", [70, -20, 170], degrees=True).as_matrix()
    target = 3.7 * source @ rotation.T + [0.2, -0.4, 5.0]
    target[:5] += 10
    weight = np.r_[np.zeros(5), rng.uniform(0.5, 2, 35)]
    found = align_similarity(*(jnp.asarray(a, jnp.float32) for a in (source, target, weight)))
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-5)
    np.testing.assert_allclose(found.scale, 3.7, rtol=1e-5)
    np.testing.assert_allclose(found.translation, [0.2, -0.4, 5.0], atol=1e-4)

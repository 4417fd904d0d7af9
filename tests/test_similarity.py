"""Alignment against SciPy's rotations: single precision in JAX, double in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emoca_jax.similarity import align_similarity


@pytest.mark.parametrize(("xp", "precision"), [(jnp, 1e-5), (np, 1e-12)])
def test_similarity_recovers_a_known_motion_and_ignores_points_without_weight(xp, precision):
    rng = np.random.default_rng(2)
    source = rng.normal(size=(40, 3))
    rotation = Rotation.from_euler("yxz", [70, -20, 170], degrees=True).as_matrix()
    target = 3.7 * source @ rotation.T + [0.2, -0.4, 5.0]
    target[:5] += 10
    weight = np.r_[np.zeros(5), rng.uniform(0.5, 2, 35)]
    kind = np.float32 if xp is jnp else np.float64
    source, target, weight = (xp.asarray(array, kind) for array in (source, target, weight))
    found = align_similarity(source, target, weight=weight)
    assert isinstance(found.rotation, jax.Array if xp is jnp else np.ndarray)
    np.testing.assert_allclose(found.rotation, rotation, atol=precision)
    np.testing.assert_allclose(found.scale, 3.7, rtol=precision)
    np.testing.assert_allclose(found.translation, [0.2, -0.4, 5.0], atol=10 * precision)
    np.testing.assert_allclose(found.apply(source)[5:], target[5:], atol=10 * precision)

"""The blocked Cholesky against NumPy in double precision."""

import jax
import numpy as np
import pytest

from emoca_jax.fit.positive_solve import BLOCK, solve_positive


@pytest.mark.parametrize("count", [1, BLOCK, 3 * BLOCK + 5])
def test_badly_scaled_systems_are_solved_to_single_precision(count):
    rng = np.random.default_rng(count)
    # Unknowns of very different size, as pose, camera and identity are.
    scale = np.logspace(-3, 3, count)
    square = rng.normal(size=(count, 2 * count))
    matrix = (square @ square.T * np.outer(scale, scale)).astype(np.float32)
    solution = rng.normal(size=count)
    right = (matrix.astype(float) @ (solution / scale)).astype(np.float32)
    found = np.asarray(jax.jit(solve_positive)(matrix, right), float) * scale
    np.testing.assert_allclose(found, np.linalg.solve(matrix.astype(float), right) * scale, atol=2e-4)


def test_a_batch_is_solved_each_for_itself_and_an_indefinite_matrix_gives_no_number():
    matrices = np.stack([np.eye(3), np.diag([2.0, 4.0, 8.0]), np.diag([1.0, -1.0, 1.0])]).astype(np.float32)
    found = jax.vmap(solve_positive)(matrices, np.ones((3, 3), np.float32))
    np.testing.assert_allclose(found[:2], [[1, 1, 1], [0.5, 0.25, 0.125]], rtol=1e-6)
    assert np.isnan(found[2]).any()

"""Bounded Levenberg-Marquardt against SciPy's bounded solvers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares, lsq_linear

from emoca_jax.fit.least_squares import bounded_least_squares


def test_linear_problem_with_active_bounds_matches_scipy():
    rng = np.random.default_rng(0)
    matrix, target = rng.normal(size=(60, 25)), rng.normal(size=60) * 3
    lower, upper = -np.full(25, 0.05), np.full(25, 0.3)
    lower[3] = upper[3] = 0.1
    oracle = lsq_linear(matrix, target, (np.where(lower == upper, lower - 1e-9, lower), upper), tol=1e-12)
    a, b = jnp.asarray(matrix, jnp.float32), jnp.asarray(target, jnp.float32)
    least, most = jnp.asarray(lower, jnp.float32), jnp.asarray(upper, jnp.float32)
    found = bounded_least_squares(lambda x: a @ x - b, jnp.zeros(25), least, most, jnp.zeros(25), 15)
    assert np.sum((oracle.x <= lower + 1e-6) | (oracle.x >= upper - 1e-6)) > 5
    np.testing.assert_allclose(found.parameters, oracle.x, atol=2e-4)
    assert found.cost == pytest.approx(oracle.cost, rel=1e-5)


def test_curved_valley_within_bounds_matches_scipy_also_under_vmap():
    def rosenbrock(x):
        return jnp.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    lower, upper = jnp.array([-2.0, -2.0]), jnp.array([0.8, 2.0])
    starts = jnp.array([[-1.2, 1.0], [0.5, -1.0]])
    solve = jax.vmap(lambda s: bounded_least_squares(rosenbrock, s, lower, upper, jnp.zeros(2), 60))
    oracle = least_squares(lambda x: np.asarray(rosenbrock(x)), [0.5, -1.0], bounds=(lower, upper), xtol=1e-12)
    np.testing.assert_allclose(solve(starts).parameters, np.stack([oracle.x] * 2), atol=1e-3)


def test_linear_cost_switches_off_what_is_not_worth_it():
    found = bounded_least_squares(
        lambda x: x - jnp.array([1.0, 0.2]), jnp.zeros(2), jnp.zeros(2), jnp.ones(2), jnp.full(2, 0.3), 10
    )
    np.testing.assert_allclose(found.parameters, [0.7, 0.0], atol=1e-5)

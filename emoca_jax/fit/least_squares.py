"""Bounded non-linear least squares: Levenberg-Marquardt steps whose quadratic model is solved inside box bounds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.fit.positive_solve import solve_positive
from emoca_jax.products import PRECISION, precise_matmul

PIVOTING_ROUNDS = 8
"""At most, of block principal pivoting (Portugal, Judice and Vicente 1994); face fits settle within four."""
DAMPING_START, DAMPING_DOWN, DAMPING_UP = 1e-3, 0.3, 5.0
"""Marquardt's damping: relative to the diagonal, lowered after a step that helps, raised after one that does not."""
DAMPING_RANGE = (1e-7, 1e3)


class Minimum(NamedTuple):
    """Where the sum of squares is least, and half of it there."""

    parameters: Float[Array, "n"]
    cost: Float[Array, ""]


class NormalEquations(NamedTuple):
    """What Gauss and Newton know of a sum of squares at one place."""

    hessian: Float[Array, "n n"]
    gradient: Float[Array, "n"]


def bounded_least_squares(
    residuals: Callable[[Float[Array, "n"]], Float[Array, "m"]],
    start: Float[Array, "n"],
    lower: Float[Array, "n"],
    upper: Float[Array, "n"],
    linear: Float[Array, "n"],
    steps: int,
) -> Minimum:
    """Minimise |residuals(x)|^2 / 2 + linear . x with lower <= x <= upper, in a fixed number of damped steps.

    Traceable (jit, vmap). A step that does not lower the cost is not taken. Equal bounds freeze a parameter.
    Source: Levenberg 1944, Marquardt 1963; bounds by active-set pivoting on each step's quadratic.
    """
    equations = functools.partial(normal_equations, residuals)
    return bounded_minimum(
        equations,
        lambda x: _half_square(residuals(x)),
        start,
        lower,
        upper,
        linear,
        steps,
    )


def normal_equations(
    residuals: Callable[[Float[Array, "n"]], Float[Array, "m"]], x: Float[Array, "n"]
) -> NormalEquations:
    """Of half the square of the residuals, at x."""
    r, push = jax.linearize(residuals, x)
    jacobian = jax.vmap(push)(jnp.eye(x.shape[0], dtype=x.dtype))
    return NormalEquations(precise_matmul(jacobian, jacobian.T), precise_matmul(jacobian, r))


def bounded_minimum(
    equations: Callable[[Float[Array, "n"]], NormalEquations],
    half_square: Callable[[Float[Array, "n"]], Float[Array, ""]],
    start: Float[Array, "n"],
    lower: Float[Array, "n"],
    upper: Float[Array, "n"],
    linear: Float[Array, "n"],
    steps: int,
) -> Minimum:
    """`bounded_least_squares` for whoever knows more of the residuals: which of them depends on what, say.

    equations, half_square: of the residuals, at given parameters.
    """

    def cost(x: jax.Array) -> jax.Array:
        return half_square(x) + jnp.vdot(linear, x, precision=PRECISION)

    def step(state: tuple, _: None) -> tuple[tuple, None]:
        x, value, damping = state
        hessian, pull = equations(x)
        gradient = pull + linear
        damped = hessian + jnp.diag(damping * jnp.diag(hessian) + 1e-9 * jnp.max(jnp.diag(hessian)))
        candidate = jnp.clip(x + _box_quadratic(damped, gradient, lower - x, upper - x), lower, upper)
        candidate_value = cost(candidate)
        better = candidate_value < value
        damping = jnp.clip(damping * jnp.where(better, DAMPING_DOWN, DAMPING_UP), *DAMPING_RANGE)
        return (jnp.where(better, candidate, x), jnp.where(better, candidate_value, value), damping), None

    start = jnp.clip(start, lower, upper)
    state = (start, cost(start), jnp.asarray(DAMPING_START, start.dtype))
    (x, value, _), _ = jax.lax.scan(step, state, None, length=steps)
    return Minimum(x, value)


def _half_square(r: Float[Array, "m"]) -> Float[Array, ""]:
    return 0.5 * jnp.vdot(r, r, precision=PRECISION)


def _box_quadratic(
    hessian: Float[Array, "n n"], gradient: Float[Array, "n"], lower: Float[Array, "n"], upper: Float[Array, "n"]
) -> Float[Array, "n"]:
    """argmin d.H.d / 2 + g.d within the box, by block principal pivoting: all wrongly bound or freed variables swap."""

    def solve(at_lower: jax.Array, at_upper: jax.Array) -> jax.Array:
        held = at_lower | at_upper
        value = jnp.where(at_lower, lower, 0.0) + jnp.where(at_upper & ~at_lower, upper, 0.0)
        free = ~held
        target = -(gradient + precise_matmul(hessian, value))
        masked = jnp.where(free[:, None] & free[None, :], hessian, 0.0) + jnp.diag(held.astype(hessian.dtype))
        return jnp.where(free, solve_positive(masked, jnp.where(free, target, 0.0)), value)

    def pivot(sets: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        at_lower, at_upper = sets
        step = solve(at_lower, at_upper)
        slope = precise_matmul(hessian, step) + gradient
        fixed = lower == upper
        stays_low, stays_up = at_lower & (slope > 0), at_upper & (slope < 0)
        free = ~(at_lower | at_upper)
        return fixed | stays_low | (free & (step < lower)), ~fixed & (stays_up | (free & (step > upper)))

    def unsettled(state: tuple) -> jax.Array:
        round_, sets, before = state
        moved = jnp.any((sets[0] != before[0]) | (sets[1] != before[1]))
        return (round_ < PIVOTING_ROUNDS) & ((round_ == 0) | moved)

    def turn(state: tuple) -> tuple:
        return state[0] + 1, pivot(state[1]), state[1]

    fixed = lower == upper
    start = (fixed, jnp.zeros_like(fixed))
    _, (at_lower, at_upper), _ = jax.lax.while_loop(unsettled, turn, (0, start, start))
    return jnp.clip(solve(at_lower, at_upper), lower, upper)

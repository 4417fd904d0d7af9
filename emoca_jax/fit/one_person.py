"""One identity off the landmarks of several photos of a person: what single photos leave open, others tell."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy import linalg
from jaxtyping import Array, Float

from emoca_jax import flame
from emoca_jax.files.kept_programs import kept
from emoca_jax.fit.landmark_model import LandmarkModel
from emoca_jax.fit.landmarks import (
    LM_STEPS,
    LandmarkFit,
    LandmarkGoal,
    bounds,
    closed_start,
    landmark_goal,
    residuals,
    sparsity,
)
from emoca_jax.fit.least_squares import NormalEquations, bounded_minimum, normal_equations
from emoca_jax.fit.start import Variables, codes_of
from emoca_jax.products import PRECISION

IDENTITY_SHARE = 3.0
"""Of the identity prior's energy, all photos together, against a single photo's."""
POINTS_SHARE = 0.2
"""Of what residuals of a single photo's points weigh (of their squares .04). They err together, and in each photo
otherwise: of them as many as there are photos count, not as many as there are points, which a single photo's weights
leave aside for its head to lie over it. Chosen on drawn people, three views each (docs/open-head.md, "Several photos
of a person"), the former anew when points cost a single photo more, so that three photos' exact landmarks tell more
than one's."""


def sharing_identity(model: LandmarkModel, photos: int) -> LandmarkModel:
    """The model for each of so many photos of a person: of what identity costs a part, so that all together are one."""
    part = 1 / photos**0.5
    return model.replace(
        identity=part * IDENTITY_SHARE**0.5 * model.identity, mouth=part * model.mouth, brow=part * model.brow
    )


@kept(static=("steps",))
def fit_person(
    model: LandmarkModel,
    landmarks: Float[Array, "photos 478 3"],
    probabilities: Float[Array, "photos 7"],
    units: Float[Array, "photos units"] | None,
    *,
    steps: int = LM_STEPS,
) -> LandmarkFit:
    """Codes (light and albedo left at zero), one row per photo, all of the same identity, which explains the landmarks
    of all photos together; expression, pose and camera are each photo's own.

    landmarks, probabilities, units: as of `fit_landmarks`, a row per photo. The cost is that of all photos.
    """
    photos = landmarks.shape[0]
    shared = sharing_identity(model, photos)
    start = jax.vmap(lambda points, told: closed_start(model, points, told))(landmarks, units)
    rotations = flame.rotation_matrix(start.rotation)
    goals = jax.vmap(lambda *face: _goal(model, *face))(landmarks, probabilities, rotations, units)

    one = jax.tree.map(lambda leaf: leaf[0], start)
    shapes = one.shape.shape[0]
    _, as_own = ravel_pytree(_own(one))

    def of_photo(goal: LandmarkGoal, flat: Array) -> Array:
        """Residuals of a photo by identity and what is its own."""
        return residuals(shared, goal, codes_of(as_own(flat[shapes:]).replace(shape=flat[:shapes])))

    def each(flat: Array) -> Array:
        """Every photo's unknowns: identity, and what is its own."""
        own = flat[shapes:].reshape(photos, -1)
        return jnp.concatenate([jnp.broadcast_to(flat[:shapes], (photos, shapes)), own], axis=1)

    def equations(flat: Array) -> NormalEquations:
        parts = jax.vmap(lambda goal, x: normal_equations(lambda y: of_photo(goal, y), x))(goals, each(flat))
        return together(parts, shapes)

    def half_square(flat: Array) -> Array:
        r = jax.vmap(of_photo)(goals, each(flat)).ravel()
        return 0.5 * jnp.vdot(r, r, precision=PRECISION)

    lower, upper = (
        jnp.concatenate([bound.shape, jnp.tile(ravel_pytree(_own(bound))[0], photos)]) for bound in bounds(model, one)
    )
    price = jax.vmap(lambda goal: sparsity(model, goal))(goals)
    cost = jax.tree.map(jnp.zeros_like, _own(start)).replace(expression=price)
    minimum = bounded_minimum(
        equations,
        half_square,
        _flat(start),
        lower,
        upper,
        _flat(cost.replace(shape=jnp.zeros_like(start.shape))),
        steps,
    )
    return LandmarkFit(
        jax.vmap(lambda x: codes_of(as_own(x[shapes:]).replace(shape=x[:shapes])))(each(minimum.parameters)),
        minimum.cost,
    )


def _goal(
    model: LandmarkModel, landmarks: Array, probabilities: Array, rotation: Array, units: Array | None
) -> LandmarkGoal:
    goal = landmark_goal(model, landmarks, probabilities, rotation, units)
    return goal.replace(share=POINTS_SHARE * goal.share, seal=POINTS_SHARE * goal.seal)


def _own(variables: Variables) -> Variables:
    """What of a photo's variables no other photo shares."""
    return variables.replace(shape=variables.shape[..., :0])


def _flat(variables: Variables) -> Float[Array, "n"]:
    """All unknowns in a row: one identity, the others photo by photo."""
    own = jax.vmap(lambda one: ravel_pytree(one)[0])(_own(variables))
    return jnp.concatenate([variables.shape[0], own.ravel()])


def together(parts: NormalEquations, shapes: int) -> NormalEquations:
    """Equations of all photos' unknowns, off those of each: photos know of each other by identity alone."""
    shared = jnp.sum(parts.hessian[:, :shapes, :shapes], axis=0)
    across = jnp.concatenate(list(parts.hessian[:, :shapes, shapes:]), axis=1)
    own = linalg.block_diag(*parts.hessian[:, shapes:, shapes:])
    return NormalEquations(
        jnp.block([[shared, across], [across.T, own]]),
        jnp.concatenate([jnp.sum(parts.gradient[:, :shapes], axis=0), parts.gradient[:, shapes:].ravel()]),
    )

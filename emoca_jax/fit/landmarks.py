"""First half of a fit: identity, expression, pose and camera from landmarks and the emotion prior, by bounded LM."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.files.kept_programs import kept
from emoca_jax.fit.expression_prior import ExpressionPrior, brows_raised, expected_units
from emoca_jax.fit.lag import lagging
from emoca_jax.fit.landmark_model import LandmarkModel, face_width, facing, points_of
from emoca_jax.fit.least_squares import bounded_least_squares
from emoca_jax.fit.openings import iris_weight, lips_closed, mouth_wide
from emoca_jax.fit.start import Variables, closed_form, codes_of, variables_of
from emoca_jax.products import PRECISION, precise_matmul

LM_STEPS = 12
LANDMARK_WEIGHT = 42.0
"""All landmarks together, each off by 1 % of the face width, weigh as much as one prior residual of this size."""
DEPTH_SHARE = 0.03
"""Weight of the landmark network's depth against its image coordinates: right in sign, rough in size. At .12 it made
every nose longer by 2 to 3 mm, and faces of drawn people worse by 7 % (docs/open-head.md, "Depth and noses")."""
EXPRESSION_WEIGHT = 1.0
SPARSITY_WEIGHT = 10.0
EMOTION_WEIGHT = 16.0
COUPLING_WEIGHT = 6.0
JAW_WEIGHT = 2.0
READ_WEIGHT = 13.0
"""Of units that were read off the landmarks."""
SPARSITY_WHEN_READ = 0.4
"""Share of the sparsity that stays then: a unit that is still has been read as such."""
EMOTION_WHEN_READ = 0.35
"""Share of EMOTION_WEIGHT that stays then (of its squares .12): seven classes say less of a frown or a raised brow than
landmarks do, and a face that looks calm as a whole would lose both (benchmarks/drawn_units.py)."""
MOUTH_AT_REST, MOUTH_OPEN = 1.5, 4.0
"""Per millimetre (RMS) that identity moves lips and chin, of a mouth at rest and of one that is wide open, whose points
say little of the mouth at rest: without, a man who shouts has lips that no drawn person has. Chosen on 16 drawn people
(docs/open-head.md, "Mouths at rest")."""
BROWS_RAISED = 4.0
"""The same of brows and forehead, of brows that were read as fully raised; nothing at rest. Without, a surprised woman
has a ridge over her eyes. More of it costs her landmarks (docs/open-head.md, "Raised brows")."""
SHAPE_LIMIT = 3.5
"""Bound on identity codes, standard deviations."""
SEAL_SHARE = 0.2
"""Weight of the gap at each of the INNER_LIPS of a closed mouth, in parts of all landmarks: found points of closed lips
on each other say less than that, as the network finds drawn lips that touch a little apart (`LandmarkLag`)."""


class LandmarkGoal(struct.PyTreeNode):
    """What one face's landmarks ask for."""

    target: Float[Array, "points 3"]
    share: Float[Array, "points"]
    """Residual per unit of distance; 0 where the point is turned away."""
    seal: Float[Array, ""]
    """Residual per unit of distance between the INNER_LIPS; 0 for a mouth that is not closed."""
    mouth: Float[Array, ""]
    """Residual per millimetre (RMS) that identity moves lips and chin."""
    brow: Float[Array, ""]
    """The same of brows and forehead."""
    probabilities: Float[Array, "7"]
    units: Float[Array, "units"] | None = None
    """What was read off the landmarks, in the head's order, NaN for units that were not; None where nothing was."""


class LandmarkFit(struct.PyTreeNode):
    """Codes fitted to landmarks, and what is left of the energy."""

    codes: Codes
    cost: Float[Array, "*batch"]


@kept(static=("steps",))
def fit_landmarks(
    model: LandmarkModel,
    landmarks: Float[Array, "batch 478 3"],
    probabilities: Float[Array, "batch 7"],
    units: Float[Array, "batch units"] | None,
    begun: Codes | None,
    *,
    steps: int = LM_STEPS,
) -> LandmarkFit:
    """Codes (light and albedo left at zero) whose head explains the landmarks, one fit per row.

    landmarks: image plane [-1, 1]^2, x right, y down, z in the same unit growing away from the viewer.
    probabilities: expression network on the photo, order EXPRESSION_CLASSES. units: strengths that a network read off
    the landmarks, in the head's order, NaN where it knows none: start of the fit, departed from with reason only.
    begun: where fits begin instead (`encode_landmarks`), which then need few steps; None: in closed form.
    """

    def one(landmarks: Array, probabilities: Array, units: Array | None, begun: Codes | None) -> LandmarkFit:
        start = closed_start(model, landmarks, units) if begun is None else variables_of(begun)
        return _fit_one(model, landmarks, probabilities, units, start, steps)

    return jax.vmap(one)(landmarks, probabilities, units, begun)


def closed_start(
    model: LandmarkModel, landmarks: Float[Array, "478 3"], units: Float[Array, "units"] | None
) -> Variables:
    """Where a face's fit begins if nothing else is known; arguments as of `fit_landmarks`."""
    start = closed_form(model, landmarks[model.index]).variables
    if units is None:
        return start
    return start.replace(expression=jnp.minimum(model.prior.trust, 1.0) * jnp.nan_to_num(units))


def _fit_one(
    model: LandmarkModel,
    landmarks: jax.Array,
    probabilities: jax.Array,
    units: jax.Array | None,
    start: Variables,
    steps: int,
) -> LandmarkFit:
    goal = landmark_goal(model, landmarks, probabilities, flame.rotation_matrix(start.rotation), units)
    flat, unravel = ravel_pytree(start)
    lower, upper = (ravel_pytree(bound)[0] for bound in bounds(model, start))
    cost = jax.tree.map(jnp.zeros_like, start).replace(expression=sparsity(model, goal))
    minimum = bounded_least_squares(
        lambda parameters: residuals(model, goal, codes_of(unravel(parameters))),
        flat,
        lower,
        upper,
        ravel_pytree(cost)[0],
        steps,
    )
    return LandmarkFit(codes_of(unravel(minimum.parameters)), minimum.cost)


def landmark_goal(
    model: LandmarkModel,
    landmarks: Float[Array, "478 3"],
    probabilities: Float[Array, "7"],
    rotation: Float[Array, "3 3"],
    units: Float[Array, "units"] | None,
) -> LandmarkGoal:
    """Targets and weights for one face whose head is turned by about `rotation`: points turned away do not count."""
    weight = model.weight * facing(model, rotation) * iris_weight(model.index, landmarks)
    scale = LANDMARK_WEIGHT * 100.0 / face_width(landmarks)
    share = scale * jnp.sqrt(weight / jnp.sum(weight))
    seal = scale * SEAL_SHARE * lips_closed(landmarks)
    mouth = MOUTH_AT_REST + (MOUTH_OPEN - MOUTH_AT_REST) * mouth_wide(landmarks)
    brow = BROWS_RAISED * brows_raised(model.prior, units)
    return LandmarkGoal(landmarks[model.index], share, seal, mouth, brow, probabilities, units)


def residuals(model: LandmarkModel, goal: LandmarkGoal, codes: Codes) -> Float[Array, "rows"]:
    """Landmark, depth, lip and prior residuals of one face; half their square is the energy without its sparsity."""
    points = points_of(model, codes)
    difference = render.weak_perspective(lagging(model.lag, codes, points), codes.camera) - goal.target
    # Where the lips are, not where the network would find them: it finds lips that touch apart.
    upper, lower = (render.weak_perspective(points[lips], codes.camera)[:, :2] for lips in model.lips)
    trust = goal.share**2
    depth = difference[:, 2] - jnp.sum(trust * difference[:, 2]) / jnp.sum(trust)
    return jnp.concatenate(
        [
            (goal.share[:, None] * difference[:, :2]).ravel(),
            goal.share * DEPTH_SHARE * depth,
            goal.seal * (upper - lower).ravel(),
            precise_matmul(model.identity, codes.shape),
            goal.mouth * precise_matmul(model.mouth, codes.shape),
            goal.brow * precise_matmul(model.brow, codes.shape),
            *prior_residuals(model.prior, codes.expression, goal.probabilities, goal.units),
            *_read_residuals(model.prior, codes.expression, goal.units),
            JAW_WEIGHT * codes.jaw,
        ]
    )


def energy(model: LandmarkModel, goal: LandmarkGoal, codes: Codes) -> Float[Array, ""]:
    """What the landmark fit minimises."""
    r = residuals(model, goal, codes)
    return 0.5 * jnp.vdot(r, r, precision=PRECISION) + jnp.vdot(
        sparsity(model, goal), codes.expression, precision=PRECISION
    )


def sparsity(model: LandmarkModel, goal: LandmarkGoal) -> Float[Array, "units"]:
    """Linear price of each unit."""
    return SPARSITY_WEIGHT * _share_when_read(goal.units, SPARSITY_WHEN_READ) * model.prior.cost


def _share_when_read(units: Float[Array, "units"] | None, share: float) -> Float[Array, "units"] | float:
    """The share for units that were read, 1 for those that were not."""
    return 1.0 if units is None else jnp.where(jnp.isnan(units), 1.0, share)


def prior_residuals(
    prior: ExpressionPrior,
    expression: Float[Array, "units"],
    probabilities: Float[Array, "7"],
    units: Float[Array, "units"] | None,
) -> list[Float[Array, "_residuals"]]:
    """Residual blocks of the quadratic priors of the units: size, couplings, emotion."""
    mean, weight = expected_units(prior, probabilities)
    return [
        EXPRESSION_WEIGHT * expression,
        COUPLING_WEIGHT * precise_matmul(prior.couplings, expression),
        EMOTION_WEIGHT * _share_when_read(units, EMOTION_WHEN_READ) * jnp.sqrt(weight) * (expression - mean),
    ]


def _read_residuals(
    prior: ExpressionPrior, expression: Float[Array, "units"], units: Float[Array, "units"] | None
) -> list[Float[Array, "_residuals"]]:
    """How far units are from what was read off the landmarks."""
    if units is None:
        return []
    return [READ_WEIGHT * jnp.sqrt(prior.trust) * jnp.where(jnp.isnan(units), 0.0, expression - units)]


def bounds(model: LandmarkModel, start: Variables) -> tuple[Variables, Variables]:
    """Box bounds; a head with named units opens its mouth by jawOpen, so its jaw joint stays shut."""
    jaw_limit = 0.0 if model.points.bounded_expression else 1.0
    everything = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.inf), start)
    upper = everything.replace(
        shape=jnp.full_like(start.shape, SHAPE_LIMIT),
        expression=model.prior.upper,
        jaw=jnp.full((3,), jaw_limit),
    )
    lower = jax.tree.map(jnp.negative, upper).replace(expression=model.prior.lower)
    return lower, upper

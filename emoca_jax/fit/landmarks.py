"""First half of a fit: identity, expression, pose and camera from landmarks and the emotion prior, by bounded LM."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.fit.expression_prior import ExpressionPrior, expected_units, expression_prior
from emoca_jax.fit.identity_prior import identity_prior
from emoca_jax.fit.lag import lagging, turned_lag
from emoca_jax.fit.least_squares import bounded_least_squares
from emoca_jax.fit.openings import INNER_LIPS, IRIS_CENTRES, iris_weight, lips_closed
from emoca_jax.fit.outline import outline_region
from emoca_jax.flame.head import FaceHead, LandmarkEmbedding, LandmarkLag
from emoca_jax.flame.rotations import axis_angle_from_matrix
from emoca_jax.flame.subset import point_head
from emoca_jax.mediapipe_points import BROWS, CHEEKS, LEFT_EYE_RING, LIP_RINGS, RIGHT_EYE_RING
from emoca_jax.model import pose
from emoca_jax.products import PRECISION, precise_matmul
from emoca_jax.similarity import align_similarity

LM_STEPS = 12
LANDMARK_WEIGHT = 42.0
"""All landmarks together, each off by 1 % of the face width, weigh as much as one prior residual of this size."""
DEPTH_SHARE = 0.12
"""Weight of the landmark network's depth against its image coordinates: right in sign, rough in size."""
EXPRESSION_WEIGHT = 1.0
SPARSITY_WEIGHT = 10.0
EMOTION_WEIGHT = 16.0
COUPLING_WEIGHT = 6.0
JAW_WEIGHT = 2.0
READ_WEIGHT = 13.0
"""Of units that were read off the landmarks."""
SPARSITY_WHEN_READ = 0.4
"""Share of the sparsity that stays then: a unit that is still has been read as such."""
SHAPE_LIMIT = 3.5
"""Bound on identity codes, standard deviations."""
FACING_START, FACING_FULL = 0.05, 0.35
"""Cosine between a landmark's normal and the viewer at which it begins to count and counts in full."""
LIDS = (*RIGHT_EYE_RING, *LEFT_EYE_RING)
EXPRESSIVE_POINTS = (*LIP_RINGS[0], *LIP_RINGS[-1], *BROWS)
"""Outer and inner line of the lips, and brows: with the lids the points that carry expression."""
EXPRESSIVE_WEIGHT = 1.5
LID_WEIGHT = 12.0
"""A closed eye is a few millimetres; with lighter lids, eyes drawn shut come out less than half closed."""
IRIS_WEIGHT = 2.0
SEAL_SHARE = 0.2
"""Weight of the gap at each of the INNER_LIPS of a closed mouth, in parts of all landmarks: found points of closed lips
on each other say less than that, as the network finds drawn lips that touch a little apart (`LandmarkLag`)."""


class LandmarkModel(struct.PyTreeNode):
    """What a landmark fit needs of a head; made once per head by `landmark_model`."""

    points: FaceHead
    embedding: LandmarkEmbedding
    index: Int[Array, "points"]
    """Which of the 478 each point is."""
    weight: Float[Array, "points"]
    normals: Float[Array, "points 3"]
    """Of the template at each point."""
    prior: ExpressionPrior
    identity: Float[Array, "shapes shapes"]
    """Of `identity_prior`."""
    lips: Int[Array, "2 pairs"]
    """Of the points: INNER_LIPS; none where a head does not have them all."""
    outlined: Float[Array, "vertices"]
    """Of the whole head's: `outline_region`."""
    lag: LandmarkLag | None = None


class Variables(struct.PyTreeNode):
    """The part of the codes that landmarks see."""

    shape: Float[Array, "shapes"]
    expression: Float[Array, "expressions"]
    rotation: Float[Array, "3"]
    camera: Float[Array, "3"]
    jaw: Float[Array, "3"]


class LandmarkGoal(struct.PyTreeNode):
    """What one face's landmarks ask for."""

    target: Float[Array, "points 3"]
    share: Float[Array, "points"]
    """Residual per unit of distance; 0 where the point is turned away."""
    seal: Float[Array, ""]
    """Residual per unit of distance between the INNER_LIPS; 0 for a mouth that is not closed."""
    probabilities: Float[Array, "7"]
    units: Float[Array, "units"] | None = None
    """What was read off the landmarks, in the head's order, NaN for units that were not; None where nothing was."""


class LandmarkFit(struct.PyTreeNode):
    """Codes fitted to landmarks, and what is left of the energy."""

    codes: Codes
    cost: Float[Array, "*batch"]


def landmark_model(head: FaceHead) -> LandmarkModel:
    """Reduce a head to its MediaPipe points and pupils, with weights, template normals and the expression prior."""
    embedding, index = _with_pupils(head)
    small, points = point_head(head, embedding)
    weight = np.ones(len(index), np.float32)
    weight[np.isin(index, EXPRESSIVE_POINTS)] = EXPRESSIVE_WEIGHT
    weight[np.isin(index, LIDS)] = LID_WEIGHT
    weight[np.isin(index, IRIS_CENTRES)] = IRIS_WEIGHT
    return LandmarkModel(
        points=small,
        embedding=points,
        index=jax.device_put(index.astype(np.int32)),
        weight=jax.device_put(weight),
        normals=_point_normals(head.template, head.faces, embedding),
        prior=expression_prior(head.expression_names, head.expression_dirs.shape[-1]),
        identity=jax.device_put(identity_prior(head)),
        lips=jax.device_put(_places(index, INNER_LIPS)),
        outlined=jax.device_put(outline_region(head)),
        lag=head.landmark_lag,
    )


def _places(index: np.ndarray, lines: tuple[tuple[int, ...], tuple[int, ...]]) -> np.ndarray:
    place = {int(point): row for row, point in enumerate(index)}
    known = all(point in place for line in lines for point in line)
    return np.array([[place[point] for point in line] for line in lines] if known else [[], []], np.int32)


@jax.jit
def _point_normals(template: jax.Array, faces: jax.Array, embedding: LandmarkEmbedding) -> jax.Array:
    at_points = flame.points_on_mesh(render.vertex_normals(template, faces), faces, embedding)
    return at_points / jnp.linalg.norm(at_points, axis=-1, keepdims=True)


def face_width(landmarks: Float[Array, "*batch 478 3"]) -> Float[Array, "*batch"]:
    """3D distance between the outermost cheek points, in the landmarks' own unit."""
    first, second = CHEEKS
    return jnp.linalg.norm(landmarks[..., first, :] - landmarks[..., second, :], axis=-1)


def facing(model: LandmarkModel, rotation: Float[Array, "3 3"]) -> Float[Array, "points"]:
    """How much each point faces the viewer under a head rotation: 0 turned away, 1 in full view."""
    towards = precise_matmul(model.normals, rotation[2])
    return jnp.clip((towards - FACING_START) / (FACING_FULL - FACING_START), 0.0, 1.0)


@jax.jit
def fit_landmarks(
    model: LandmarkModel,
    landmarks: Float[Array, "batch 478 3"],
    probabilities: Float[Array, "batch 7"],
    units: Float[Array, "batch units"] | None,
) -> LandmarkFit:
    """Codes (light and albedo left at zero) whose head explains the landmarks, one fit per row.

    landmarks: image plane [-1, 1]^2, x right, y down, z in the same unit growing away from the viewer.
    probabilities: expression network on the photo, order EXPRESSION_CLASSES. units: strengths that a network read off
    the landmarks, in the head's order, NaN where it knows none: start of the fit, departed from with reason only.
    """
    return jax.vmap(functools.partial(_fit_one, model))(landmarks, probabilities, units)


def project(model: LandmarkModel, codes: Codes) -> Float[Array, "*batch points 3"]:
    """The model's points in the image plane, depth growing away, where the landmark network would find them."""
    return render.weak_perspective(found_points(model, codes), codes.camera)


def found_points(model: LandmarkModel, codes: Codes) -> Float[Array, "*batch points 3"]:
    """The model's points in the world where the landmark network would find them, metres."""
    return lagging(model.lag, codes, _points(model, codes))


def _points(model: LandmarkModel, codes: Codes) -> Float[Array, "*batch points 3"]:
    """Where the points are, metres."""
    return flame.points_on_mesh(pose(model.points, codes).vertices, model.points.faces, model.embedding)


def _fit_one(
    model: LandmarkModel, landmarks: jax.Array, probabilities: jax.Array, units: jax.Array | None
) -> LandmarkFit:
    start, rotation = _start(model, landmarks[model.index])
    if units is not None:
        start = start.replace(expression=jnp.minimum(model.prior.trust, 1.0) * jnp.nan_to_num(units))
    goal = landmark_goal(model, landmarks, probabilities, rotation, units)
    flat, unravel = ravel_pytree(start)
    lower, upper = (ravel_pytree(bound)[0] for bound in _bounds(model, start))
    cost = jax.tree.map(jnp.zeros_like, start).replace(expression=_sparsity(model, goal))
    minimum = bounded_least_squares(
        lambda parameters: residuals(model, goal, _codes(unravel(parameters))),
        flat,
        lower,
        upper,
        ravel_pytree(cost)[0],
        LM_STEPS,
    )
    return LandmarkFit(_codes(unravel(minimum.parameters)), minimum.cost)


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
    return LandmarkGoal(landmarks[model.index], share, seal, probabilities, units)


def residuals(model: LandmarkModel, goal: LandmarkGoal, codes: Codes) -> Float[Array, "rows"]:
    """Landmark, depth, lip and prior residuals of one face; half their square is the energy without its sparsity."""
    points = _points(model, codes)
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
            *prior_residuals(model.prior, codes.expression, goal.probabilities),
            *_read_residuals(model.prior, codes.expression, goal.units),
            JAW_WEIGHT * codes.jaw,
        ]
    )


def energy(model: LandmarkModel, goal: LandmarkGoal, codes: Codes) -> Float[Array, ""]:
    """What the landmark fit minimises."""
    r = residuals(model, goal, codes)
    return 0.5 * jnp.vdot(r, r, precision=PRECISION) + jnp.vdot(
        _sparsity(model, goal), codes.expression, precision=PRECISION
    )


def _sparsity(model: LandmarkModel, goal: LandmarkGoal) -> Float[Array, "units"]:
    """Linear price of each unit."""
    share = 1.0 if goal.units is None else jnp.where(jnp.isnan(goal.units), 1.0, SPARSITY_WHEN_READ)
    return SPARSITY_WEIGHT * share * model.prior.cost


def prior_residuals(
    prior: ExpressionPrior,
    expression: Float[Array, "units"],
    probabilities: Float[Array, "7"],
) -> list[Float[Array, "_residuals"]]:
    """Residual blocks of the quadratic priors of the units: size, couplings, emotion."""
    mean, weight = expected_units(prior, probabilities)
    return [
        EXPRESSION_WEIGHT * expression,
        COUPLING_WEIGHT * precise_matmul(prior.couplings, expression),
        EMOTION_WEIGHT * jnp.sqrt(weight) * (expression - mean),
    ]


def _read_residuals(
    prior: ExpressionPrior, expression: Float[Array, "units"], units: Float[Array, "units"] | None
) -> list[Float[Array, "_residuals"]]:
    """How far units are from what was read off the landmarks."""
    if units is None:
        return []
    return [READ_WEIGHT * jnp.sqrt(prior.trust) * jnp.where(jnp.isnan(units), 0.0, expression - units)]


def _start(model: LandmarkModel, target: jax.Array) -> tuple[Variables, jax.Array]:
    """Neutral mean head, aligned to the landmarks in closed form."""
    head = model.points
    points = flame.points_on_mesh(head.template, head.faces, model.embedding)
    upright = target * jnp.array([[1.0, -1.0, -1.0]])
    aligned = align_similarity(_as_turned(model, points, upright), upright, weight=model.weight)
    root = precise_matmul(head.joint_regressor[0], head.template)
    turned_root = root - precise_matmul(aligned.rotation, root)
    shift = aligned.translation / aligned.scale - turned_root
    zeros = functools.partial(jnp.zeros, dtype=jnp.float32)
    variables = Variables(
        shape=zeros(head.shape_dirs.shape[-1]),
        expression=zeros(head.expression_dirs.shape[-1]),
        rotation=axis_angle_from_matrix(aligned.rotation),
        camera=jnp.concatenate([aligned.scale[None], shift[:2]]),
        jaw=zeros(3),
    )
    return variables, aligned.rotation


def _as_turned(model: LandmarkModel, points: jax.Array, upright: jax.Array) -> jax.Array:
    """Points of the template with the lag of the turn in which they lie over the target: a profile, which the network
    draws turned by 60 degrees, starts as one."""
    turn = model.lag.turn if model.lag is not None else None
    if turn is None:
        return points
    shown = points
    for _ in range(2):
        # Twice and no more: between 60 and 85 degrees what is found hardly changes, so that little noise turns a lot.
        rotation = align_similarity(shown, upright, weight=model.weight).rotation
        shown = points + precise_matmul(turned_lag(turn, rotation), rotation)
    return shown


def _bounds(model: LandmarkModel, start: Variables) -> tuple[Variables, Variables]:
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


def _codes(variables: Variables) -> Codes:
    return Codes(
        shape=variables.shape,
        expression=variables.expression,
        pose=jnp.stack([variables.rotation, jnp.zeros(3)]),
        jaw=variables.jaw,
        eyes=jnp.zeros((2, 3)),
        camera=variables.camera,
        light=jnp.zeros((9, 3)),
        albedo=jnp.zeros((0,)),
    )


def visible_points(model: LandmarkModel, codes: Codes) -> Bool[Array, "points"]:
    """Points that face the viewer at all under the fitted head rotation."""
    return facing(model, flame.rotation_matrix(codes.pose[0])) > 0


def _with_pupils(head: FaceHead) -> tuple[LandmarkEmbedding, np.ndarray]:
    """MediaPipe embedding plus the front-most vertex of each eyeball, where the head says which faces are eyes."""
    base, index = head.landmarks_mediapipe, np.asarray(head.mediapipe_index)
    if "eyes" not in head.part_names:
        return base, index
    faces, template = np.asarray(head.faces), np.asarray(head.template)
    eye_faces = np.flatnonzero(np.asarray(head.face_part) == head.part_names.index("eyes"))
    face_index, barycentric = [], []
    for sign in (-1, 1):
        side = eye_faces[sign * template[faces[eye_faces], 0].mean(1) > 0]
        face, corner = np.unravel_index(np.argmax(template[faces[side], 2]), (len(side), 3))
        face_index.append(side[face])
        barycentric.append(np.eye(3, dtype=np.float32)[corner])
    embedding = LandmarkEmbedding(
        face_index=jax.device_put(np.concatenate([base.face_index, np.array(face_index, np.int32)])),
        barycentric=jax.device_put(np.concatenate([base.barycentric, np.stack(barycentric)])),
    )
    return embedding, np.concatenate([index, IRIS_CENTRES])

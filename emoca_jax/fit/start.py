"""Where a fit to landmarks begins: the average head at rest, laid over them in closed form."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.fit.lag import turned_lag
from emoca_jax.fit.landmark_model import LandmarkModel
from emoca_jax.flame.rotations import axis_angle_from_matrix
from emoca_jax.products import precise_matmul
from emoca_jax.similarity import align_similarity


class Variables(struct.PyTreeNode):
    """The part of the codes that landmarks see."""

    shape: Float[Array, "*batch shapes"]
    expression: Float[Array, "*batch expressions"]
    rotation: Float[Array, "*batch 3"]
    camera: Float[Array, "*batch 3"]
    jaw: Float[Array, "*batch 3"]


class Start(struct.PyTreeNode):
    """The average head, laid over landmarks."""

    variables: Variables
    rotation: Float[Array, "3 3"]
    """The head's, as a matrix."""
    points: Float[Array, "points 3"]
    """The model's on the template, where they are, metres."""
    root: Float[Array, "3"]
    """The joint around which the head turns."""


def closed_form(model: LandmarkModel, target: Float[Array, "points 3"]) -> Start:
    """The neutral mean head, aligned to the model's points of one face in closed form.

    target: image plane [-1, 1]^2, x right, y down, z in the same unit growing away from the viewer.
    """
    head = model.points
    points = flame.points_on_mesh(head.template, head.faces, model.embedding)
    upright = in_world(target)
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
    return Start(variables, aligned.rotation, points, root)


def in_world(target: Float[Array, "points 3"]) -> Float[Array, "points 3"]:
    """Points of the image plane with the world's axes: y up, z towards the viewer."""
    return target * jnp.array([[1.0, -1.0, -1.0]])


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


def codes_of(variables: Variables) -> Codes:
    """Codes of no light and no albedo."""
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


def variables_of(codes: Codes) -> Variables:
    """What landmarks see of the codes."""
    return Variables(
        shape=codes.shape, expression=codes.expression, rotation=codes.pose[0], camera=codes.camera, jaw=codes.jaw
    )

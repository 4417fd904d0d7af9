"""Codes of the head that ships off a face's landmarks in one pass: a few thousandths of a second in place of a fit.

From the closed form on, two learned steps: each sees where the head's points lie beside the landmarks, and says what
the codes lack. They were taught by the energy that a fit minimises (scripts/train_code_reader.py), so that the answer
is about a fit's.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.files.kept_programs import kept
from emoca_jax.fit.landmark_model import LandmarkModel, found_points
from emoca_jax.fit.landmarks import SHAPE_LIMIT
from emoca_jax.fit.start import Variables, closed_form, codes_of, in_world
from emoca_jax.flame.rotations import axis_angle_from_matrix
from emoca_jax.nets.code_reader import STEPS, CodeReader, CodeStep
from emoca_jax.nets.weights import Parameters, load_shipped_weights
from emoca_jax.products import precise_matmul

ASSET = "code_reader"


@functools.cache
def load_code_reader() -> Parameters:
    """The weights that ship, of the head that ships."""
    return load_shipped_weights(ASSET)


@kept()
def encode_landmarks(
    model: LandmarkModel,
    network: Parameters,
    landmarks: Float[Array, "batch 478 3"],
    units: Float[Array, "batch units"],
) -> Codes:
    """Codes (light and albedo left at zero) of faces, one per row.

    model: of the head of which `network` has learned. landmarks, units: as `fit_landmarks` takes them, all units known.
    """
    return jax.vmap(lambda *face: codes_at_steps(model, network, *face)[-1])(landmarks, units)


def codes_at_steps(
    model: LandmarkModel, network: Parameters, landmarks: Float[Array, "478 3"], units: Float[Array, "units"]
) -> list[Codes]:
    """Codes of one face after each step, inside another program."""
    target = landmarks[model.index]
    variables = closed_form(model, target).variables.replace(expression=units)
    reader = CodeReader(variables.shape.shape[-1], variables.expression.shape[-1])
    told = []
    for name in STEPS:
        codes, rotation = codes_of(variables), flame.rotation_matrix(variables.rotation)
        step = reader.apply(
            {"params": network["params"][name]},
            strayed(model, codes, rotation, target),
            rotation[2],
            variables.shape,
            variables.expression,
            units,
        )
        assert isinstance(step, CodeStep)
        variables = _changed(variables, rotation, step)
        told.append(codes_of(variables))
    return told


def strayed(
    model: LandmarkModel, codes: Codes, rotation: Float[Array, "3 3"], target: Float[Array, "points 3"]
) -> Float[Array, "points 3"]:
    """How far landmarks lie from where the head's points would be found, in its own frame, metres.

    rotation: the head's. target: as of `closed_form`; depth counts from anywhere.
    """
    expected = found_points(model, codes)
    place = in_world(target) / codes.camera[0]
    beside = jnp.concatenate([place[:, :2] - codes.camera[None, 1:], place[:, 2:]], axis=1) - expected
    level = jnp.concatenate([jnp.zeros(2), jnp.mean(beside[:, 2:], axis=0)])
    return precise_matmul(beside - level[None], rotation)


def _changed(variables: Variables, rotation: Float[Array, "3 3"], step: CodeStep) -> Variables:
    camera = variables.camera
    turned = precise_matmul(rotation, flame.rotation_matrix(step.turn))
    return variables.replace(
        shape=jnp.clip(variables.shape + step.shape, -SHAPE_LIMIT, SHAPE_LIMIT),
        expression=step.expression,
        rotation=axis_angle_from_matrix(turned),
        camera=jnp.concatenate([camera[:1] * jnp.exp(step.zoom), camera[1:] + step.shift]),
    )

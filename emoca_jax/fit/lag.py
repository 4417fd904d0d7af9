"""Where the landmark network finds points: beside where they are, by what the face does and how far it is turned."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.flame.head import TURN_KNOTS, LandmarkLag
from emoca_jax.flame.rotations import yaw_degrees
from emoca_jax.products import precise_einsum


def lagging(
    lag: LandmarkLag | None, codes: Codes, points: Float[Array, "*batch points 3"]
) -> Float[Array, "*batch points 3"]:
    """Points of the head of `codes`, metres in the world, moved to where the network would find them.

    Differentiable; at the knots of the turn from one side.
    """
    if lag is None:
        return points
    rotation = flame.rotation_matrix(codes.pose[..., 0, :])
    shift = lag.offset + precise_einsum("pku,...u->...pk", lag.expression, codes.expression)
    # No product: jaxlib 0.10 finds no tiling for so thin a one on a GPU.
    points = points + jnp.sum(rotation[..., None, :, :] * shift[..., None, :], axis=-1)
    if lag.turn is None:
        return points
    return points + turned_lag(lag.turn, rotation)


def turned_lag(
    turn: Float[Array, "knots points 3"], rotation: Float[Array, "*batch 3 3"]
) -> Float[Array, "*batch points 3"]:
    """What a turned head adds to the lag, metres in the world: linear between TURN_KNOTS, the last one beyond."""
    yaw, knots = yaw_degrees(rotation), jnp.array(TURN_KNOTS, jnp.float32)
    before = jnp.clip(jnp.searchsorted(knots, yaw, side="right") - 1, 0, len(TURN_KNOTS) - 2)
    share = jnp.clip((yaw - knots[before]) / (knots[before + 1] - knots[before]), 0.0, 1.0)[..., None, None]
    return (1 - share) * turn[before] + share * turn[before + 1]

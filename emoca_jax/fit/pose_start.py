"""Where a fit starts: rotation, scale and translation from 3D landmarks in closed form."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

QUATERNION_FLOOR = 1e-12


class Similarity(NamedTuple):
    scale: Float[Array, ""]
    rotation: Float[Array, "3 3"]
    translation: Float[Array, "3"]


def align_similarity(
    source: Float[Array, "points 3"], target: Float[Array, "points 3"], weight: Float[Array, "points"]
) -> Similarity:
    """The similarity with target = scale * rotation @ source + translation in weighted least squares (Umeyama 1991)."""
    share = weight[:, None] / jnp.sum(weight)
    source_mean, target_mean = jnp.sum(share * source, 0), jnp.sum(share * target, 0)
    centred, aimed = source - source_mean, target - target_mean
    u, singular, vt = jnp.linalg.svd(jnp.matmul((share * aimed).T, centred, precision="highest"))
    flip = jnp.array([1.0, 1.0, jnp.sign(jnp.linalg.det(u) * jnp.linalg.det(vt))])
    rotation = jnp.matmul(u * flip, vt, precision="highest")
    scale = jnp.sum(singular * flip) / jnp.sum(share * centred**2)
    return Similarity(scale, rotation, target_mean - scale * jnp.matmul(rotation, source_mean, precision="highest"))


def matrix_to_axis_angle(rotation: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """Axis-angle in radians, right up to half turns, by the largest quaternion component (Shepperd 1978)."""
    m = rotation
    trace = jnp.trace(m)
    diagonal = jnp.diag(m)
    squares = jnp.concatenate([jnp.array([trace]), 2 * diagonal - trace]) + 1.0
    candidates = jnp.array(
        [
            [squares[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], squares[1], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], squares[2], m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], squares[3]],
        ]
    )
    quaternion = candidates[jnp.argmax(squares)]
    quaternion = quaternion * jnp.where(quaternion[0] < 0, -1.0, 1.0)
    quaternion = quaternion / jnp.maximum(jnp.linalg.norm(quaternion), QUATERNION_FLOOR)
    sine = jnp.linalg.norm(quaternion[1:])
    angle = 2.0 * jnp.arctan2(sine, quaternion[0])
    return quaternion[1:] * jnp.where(sine > QUATERNION_FLOOR, angle / jnp.maximum(sine, QUATERNION_FLOOR), 2.0)

"""Distances between landmark sets: the 68 points themselves, and how far lids, lips and mouth corners are apart.

Points are [*B, N, 2] or more columns, of which x and y count; any unit, EMOCA uses the image plane [-1, 1]. A loss is a
mean over everything, differentiable to both sets, with zero gradient where two points coincide.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments

Pairs = tuple[tuple[int, int], ...]
"""Indices of points that belong together."""

RAISED_WEIGHTS = (
    ((5, 6, 10, 11), 2.0),
    (tuple(range(27, 36)), 1.5),
    ((30, 31, 35), 3.0),
    (tuple(range(48, 68)), 1.5),
    ((48, 54), 3.0),
)
"""DECA's weights of the 68: jaw corners, nose, its tip and wings, mouth, its corners; later rows win."""

EYE_PAIRS: Pairs = ((37, 41), (38, 40), (43, 47), (44, 46))
LIP_PAIRS: Pairs = ((61, 67), (62, 66), (63, 65))
"""Inner lips."""
MOUTH_CORNER_PAIRS: Pairs = ((48, 54), (60, 64))
"""Outer and inner corners."""

SUM_FLOOR = 1e-8
"""Added to the sum of weights by the official code."""


@checks_arguments
def landmark_weights() -> Float[Array, "68"]:
    """Weight of each of the 68 points. Source: DECA section 3.3 and EMOCA's weighted landmark loss."""
    weights = jnp.ones(68)
    for points, weight in RAISED_WEIGHTS:
        weights = weights.at[jnp.array(points)].set(weight)
    return weights


@checks_arguments
def landmark_distance(
    predicted: Float[Array, "*batch points _"],
    target: Float[Array, "*batch points _"],
    *,
    weights: Float[Array, "*#batch points"] | None = None,
) -> Float[Array, ""]:
    """Weighted mean absolute difference of coordinates: sum w |d|_1 / (2 sum w).

    weights: importance times visibility of each point, broadcast over the batch; 1 where not given.
    Source: DECA equation 4, as a mean.
    """
    distance = jnp.abs(predicted[..., :2] - target[..., :2]).sum(axis=-1)
    weight = jnp.broadcast_to(jnp.ones(()) if weights is None else weights, distance.shape)
    return jnp.sum(distance * weight) / (2 * jnp.sum(weight) + SUM_FLOOR)


@checks_arguments
def pair_distance(
    predicted: Float[Array, "*batch points _"], target: Float[Array, "*batch points _"], pairs: Pairs
) -> Float[Array, ""]:
    """Mean over pairs of | how far apart in the prediction - how far apart in the target |; blind to translation."""
    first, second = (jnp.array(side) for side in zip(*pairs, strict=True))

    def apart(points: Float[Array, "*batch points _"]) -> Float[Array, "*batch pairs"]:
        return _length(points[..., first, :2] - points[..., second, :2])

    return jnp.mean(jnp.abs(apart(predicted) - apart(target)))


@checks_arguments
def eye_distance(predicted: Float[Array, "*batch 68 _"], target: Float[Array, "*batch 68 _"]) -> Float[Array, ""]:
    """How much eyes are open, upper against lower lid. Source: DECA equation 5."""
    return pair_distance(predicted, target, EYE_PAIRS)


@checks_arguments
def lip_distance(predicted: Float[Array, "*batch 68 _"], target: Float[Array, "*batch 68 _"]) -> Float[Array, ""]:
    """How much the mouth is open, upper against lower inner lip. Source: EMOCA section 3.2."""
    return pair_distance(predicted, target, LIP_PAIRS)


@checks_arguments
def mouth_corner_distance(
    predicted: Float[Array, "*batch 68 _"], target: Float[Array, "*batch 68 _"]
) -> Float[Array, ""]:
    """How wide the mouth is, right against left corner. Source: EMOCA section 3.2."""
    return pair_distance(predicted, target, MOUTH_CORNER_PAIRS)


def _length(vectors: Float[Array, "*batch 2"]) -> Float[Array, "*batch"]:
    """Euclidean length whose gradient is zero, not NaN, at zero."""
    squared = jnp.sum(jax.lax.square(vectors), axis=-1)
    apart = squared > 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)

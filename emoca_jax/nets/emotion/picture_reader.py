"""Expression, valence, arousal and face units from what networks that learned from photos see (frozen.py).

They stay as they are; only this is trained, on drawn faces: what they see in photos stays the same.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.nets.emotion.frozen import MAPS, Maps
from emoca_jax.nets.emotion.small import UNITS
from emoca_jax.products import PRECISION
from emoca_jax.similarity import align_similarity

NARROW = {name: 16 if channels > 32 else 8 for name, (_, channels) in MAPS.items()}
"""Channels that are made of each map's before its places are told apart."""
HIDDEN = 256
POINTS = len(EXPRESSION_POINTS)
DROPPED, DROPPED_UNITS, DROPPED_LAST = 0.2, 0.1, 0.3
"""Shares hidden while training, of the narrowed maps, of units and points, and of the hidden layers. With twice
the first and half the width it read what it had learned from no better than other faces (docs/emotion.md)."""
UNITS_GAIN = 4.0
"""Makes strengths of units, of which few are strong, about as large as what the maps are narrowed to."""
SPREAD = 0.05
"""How far points stray from the mean face, in parts of its size (the root of its mean square): that becomes 1."""


class PictureReader(nn.Module):
    """Maps, each in about unit scale or with its scale in the kernels; units off the landmarks of the same picture; and
    these landmarks, laid over a mean face, which is told and does not learn.

    Places count: 1,934,000 parameters.
    """

    @nn.compact
    def __call__(
        self,
        maps: Maps,
        units: Float[AnyArray, "batch 52"],
        points: Float[AnyArray, "batch 146 3"],
        *,
        train: bool = False,
    ) -> AffectRead:
        mean = self.param("mean", _unit_points, (POINTS, 3))
        shape = strayed_points(jnp.asarray(points), jax.lax.stop_gradient(mean)).reshape(len(points), 3 * POINTS)
        parts = [nn.Dropout(DROPPED_UNITS, deterministic=not train)(x) for x in (UNITS_GAIN * units, shape / SPREAD)]
        for name in sorted(MAPS):
            x = nn.relu(_dense(NARROW[name], name)(maps[name]))
            x = nn.Dropout(DROPPED, deterministic=not train)(x)
            parts.append(x.reshape(len(x), -1))
        x = nn.gelu(_dense(HIDDEN, "hidden")(jnp.concatenate(parts, axis=-1)))
        x = nn.Dropout(DROPPED_LAST, deterministic=not train)(x)
        # One lip corner is a sign whichever it is: that takes a second look at what the first has told apart.
        x = x + nn.gelu(_dense(HIDDEN, "deeper")(x))
        x = nn.Dropout(DROPPED_LAST, deterministic=not train)(x)
        return affect_read(_dense(AFFECT_OUTPUTS, "affect")(x), x, unit_logits=_dense(UNITS, "units")(x))


def strayed_points(
    points: Float[Array, "batch points 3"], mean: Float[Array, "points 3"]
) -> Float[Array, "batch points 3"]:
    """What is left of faces' points beside the mean face's once position, size and turn are taken away.

    points: x right, y down, z away, in one unit. mean: centred and of size 1, as the result's unit.
    """

    def one(face: Float[Array, "points 3"]) -> Float[Array, "points 3"]:
        return align_similarity(face, mean).apply(face) - mean

    return jax.vmap(one)(points)


def _unit_points(key: Any, shape: tuple[int, int]) -> Array:
    """Any face: which one is told before anything is learned."""
    points = jax.random.normal(key, shape)
    points = points - points.mean(axis=0, keepdims=True)
    return points / jnp.sqrt(jnp.mean(jnp.sum(points**2, axis=1)))


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, precision=PRECISION, name=name)

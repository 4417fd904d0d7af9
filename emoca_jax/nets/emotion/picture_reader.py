"""Expression, valence, arousal and face units from what networks that learned from photos see (frozen.py).

They stay as they are; only this is trained, on drawn faces: what they see in photos stays the same.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.nets.emotion.frozen import MAPS, Maps
from emoca_jax.nets.emotion.small import UNITS
from emoca_jax.products import PRECISION

NARROW = {name: 16 if channels > 32 else 8 for name, (_, channels) in MAPS.items()}
"""Channels that are made of each map's before its places are told apart."""
HIDDEN = 256
DROPPED, DROPPED_UNITS, DROPPED_LAST = 0.2, 0.1, 0.3
"""Shares hidden while training, of the narrowed maps, of the units off landmarks, and of the hidden layers. With twice
the first and half the width it read what it had learned from no better than other faces (docs/emotion.md)."""
UNITS_GAIN = 4.0
"""Makes strengths of units, of which few are strong, about as large as what the maps are narrowed to."""


class PictureReader(nn.Module):
    """Maps, each in about unit scale or with its scale in the kernels, and units off the landmarks of the same picture.

    Places count: 1,821,000 parameters.
    """

    @nn.compact
    def __call__(self, maps: Maps, units: Float[AnyArray, "batch 52"], *, train: bool = False) -> AffectRead:
        parts = [nn.Dropout(DROPPED_UNITS, deterministic=not train)(UNITS_GAIN * units)]
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


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, precision=PRECISION, name=name)

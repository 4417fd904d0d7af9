"""Expression, valence, arousal and face units from what face-api's expression network sees, which learned from photos.

Its layers stay as they are; only what reads them is trained, on drawn faces: what they see in photos stays the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.batch_norm import BatchNorm
from emoca_jax.nets.convolution import TORCH_START, ConvNorm
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.nets.emotion.open import MEAN_COLOUR, DenseExpression
from emoca_jax.nets.emotion.small import UNITS
from emoca_jax.products import PRECISION

TRUNK, HEAD = "dense", "head"
"""Where the parameters of both lie."""
FINE, COARSE = (14, 14, 128), (7, 7, 256)
"""Places and channels of the maps that are read, of the trunk's last two blocks."""
SEEN = math.prod(FINE) + math.prod(COARSE)
"""Numbers of both."""
CHANNELS = 32
"""To which the last two blocks' maps are narrowed before their places are told apart."""
HIDDEN = 192
DROPPED = 0.3
"""Share of what is seen that is hidden while training: drawn faces are easier than photos."""


class OpenFaceReader(nn.Module):
    """RGB faces [B, 112, 112, 3] in [0, 1], cut out upright (`crop.expression_crop`): places count."""

    @nn.compact
    def __call__(self, images: Float[AnyArray, "batch 112 112 3"], *, train: bool = False) -> AffectRead:
        maps = DenseExpression(name=TRUNK)(_in_mean_colour(images)).maps
        return Head(name=HEAD)(maps[-2], maps[-1], train=train)


class MapsReader(nn.Module):
    """What is trained of `OpenFaceReader`, under the same name, on what its trunk has seen before (`trunk_maps`)."""

    @nn.compact
    def __call__(self, maps: Float[AnyArray, "batch numbers"], *, train: bool = False) -> AffectRead:
        fine, coarse = jnp.split(jnp.asarray(maps).astype(jnp.float32), [math.prod(FINE)], axis=-1)
        return Head(name=HEAD)(fine.reshape(-1, *FINE), coarse.reshape(-1, *COARSE), train=train)


def trunk_maps(trunk: Mapping[str, Any], images: Float[AnyArray, "batch 112 112 3"]) -> Float[Array, "batch numbers"]:
    """What the trunk sees in faces as `OpenFaceReader` takes them: FINE's numbers, then COARSE's.

    trunk: its parameters.
    """
    read: Any = DenseExpression().apply({"params": trunk}, _in_mean_colour(images))
    return jnp.concatenate([part.reshape(part.shape[0], -1) for part in read.maps[-2:]], axis=-1)


def _in_mean_colour(images: Float[AnyArray, "batch 112 112 3"]) -> Float[Array, "batch 112 112 3"]:
    return jnp.asarray(images) - jnp.array(MEAN_COLOUR)[None, None, None] / 255


class Head(nn.Module):
    """What is trained."""

    @nn.compact
    def __call__(
        self, fine: Float[Array, "batch 14 14 128"], coarse: Float[Array, "batch 7 7 256"], *, train: bool
    ) -> AffectRead:
        fine = nn.relu(ConvNorm(CHANNELS, stride=2, name="fine")(fine, train=train))
        coarse = nn.relu(ConvNorm(2 * CHANNELS, size=1, name="coarse")(coarse, train=train))
        x = jnp.concatenate([part.reshape(part.shape[0], -1) for part in (fine, coarse)], axis=-1)
        x = nn.Dropout(DROPPED, deterministic=not train)(x)
        x = _dense(HIDDEN, "hidden")(x)
        x = nn.relu(BatchNorm(name="norm")(x, train=train))
        return affect_read(_dense(AFFECT_OUTPUTS, "affect")(x), x, unit_logits=_dense(UNITS, "units")(x))


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, precision=PRECISION, kernel_init=TORCH_START, name=name)

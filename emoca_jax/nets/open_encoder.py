"""Encoders for the open head that two CPU cores can train: what an expression network sees in a photo, read anew.

The trunk is face-api's expression network as it ships (`open.DenseExpression`), which learned from photos: what it sees
in photos stays the same, whatever its readers learn from. A reader is a small network on the maps of its last three
blocks: one tells light and albedo, where an encoder of landmarks tells all else, another is E_expression.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.batch_norm import TORCH_MOMENTUM, BatchNorm
from emoca_jax.nets.convolution import TORCH_START, ConvNorm
from emoca_jax.nets.emotion.open import MEAN_COLOUR, DenseExpression
from emoca_jax.products import PRECISION

OPEN_SIZE = 112
"""Pixels a side of the crops that the trunk takes."""
FINE, MIDDLE, COARSE, HIDDEN = 32, 64, 64, 384
"""Features that a reader makes of 28 x 28, 14 x 14 and 7 x 7 places, and of all of them together."""

LEVEL = "level"
"""Where `Level` keeps its mean among a reader's statistics."""


class TrunkMaps(NamedTuple):
    """What the trunk sees, from fine to coarse."""

    fine: Float[Array, "batch 28 28 64"]
    middle: Float[Array, "batch 14 14 128"]
    coarse: Float[Array, "batch 7 7 256"]


class OpenTrunk(nn.Module):
    """RGB faces [B, 112, 112, 3] in [0, 1]."""

    @nn.compact
    def __call__(self, images: Float[AnyArray, "batch 112 112 3"]) -> TrunkMaps:
        colour = jnp.asarray(images) - jnp.array(MEAN_COLOUR)[None, None, None] / 255
        return TrunkMaps(*DenseExpression(name="dense")(colour).maps[-3:])


class OpenReader(nn.Module):
    """`outputs` numbers, zeros before anything is learned, or what chance says."""

    outputs: int
    level: bool = False
    """Whether they are `Level`."""
    by_chance: bool = False
    """Whether the last layer starts as torch's, for numbers that mean nothing yet: a detail code."""

    @nn.compact
    def __call__(
        self, maps: TrunkMaps, *, told: Float[Array, "batch units"] | None = None, train: bool = False
    ) -> Float[Array, "batch outputs"]:
        """told: strengths of expression units that another encoder told, to be read beside the maps."""
        fine = nn.relu(ConvNorm(FINE, stride=2, name="fine")(maps.fine, train=train))
        middle = jnp.concatenate([fine, maps.middle], axis=-1)
        middle = nn.relu(ConvNorm(MIDDLE, stride=2, name="middle")(middle, train=train))
        coarse = nn.relu(ConvNorm(COARSE, size=1, name="coarse")(maps.coarse, train=train))
        together = jnp.concatenate([middle, coarse], axis=-1)
        together = nn.relu(ConvNorm(COARSE, name="together")(together, train=train))
        x = together.reshape(together.shape[0], -1)
        if told is not None:
            x = jnp.concatenate([x, 2 * told - 1], axis=-1)
        x = nn.Dense(HIDDEN, use_bias=False, precision=PRECISION, kernel_init=TORCH_START, name="hidden")(x)
        x = nn.relu(BatchNorm(name="norm")(x, train=train))
        start = TORCH_START if self.by_chance else nn.initializers.zeros
        x = nn.Dense(self.outputs, precision=PRECISION, kernel_init=start, name="head")(x)
        return Level(name=LEVEL)(x, train=train) if self.level else x


class Level(nn.Module):
    """Numbers less their mean over the batch, at inference less the running mean: what all faces share is not told."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch numbers"], *, train: bool = False) -> Float[Array, "batch numbers"]:
        mean = self.variable("batch_stats", "mean", jnp.zeros, x.shape[-1:])
        if not train:
            return x - mean.value[None]
        of_batch = jnp.mean(x, axis=0)
        if not self.is_initializing():
            mean.value = (1 - TORCH_MOMENTUM) * mean.value + TORCH_MOMENTUM * of_batch
        return x - of_batch[None]

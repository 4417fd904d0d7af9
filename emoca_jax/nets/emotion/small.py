"""A small network for one face on a CPU: expression, valence, arousal and the 52 face units, in one pass."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.convolution import TORCH_START, ConvNorm, ImageFeatures
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.products import PRECISION

SMALL_SIZE = 112
"""Side of the crops it is made for; any multiple of 16 works."""
SMALL_TRAINED_SIDE = 80
"""Side of the crops that configs/open/emotion_small.py trains it on, and that it reads best."""
WIDTHS = (48, 96, 160)
BLOCKS = (1, 1, 2)
"""Residual blocks at 1/4, 1/8 and 1/16 of the crop's side: 1.5 million parameters, 134 million products a face."""
STEM = 24
UNITS = 52
"""ARKit's face units, in the open head's order."""


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al., arXiv:1512.03385)."""

    features: int

    @nn.compact
    def __call__(self, x: ImageFeatures, *, train: bool = False) -> ImageFeatures:
        y = nn.relu(ConvNorm(self.features, name="first")(x, train=train))
        return nn.relu(x + ConvNorm(self.features, name="second")(y, train=train))


class SmallFaceReader(nn.Module):
    """RGB faces [B, 112, 112, 3] in [0, 1]; features are the mean over the last layer's places."""

    @nn.compact
    def __call__(self, images: Float[AnyArray, "batch height width 3"], *, train: bool = False) -> AffectRead:
        x = nn.relu(ConvNorm(STEM, stride=2, name="stem")(2 * jnp.asarray(images) - 1, train=train))
        for stage, (features, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            x = nn.relu(ConvNorm(features, stride=2, name=f"down{stage}")(x, train=train))
            for block in range(blocks):
                x = ResidualBlock(features, name=f"stage{stage}_block{block}")(x, train=train)
        pooled = x.mean(axis=(1, 2))
        affect = nn.Dense(AFFECT_OUTPUTS, precision=PRECISION, kernel_init=TORCH_START, name="affect")(pooled)
        units = nn.Dense(UNITS, precision=PRECISION, kernel_init=TORCH_START, name="units")(pooled)
        return affect_read(affect, pooled, unit_logits=units)

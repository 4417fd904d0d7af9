"""VGG-19's first convolutions (Simonyan and Zisserman, arXiv:1409.1556): what the ID-MRF loss compares."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.convolution import Conv, ImageFeatures

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's RGB in [0, 1], per channel."""
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 1))
"""Channels and convolutions of each block, as far as needed: the fourth has three more, and a fifth follows."""
CONVOLUTIONS = {
    0: "conv1_1", 2: "conv1_2", 5: "conv2_1", 7: "conv2_2", 10: "conv3_1", 12: "conv3_2", 14: "conv3_3",
    16: "conv3_4", 19: "conv4_1",
}  # fmt: skip
"""Place in torchvision's `features` -> name here, as far as `VGG19` goes."""


class VGGFeatures(NamedTuple):
    """Activations by the names of the official ID-MRF loss, whose counter also counts the ReLUs: `relu3_2` comes after
    the first convolution of the third block, conv3_1, and so on."""

    relu1_2: Float[Array, "batch height width 64"]
    relu2_2: Float[Array, "batch height_2 width_2 128"]
    relu3_2: Float[Array, "batch height_4 width_4 256"]
    relu4_2: Float[Array, "batch height_8 width_8 512"]


class VGG19(nn.Module):
    """Images [B, H, W, 3], RGB in [0, 1] -> activations after the first convolution of each of four blocks."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Float[AnyArray, "batch height width 3"]) -> VGGFeatures:
        x: ImageFeatures = (images - jnp.array(MEAN)[None, None, None]) / jnp.array(DEVIATION)[None, None, None]
        shown = []
        for block, (channels, convolutions) in enumerate(BLOCKS, start=1):
            if block > 1:
                x = nn.max_pool(x, (2, 2), (2, 2))
            for index in range(1, convolutions + 1):
                x = nn.relu(Conv(channels, 3, use_bias=True, dtype=self.dtype, name=f"conv{block}_{index}")(x))
                if index == 1:
                    shown.append(x.astype(jnp.float32))
        return VGGFeatures(*shown)

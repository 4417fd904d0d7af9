"""ResNet-50 (He et al., arXiv:1512.03385) in the two layouts that the official weights come in."""

from __future__ import annotations

import re
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.convolution import ConvNorm, ImageFeatures, max_pool
from emoca_jax.products import PRECISION, Precision

Layout = Literal["torchvision", "vggface2"]
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Width of the bottleneck and number of blocks of each stage."""
EXPANSION = 4
"""Channels out of a block over its width."""

POOL_PADDING = {"torchvision": (1, 1), "vggface2": (0, 1)}
"""Padding of the first max-pool at the two ends: 1 and 1, or none and ceil_mode, which is one at the far end."""


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 and a shortcut; the stride is the 3 x 3's (torchvision) or the first 1 x 1's (vggface2)."""

    width: int
    stride: int = 1
    project: bool = False
    """Whether the shortcut is a 1 x 1 convolution: in the first block of a stage."""
    layout: Layout = "torchvision"
    folded: bool = False
    dtype: Any = jnp.float32
    precision: Precision = PRECISION

    @nn.compact
    def __call__(self, x: ImageFeatures, *, train: bool = False) -> ImageFeatures:
        def unit(features: int, size: int, stride: int, name: str, y: ImageFeatures) -> ImageFeatures:
            rules: Any = {"folded": self.folded, "dtype": self.dtype, "precision": self.precision}
            return ConvNorm(features, size, stride, **rules, name=name)(y, train=train)

        first, second = (1, self.stride) if self.layout == "torchvision" else (self.stride, 1)
        y = nn.relu(unit(self.width, 1, first, "conv1", x))
        y = nn.relu(unit(self.width, 3, second, "conv2", y))
        y = unit(self.width * EXPANSION, 1, 1, "conv3", y)
        shortcut = unit(self.width * EXPANSION, 1, self.stride, "shortcut", x) if self.project else x
        return nn.relu(y + shortcut)


class ResNet50(nn.Module):
    """Images [B, H, W, 3] -> pooled features [B, 2048]; what the channels mean is the caller's business.

    The stages are the modules `layerI_J`; `capture_intermediates` shows their results.
    """

    layout: Layout = "torchvision"
    folded: bool = False
    """Whether the parameters come from `fold_batch_norms`: for inference."""
    dtype: Any = jnp.float32
    """What the convolutions compute in; the pooled features are float32."""
    precision: Precision = PRECISION

    @nn.compact
    def __call__(
        self, images: Float[AnyArray, "batch height width 3"], *, train: bool = False
    ) -> Float[Array, "batch 2048"]:
        rules: Any = {"folded": self.folded, "dtype": self.dtype, "precision": self.precision}
        x = ConvNorm(STAGES[0][0], 7, 2, **rules, name="conv1")(images, train=train)
        x = max_pool(nn.relu(x), *POOL_PADDING[self.layout])
        for stage, (width, blocks) in enumerate(STAGES, start=1):
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                name = f"layer{stage}_{block}"
                x = Bottleneck(width, stride, block == 0, self.layout, **rules, name=name)(x, train=train)
        return x.astype(jnp.float32).mean(axis=(1, 2))


def has_stride(path: str) -> bool:
    """Whether the 3 x 3 convolution of a path ("trunk/layer2_0/conv2/conv/kernel") strides in torchvision's layout."""
    return re.search(r"layer[2-4]_0/conv2/", path) is not None

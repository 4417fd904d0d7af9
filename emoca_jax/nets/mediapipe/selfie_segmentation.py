"""MediaPipe's selfie segmentation in Flax: which pixels of a picture are a person, hair and clothes included.

A MobileNetV3 (Howard et al. 2019, arXiv:1905.02244) with a light decoder whose levels gate what they take over from
the encoder. Input [*, 256, 256, 3] in [0, 1].
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.nets.convolution import ImageFeatures
from emoca_jax.nets.mediapipe.blaze_blocks import FROM_FILE, DepthwiseConv, pointwise
from emoca_jax.products import PRECISION, precise_einsum

SEGMENTATION_SIZE = 256

FIRST = 16
"""Channels at half the input's resolution."""
RELU_BLOCKS = ((16, 16, 3, 2, 8), (24, 72, 3, 2, 0), (24, 88, 3, 1, 0))
SWISH_BLOCKS = ((32, 96, 5, 2, 24), (32, 128, 5, 1, 32), (32, 128, 5, 1, 32), (32, 96, 5, 1, 24), (32, 96, 5, 1, 24))
"""(channels, expanded channels, kernel, stride, squeezed channels, 0 for none) of each inverted residual."""
DEEPEST = 128
"""Channels of the deepest features."""


class Gate(nn.Module):
    """A share of each channel, by the picture's mean (squeeze and excitation, Hu et al. 2018, arXiv:1709.01507)."""

    features: int
    squeezed: int
    """0: straight from the mean."""

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        mean = jnp.mean(x, axis=(1, 2), keepdims=True)
        if self.squeezed:
            mean = nn.relu(pointwise(self.squeezed, "squeeze")(mean))
        return nn.sigmoid(pointwise(self.features, "excite")(mean))


class InvertedResidual(nn.Module):
    """Expand, depthwise, gate, project, and the input again where that fits."""

    features: int
    expanded: int
    size: int
    stride: int
    squeezed: int
    swish: bool

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        activation = nn.hard_swish if self.swish else nn.relu
        y = activation(pointwise(self.expanded, "expand")(x))
        y = activation(DepthwiseConv(self.stride, size=self.size, name="depthwise")(y))
        if self.squeezed:
            y = y * Gate(self.expanded, self.squeezed, name="gate")(y)
        y = pointwise(self.features, "project")(y)
        return x + y if self.stride == 1 and x.shape == y.shape else y


class Level(nn.Module):
    """Features at twice the resolution: what comes from below, and of the encoder's what its gate lets through."""

    @nn.compact
    def __call__(self, below: ImageFeatures, beside: ImageFeatures) -> ImageFeatures:
        features = beside.shape[-1]
        above = jax.image.resize(below, (*beside.shape[:3], below.shape[-1]), "bilinear")
        above = pointwise(features, "narrow")(above)
        x = above + beside * Gate(features, features, name="gate")(above + beside)
        x = nn.relu(pointwise(features, "mix")(x))
        return x + nn.relu(DepthwiseConv(name="depthwise")(x))


class Doubling(nn.Module):
    """Transposed convolution to one channel, 2 x 2 in steps of 2: each cell becomes four pixels."""

    @nn.compact
    def __call__(self, x: ImageFeatures) -> Float[Array, "batch height width"]:
        kernel = self.param("kernel", FROM_FILE, (2, 2, x.shape[-1]))
        bias = self.param("bias", FROM_FILE, (1,))
        batch, rows, columns = x.shape[:3]
        pixels = precise_einsum("byxc,ijc->byixj", x, kernel)
        return pixels.reshape(batch, 2 * rows, 2 * columns) + bias[None, None]


class SelfieSegmentation(nn.Module):
    """Logits of being a person, one per pixel."""

    @nn.compact
    def __call__(self, images: Float[Array, "batch 256 256 3"]) -> Float[Array, "batch 256 256"]:
        x = nn.Conv(FIRST, (3, 3), 2, padding="SAME", kernel_init=FROM_FILE, precision=PRECISION, name="stem")(images)
        x = nn.hard_swish(x)
        taps = [x]
        for i, block in enumerate(RELU_BLOCKS):
            x = InvertedResidual(*block, swish=False, name=f"fine{i}")(x)
            if i != 1:
                taps.append(x)
        for i, block in enumerate(SWISH_BLOCKS):
            x = InvertedResidual(*block, swish=True, name=f"coarse{i}")(x)
        x = nn.relu(pointwise(DEEPEST, "deep")(x)) * Gate(DEEPEST, 0, name="deep_gate")(x)
        for i, beside in enumerate(reversed(taps)):
            x = Level(name=f"up{i}")(x, beside)
        return Doubling(name="segment")(x)

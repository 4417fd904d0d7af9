"""Blocks shared by the BlazeFace detectors (arXiv:1907.05047) and the face mesh networks (arXiv:1907.06724)."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# TF32 on a GPU would move landmarks by a tenth of a pixel; these networks are too small for it to matter in time.
PRECISION = jax.lax.Precision.HIGHEST

ImageFeatures = Float[Array, "batch height width channels"]


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding of one axis: the odd pixel goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def depthwise_convolution(
    x: ImageFeatures, kernel: Float[Array, "k k channels"], stride: int
) -> Float[Array, "batch out_height out_width channels"]:
    """Depthwise convolution with SAME padding as a sum of shifted products.

    XLA's grouped convolution takes 10 to 60 times as long on a CPU (96 x 96 x 32, 3 x 3: 8.6 ms against 0.2 ms).
    """
    size = kernel.shape[0]
    height, width = x.shape[1:3]
    out_height, out_width = -(-height // stride), -(-width // stride)
    rows, columns = _same_padding(height, size, stride), _same_padding(width, size, stride)
    padded = jnp.pad(x, ((0, 0), rows, columns, (0, 0)))
    total = jnp.zeros((), x.dtype)
    for i in range(size):
        for j in range(size):
            row_end, column_end = i + (out_height - 1) * stride + 1, j + (out_width - 1) * stride + 1
            total = total + padded[:, i:row_end:stride, j:column_end:stride] * kernel[i, j]
    return total


class DepthwiseConv(nn.Module):
    """3 x 3 depthwise convolution with bias, SAME padding."""

    stride: int = 1

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        channels = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        return depthwise_convolution(x, kernel, self.stride) + bias


class ChannelPReLU(nn.Module):
    """PReLU with one slope per channel."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels"]:
        alpha = self.param("alpha", nn.initializers.constant(0.25), (x.shape[-1],))
        return jnp.where(x >= 0, x, alpha * x)


def pointwise(features: int, name: str) -> nn.Dense:
    """1 x 1 convolution with bias: a dense layer over the channels."""
    return nn.Dense(features, precision=PRECISION, name=name)


def shortcut(x: ImageFeatures, features: int, stride: int) -> ImageFeatures:
    """What a residual block adds to: max-pooled when it strides, zero-padded when it widens."""
    if stride == 2:
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, features - x.shape[-1])))


class BlazeBlock(nn.Module):
    """Depthwise 3 x 3, pointwise, shortcut, activation: the single BlazeBlock."""

    features: int
    stride: int = 1
    activation: Callable[[], Callable[[Array], Array]] | None = None
    """Makes the activation layer; None is ReLU."""

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        y = DepthwiseConv(self.stride, name="depthwise")(x)
        y = pointwise(self.features, "pointwise")(y)
        y = y + shortcut(x, self.features, self.stride)
        return nn.relu(y) if self.activation is None else self.activation()(y)


class DoubleBlazeBlock(nn.Module):
    """Depthwise, squeeze, ReLU, depthwise, expand, shortcut, ReLU: the double BlazeBlock."""

    features: int
    squeeze: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        y = DepthwiseConv(self.stride, name="depthwise0")(x)
        y = nn.relu(pointwise(self.squeeze, "squeeze")(y))
        y = DepthwiseConv(name="depthwise1")(y)
        y = pointwise(self.features, "expand")(y)
        return nn.relu(y + shortcut(x, self.features, self.stride))

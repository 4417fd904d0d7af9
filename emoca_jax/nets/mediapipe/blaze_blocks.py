"""Blocks shared by the BlazeFace detectors (arXiv:1907.05047) and the face mesh networks (arXiv:1907.06724)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray, to_rank
from emoca_jax.nets.convolution import ImageFeatures
from emoca_jax.products import PRECISION

# Weights come from files. Flax traces the initialiser of each for its shape: a random one takes half of a cold start.
FROM_FILE = nn.initializers.zeros


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding of one axis: the odd pixel goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@partial(jax.jit, static_argnames="stride")
def depthwise_convolution(
    x: ImageFeatures, kernel: Float[AnyArray, "k k channels"], stride: int
) -> Float[Array, "batch out_height out_width channels"]:
    """Depthwise convolution with SAME padding as a sum of shifted products.

    XLA's grouped convolution takes 10 to 60 times as long on a CPU (96 x 96 x 32, 3 x 3: 8.6 ms against 0.2 ms).
    Blocks of one shape share one trace, and plain slices trace ten times as fast as indexing.
    """
    size, kernel = kernel.shape[0], jnp.expand_dims(kernel, 0)
    batch, height, width, channels = x.shape
    out_height, out_width = -(-height // stride), -(-width // stride)
    rows, columns = same_padding(height, size, stride), same_padding(width, size, stride)
    padded = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)))
    total = jnp.zeros((), x.dtype)
    for i in range(size):
        for j in range(size):
            end = (batch, i + (out_height - 1) * stride + 1, j + (out_width - 1) * stride + 1, channels)
            shifted = jax.lax.slice(padded, (0, i, j, 0), end, (1, stride, stride, 1))
            total = total + shifted * jax.lax.slice(kernel, (0, i, j, 0), (1, i + 1, j + 1, channels))
    return total


class DepthwiseConv(nn.Module):
    """Depthwise convolution with bias, SAME padding."""

    stride: int = 1
    size: int = 3

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        channels = x.shape[-1]
        kernel = self.param("kernel", FROM_FILE, (self.size, self.size, channels))
        bias = self.param("bias", FROM_FILE, (channels,))
        return depthwise_convolution(x, kernel, self.stride) + bias[None, None, None]


class ChannelPReLU(nn.Module):
    """PReLU with one slope per channel."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels"]:
        alpha = self.param("alpha", FROM_FILE, (x.shape[-1],))
        return jnp.where(x >= 0, x, to_rank(alpha, x.ndim) * x)


def pointwise(features: int, name: str) -> nn.Dense:
    """1 x 1 convolution with bias: a dense layer over the channels."""
    return nn.Dense(features, kernel_init=FROM_FILE, precision=PRECISION, name=name)


def shortcut(x: ImageFeatures, features: int, stride: int) -> ImageFeatures:
    """What a residual block adds to: max-pooled when it strides, zero-padded when it widens."""
    if stride == 2:
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, features - x.shape[-1])))


class BlazeBlock(nn.Module):
    """Depthwise 3 x 3, pointwise, shortcut, activation: the single BlazeBlock."""

    features: int
    stride: int = 1
    activation: Callable[[], Callable[[ImageFeatures], ImageFeatures]] | None = None
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

"""Blocks of the Swin transformer (Liu et al., arXiv:2103.14030): attention in windows that shift every other block."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emoca_jax.arrays import AnyArray
from emoca_jax.products import PRECISION, precise_einsum

WINDOW = 7
"""Patches a side of a window."""
MLP_RATIO = 4
NORM_EPSILON = 1e-5
OTHER_REGION = -100.0
"""Added to the logits of patches that only the roll brought into one window. Finite, as in the released training."""
START = nn.initializers.truncated_normal(0.02)
"""Of every matrix and bias table."""

Patches = Float[AnyArray, "batch _rows _columns _channels"]


class SwinBlock(nn.Module):
    """Window attention, then a two-layer perceptron, each on normalised patches and added to what came in."""

    heads: int
    shift: int
    """Patches by which the windows are moved down and right: 0, or half a window in every other block."""

    @nn.compact
    def __call__(self, x: Patches) -> Patches:
        _, rows, columns, channels = x.shape
        size = (rows, columns)
        y = layer_norm("norm1")(x)
        # A picture as small as one window has nowhere to shift to.
        shift = self.shift if min(size) > WINDOW else 0
        y = jnp.roll(y, (-shift, -shift), axis=(1, 2))
        mask = region_mask(size, shift) if shift else None
        y = from_windows(WindowAttention(self.heads, name="attn")(to_windows(y), mask), size)
        x = x + jnp.roll(y, (shift, shift), axis=(1, 2))
        y = dense(MLP_RATIO * channels, "fc1")(layer_norm("norm2")(x))
        return x + dense(channels, "fc2")(nn.gelu(y, approximate=False))


class WindowAttention(nn.Module):
    """Multi-head attention among the patches of each window, with a learnt bias per head and offset."""

    heads: int

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch windows patches channels"],
        mask: Float[np.ndarray, "windows patches patches"] | None,
    ) -> Float[Array, "batch windows patches channels"]:
        channels = x.shape[-1]
        table = self.param("relative_position_bias_table", START, ((2 * WINDOW - 1) ** 2, self.heads))
        qkv = dense(3 * channels, "qkv")(x)
        query, key, value = jnp.moveaxis(qkv.reshape(*x.shape[:-1], 3, self.heads, -1), -3, 0)
        logits = precise_einsum("bwqhc,bwkhc->bwhqk", query * (channels // self.heads) ** -0.5, key)
        logits = logits + jnp.moveaxis(table[relative_position_index()], -1, 0)[None, None]
        if mask is not None:
            logits = logits + mask[None, :, None]
        y = precise_einsum("bwhqk,bwkhc->bwqhc", nn.softmax(logits), value)
        return dense(channels, "proj")(y.reshape(x.shape))


class PatchMerging(nn.Module):
    """Four neighbours become one patch with twice the channels."""

    @nn.compact
    def __call__(self, x: Patches) -> Patches:
        # The order of the official layer: down first, then across.
        quarters = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = layer_norm("norm")(jnp.concatenate(quarters, axis=-1))
        return dense(x.shape[-1] // 2, "reduction", use_bias=False)(x)


def dense(features: int, name: str, *, use_bias: bool = True) -> nn.Dense:
    """A dense layer, started as the official code starts them."""
    return nn.Dense(features, use_bias, precision=PRECISION, kernel_init=START, name=name)


def layer_norm(name: str) -> nn.LayerNorm:
    """Over the channels. The fast variance of Flax, E[x^2] - E[x]^2, loses digits that parity needs."""
    return nn.LayerNorm(NORM_EPSILON, use_fast_variance=False, name=name)


def to_windows(x: Patches) -> Float[AnyArray, "batch windows patches channels"]:
    """Windows and the patches in them row by row; rows and columns must be multiples of `WINDOW`."""
    batch, rows, columns, channels = x.shape
    x = x.reshape(batch, rows // WINDOW, WINDOW, columns // WINDOW, WINDOW, channels)
    return x.swapaxes(2, 3).reshape(batch, -1, WINDOW**2, channels)


def from_windows(windows: Float[Array, "batch windows patches channels"], size: tuple[int, int]) -> Patches:
    """What `to_windows` took apart."""
    batch, channels = windows.shape[0], windows.shape[-1]
    x = windows.reshape(batch, size[0] // WINDOW, size[1] // WINDOW, WINDOW, WINDOW, channels)
    return x.swapaxes(2, 3).reshape(batch, *size, channels)


def relative_position_index() -> Int[np.ndarray, "patches patches"]:
    """Row of the bias table for each pair of query and key: 13 * offset down + offset across, each 0 to 12."""
    row, column = np.divmod(np.arange(WINDOW**2), WINDOW)
    down, across = (place[:, None] - place[None] + WINDOW - 1 for place in (row, column))
    return down * (2 * WINDOW - 1) + across


def region_mask(size: tuple[int, int], shift: int) -> Float[np.ndarray, "windows patches patches"]:
    """`OTHER_REGION` for pairs that were not neighbours before the roll by -shift, 0 for the others."""

    def part(length: int) -> Int[np.ndarray, "length"]:
        place = np.arange(length)
        return (place >= length - WINDOW).astype(int) + (place >= length - shift)

    regions: Any = (3 * part(size[0])[:, None] + part(size[1])[None]).reshape(1, *size, 1).astype(np.float32)
    inside = to_windows(regions)[0, :, :, 0]
    return np.where(inside[:, :, None] == inside[:, None], 0, OTHER_REGION).astype(np.float32)

"""D_detail: detail code, expression and jaw to a displacement map (DECA, arXiv:2012.04012, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.nets.batch_norm import BatchNorm
from emoca_jax.nets.convolution import TORCH_START, Conv, ConvNorm, ImageFeatures
from emoca_jax.products import PRECISION

LATENT = 181
"""Jaw 3, expression 50, detail 128, in this order, of EMOCA and DECA."""
BLOCKS = (128, 64, 64, 32, 16)
"""Channels after each doubling of the side."""
START_SIDE, START_CHANNELS = 8, 128
INNER_EPSILON = 0.8
"""Of the batch norms inside the blocks. The official code passes 0.8 where the epsilon stands, and the weights were
trained with it; the first batch norm has the usual 1e-5."""
LEAK = 0.2
LARGEST = 0.01
"""Metres: tanh times this is the displacement."""


class DetailDecoder(nn.Module):
    """Latent -> displacement along the normals [B, size, size], metres, rows and columns of the uv map.

    Its size is START_SIDE, doubled by each block: 256 as the papers have it.
    """

    folded: bool = False
    """Whether the parameters come from `fold_batch_norms(..., epsilon=INNER_EPSILON)`: for inference."""
    dtype: Any = jnp.float32
    """Of the convolutions."""
    blocks: tuple[int, ...] = BLOCKS
    """Channels after each doubling."""

    @nn.compact
    def __call__(self, latent: Float[Array, "batch codes"], *, train: bool = False) -> Float[Array, "batch size size"]:
        size = START_CHANNELS * START_SIDE**2
        x = nn.Dense(size, precision=PRECISION, kernel_init=TORCH_START, name="dense")(latent)
        x = x.reshape(-1, START_CHANNELS, START_SIDE, START_SIDE).transpose(0, 2, 3, 1)
        x = BatchNorm(name="norm")(x, train=train)
        for index, channels in enumerate(self.blocks):
            block = ConvNorm(
                channels, 3, 1, True, INNER_EPSILON, self.folded, self.dtype, TORCH_START, name=f"block{index}"
            )
            x = nn.leaky_relu(block(double(x), train=train), LEAK)
        x = Conv(1, 3, use_bias=True, dtype=self.dtype, start=TORCH_START, name="last")(x)
        return jnp.tanh(x[..., 0].astype(jnp.float32)) * LARGEST


def decoder_of(variables: Mapping[str, Any]) -> DetailDecoder:
    """The decoder that has these variables, at inference, folded or not."""
    parameters = variables["params"]
    return DetailDecoder(folded="norm" not in parameters["block0"], blocks=blocks_of(parameters))


def blocks_of(parameters: Mapping[str, Any]) -> tuple[int, ...]:
    """Channels after each doubling, of a decoder with these parameters."""
    names = sorted(name for name in parameters if name.startswith("block"))
    return tuple(parameters[name]["conv"]["kernel"].shape[-1] for name in names)


def side_of(blocks: tuple[int, ...]) -> int:
    """Texels a side of the maps that a decoder of these blocks makes."""
    return START_SIDE << len(blocks)


def double(x: ImageFeatures) -> Float[Array, "batch double_height double_width channels"]:
    """Bilinear enlargement by 2, pixel centres at (i + 1/2) / n, the outermost repeated (align_corners=False)."""
    for axis in (1, 2):
        size = x.shape[axis]
        padded = jnp.pad(x, [(1, 1) if i == axis else (0, 0) for i in range(4)], mode="edge")
        before, here, after = (jnp.take(padded, jnp.arange(i, i + size), axis=axis) for i in range(3))
        pair = jnp.stack([0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after], axis=axis + 1)
        shape = list(x.shape)
        shape[axis] = 2 * size
        x = pair.reshape(shape)
    return x

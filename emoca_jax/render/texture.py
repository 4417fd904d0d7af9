"""Bilinear lookup in textures (uv, origin bottom left) and photos (image plane, y down)."""

from __future__ import annotations

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.errors import InputError

Outside = Literal["edge", "zero"]


def sample_texture(
    texture: Float[Array, "*batch height width channels"], uv: Float[Array, "*batch_points 2"], *,
    outside: Outside = "edge",
) -> Float[Array, "*batch_points channels"]:  # fmt: skip
    """Texture colour at uv, bilinear between texel centres; texel (row i, column j) is centred at
    u = (j + .5) / width, v = 1 - (i + .5) / height.

    texture: batch dimensions, if any, lead both arrays (or are 1 in the texture); the rest of uv's are points.
    outside: beyond the last texel centre repeat the edge, or fade to "zero" (torch's grid_sample default).
    Differentiable in both.
    """
    return sample_image(texture, uv * jnp.array([2.0, -2.0]) + jnp.array([-1.0, 1.0]), outside=outside)


@functools.partial(jax.jit, static_argnames="outside")
def sample_image(
    image: Float[Array, "*batch height width channels"], points: Float[Array, "*batch_points 2"], *,
    outside: Outside = "edge",
) -> Float[Array, "*batch_points channels"]:  # fmt: skip
    """Colour at image-plane points (x right, y down, [-1, 1] across the image), bilinear; see `sample_texture`."""
    height, width, channels = image.shape[-3:]
    batch = image.shape[:-3]
    if points.ndim <= len(batch):
        raise InputError(f"Sampling an image of shape {image.shape} needs points of its {len(batch)} batch dimensions.")
    lead = jnp.broadcast_shapes(batch, points.shape[: len(batch)])
    points = jnp.broadcast_to(points, lead + points.shape[len(batch) :])
    flat = jnp.broadcast_to(image, (*lead, height, width, channels)).reshape(-1, channels)
    offset = jnp.arange(math.prod(lead), dtype=jnp.int32).reshape(lead + (1,) * (points.ndim - 1 - len(lead)))
    offset = offset * (height * width)

    column = (points[..., 0] + 1) * (width / 2) - 0.5
    row = (points[..., 1] + 1) * (height / 2) - 0.5
    # One texel past the border is as far as anything changes; it also keeps the integers in range.
    column, row = jnp.clip(column, -1, width), jnp.clip(row, -1, height)
    left, top = jnp.floor(column), jnp.floor(row)
    right_share, bottom_share = column - left, row - top

    def corner(down: int, across: int) -> Array:
        i, j = top.astype(jnp.int32) + down, left.astype(jnp.int32) + across
        weight = (bottom_share if down else 1 - bottom_share) * (right_share if across else 1 - right_share)
        if outside == "zero":
            weight = jnp.where((i >= 0) & (i < height) & (j >= 0) & (j < width), weight, 0.0)
        texel = offset + jnp.clip(i, 0, height - 1) * width + jnp.clip(j, 0, width - 1)
        return weight[..., None] * flat.at[texel].get(mode="promise_in_bounds")

    return corner(0, 0) + corner(0, 1) + corner(1, 0) + corner(1, 1)

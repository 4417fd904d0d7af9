"""Bilinear lookup in textures (uv, origin bottom left) and photos (image plane, y down)."""

from __future__ import annotations

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments, to_rank
from emoca_jax.errors import InputError
from emoca_jax.render.backends.choice import Backend, draws_natively
from emoca_jax.render.backends.native.colour import native_look_up
from emoca_jax.render.backends.per_image import for_each_image, one_by_one

Outside = Literal["edge", "zero"]


class Pyramid(struct.PyTreeNode):
    """A texture and its halves, quarters, ... down to 1 x 1, for `sample_texture` with a level; from `mip_pyramid`.

    texels: all levels, row by row, finest first. sizes: (height, width) of each level, static.
    """

    texels: Float[Array, "*batch texels channels"]
    sizes: tuple[tuple[int, int], ...] = struct.field(pytree_node=False)


@checks_arguments
def mip_pyramid(texture: Float[Array, "*batch height width channels"]) -> Pyramid:
    """Each level is the mean of 2 x 2 texels of the one before (an odd last row or column counts twice).

    Differentiable.
    """
    levels = [texture]
    while max(levels[-1].shape[-3:-1]) > 1:
        level = levels[-1]
        height, width = level.shape[-3:-1]
        pad = [(0, 0)] * (level.ndim - 3) + [(0, height % 2), (0, width % 2), (0, 0)]
        level = jnp.pad(level, pad, mode="edge")
        blocks = level.reshape(*level.shape[:-3], -(-height // 2), 2, -(-width // 2), 2, level.shape[-1])
        levels.append(blocks.mean((-4, -2)))
    flat = [level.reshape(*level.shape[:-3], -1, level.shape[-1]) for level in levels]
    sizes = tuple((level.shape[-3], level.shape[-2]) for level in levels)
    return Pyramid(jnp.concatenate(flat, axis=-2), sizes)


@checks_arguments
def mip_level(
    uv_right: Float[Array, "*points 2"], uv_down: Float[Array, "*points 2"], texture_size: tuple[int, int]
) -> Float[Array, "*points"]:
    """The level of a `Pyramid` whose texels are as large as a pixel: log2 of the longer step, in texels, of uv from a
    pixel to the next one to the right and the next one down; at least 0.

    The steps come from `interpolate` on `barycentric_slopes`. texture_size: (height, width). Not differentiated.
    """
    height, width = texture_size
    steps = lax.stop_gradient(jnp.stack([uv_right, uv_down]))
    steps = steps * to_rank(jnp.array([width, height], steps.dtype), steps.ndim)
    square = jnp.max(jnp.sum(steps**2, axis=-1), axis=0)
    return jnp.log2(jnp.maximum(square, 1.0)) / 2


@checks_arguments
def sample_texture(
    texture: Float[Array, "*batch height width channels"] | Pyramid, uv: Float[Array, "*batch_points 2"], *,
    level: Float[Array, "*#batch_points"] | float | None = None, outside: Outside = "edge",
    align_corners: bool = False, backend: Backend | None = None,
) -> Float[Array, "*batch_points channels"]:  # fmt: skip
    """Texture colour at uv, bilinear between texel centres; texel (row i, column j) is centred at
    u = (j + .5) / width, v = 1 - (i + .5) / height.

    texture: batch dimensions, if any, lead both arrays (or are 1 in the texture); the rest of uv's are points.
    outside: beyond the last texel centre repeat the edge, or fade to "zero" (torch's grid_sample default).
    level: with a `Pyramid`, which level to read, 0 the finest; between two levels mix them (trilinear filtering).
    align_corners: u = 0 and u = 1 are the centres of the first and last texel instead of their outer edges.
    backend: as for `rasterize`; pyramids are always read in plain JAX.
    Differentiable in texture and uv; by kernels in reverse mode only.
    """
    points = _in_plane(uv)
    if not isinstance(texture, Pyramid):
        if level is not None:
            raise InputError("A level needs a pyramid; pass mip_pyramid(texture) instead of the texture.")
        return sample_image(texture, points, outside=outside, align_corners=align_corners, backend=backend)
    return _sample_pyramid(texture, points, 0.0 if level is None else level, outside, align_corners)


def _in_plane(uv: Array) -> Array:
    """The image-plane points of texture coordinates."""
    scale, shift = to_rank(jnp.array([2.0, -2.0]), uv.ndim), to_rank(jnp.array([-1.0, 1.0]), uv.ndim)
    return uv * scale + shift


@checks_arguments
@functools.partial(jax.jit, static_argnames=("outside", "align_corners", "backend"))
def sample_image(
    image: Float[Array, "*batch height width channels"], points: Float[Array, "*batch_points 2"], *,
    outside: Outside = "edge", align_corners: bool = False, backend: Backend | None = None,
) -> Float[Array, "*batch_points channels"]:  # fmt: skip
    """Colour at image-plane points (x right, y down, [-1, 1] across the image), bilinear; see `sample_texture`.

    Differentiable in both; by kernels in reverse mode only.
    """
    height, width, channels = image.shape[-3:]
    texels = image.reshape(*image.shape[:-3], height * width, channels)
    texels, points = _lined_up(texels, points)
    lead = texels.shape[:-2]
    shape = (*points.shape[:-1], channels)

    def plain(texels: Array, points: Array) -> Array:
        return for_each_image(
            lambda own, at: _bilinear(own, 0, (height, width), at, outside, align_corners), lead, (texels, points)
        )

    singles = texels.dtype == points.dtype == jnp.float32
    if not (draws_natively(backend, "colour") and singles and math.prod(shape) and texels.size):
        return plain(texels, points)
    places = (*lead, math.prod(shape[len(lead) : -1]))

    def plainly(image: Array, at: Array) -> Array:
        return plain(image.reshape(texels.shape), at.reshape(points.shape)).reshape(*places, channels)

    colours = native_look_up(
        texels.reshape(*lead, height, width, channels), points.reshape(*places, 2),
        aligned=align_corners, zero=outside == "zero", plain=plainly,
    )  # fmt: skip
    return colours.reshape(shape)


@functools.partial(jax.jit, static_argnames=("outside", "align_corners"))
def _sample_pyramid(pyramid: Pyramid, points: Array, level: Array, outside: Outside, align_corners: bool) -> Array:
    texels, points = _lined_up(pyramid.texels, points)
    last = len(pyramid.sizes) - 1
    level = jnp.clip(jnp.broadcast_to(lax.stop_gradient(jnp.asarray(level, points.dtype)), points.shape[:-1]), 0, last)
    sizes = np.array(pyramid.sizes, np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes.prod(1))[:-1]]).astype(np.int32)

    def mixed(own: Array, at: Array, level: Array) -> Array:
        def read(number: Array) -> Array:
            height, width, start = (jnp.array(table)[number] for table in (sizes[:, 0], sizes[:, 1], starts))
            return _bilinear(own, start, (height, width), at, outside, align_corners)

        finer = jnp.floor(level)
        number, share = finer.astype(jnp.int32), (level - finer)[..., None]
        return read(number) * (1 - share) + read(jnp.minimum(number + 1, last)) * share

    return for_each_image(mixed, texels.shape[:-2], (texels, points, level))


def _lined_up(texels: Array, points: Array) -> tuple[Array, Array]:
    """Both with the same batch dimensions, those of the images (none for one image)."""
    batch = texels.shape[:-2]
    if points.ndim <= len(batch):
        raise InputError(f"Sampling images of batch shape {batch} needs points with those {len(batch)} dimensions.")
    lead = jnp.broadcast_shapes(batch, points.shape[: len(batch)])
    return jnp.broadcast_to(texels, lead + texels.shape[-2:]), jnp.broadcast_to(
        points, lead + points.shape[len(batch) :]
    )


def _bilinear(
    flat: Array, offset: int | Array, size: tuple[int | Array, int | Array], points: Array, outside: Outside,
    align_corners: bool,
) -> Array:  # fmt: skip
    """Mix of the four texels around each point of an image of this size that starts at `offset`."""
    height, width = size
    if align_corners:
        column, row = (points[..., 0] + 1) * ((width - 1) / 2), (points[..., 1] + 1) * ((height - 1) / 2)
    else:
        column, row = (points[..., 0] + 1) * (width / 2) - 0.5, (points[..., 1] + 1) * (height / 2) - 0.5
    # One texel past the border is as far as anything changes; it also keeps the integers in range.
    column = jnp.clip(column, -1, jnp.asarray(width, column.dtype))
    row = jnp.clip(row, -1, jnp.asarray(height, row.dtype))
    left, top = jnp.floor(column), jnp.floor(row)
    right_share, bottom_share = column - left, row - top
    # Computed once per point: compilers put it into the gathers, to be done again for each channel and corner.
    left, top = lax.optimization_barrier((left.astype(jnp.int32), top.astype(jnp.int32)))

    def corner(down: int, across: int) -> Array:
        i, j = top + down, left + across
        weight = (bottom_share if down else 1 - bottom_share) * (right_share if across else 1 - right_share)
        if outside == "zero":
            weight = jnp.where((i >= 0) & (i < height) & (j >= 0) & (j < width), weight, 0.0)
        texel = offset + jnp.clip(i, 0, height - 1) * width + jnp.clip(j, 0, width - 1)
        read = flat.at[texel].get(mode="promise_in_bounds")
        # XLA for GPUs puts all reads of a pyramid into one gradient kernel, again for each use: 47 MB of assembly.
        return weight[..., None] * (read if one_by_one() else lax.optimization_barrier(read))

    return corner(0, 0) + corner(0, 1) + corner(1, 0) + corner(1, 1)

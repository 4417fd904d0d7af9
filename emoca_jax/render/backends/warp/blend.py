"""Soft colours by kernels for NVIDIA GPUs: the sums that `soft_rasterize` blends, differentiable once, in reverse."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.render.backends.native.blend import Sums
from emoca_jax.render.backends.native.surface import existing
from emoca_jax.render.backends.per_image import on_own_devices
from emoca_jax.render.backends.warp.silhouette import derivative_of, silhouette_shapes
from emoca_jax.render.backends.warp.surface import by_platform, merging_batches

OF_OUTLINES = 3
"""Options that say which faces count and how much of a pixel they cover, the first of six."""


def warp_blend(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"],
    corners: Float[Array, "*batch faces corner_channels"], options: Float[Array, "6"], size: tuple[int, int],
    faces_per_pixel: int | None, plain: Callable[..., Sums],
) -> Sums:  # fmt: skip
    """As `native_blend`, which says what they are."""
    batch, pixels = vertices.shape[:-2], size[0] * size[1]
    if 0 in (*vertices.shape, *corners.shape, pixels):
        return plain(vertices, faces, corners, options)

    def flat(vertices, corners, options):
        points = vertices.reshape(-1, *vertices.shape[-2:])
        return points, corners.reshape(-1, *corners.shape[-2:]), jnp.broadcast_to(options, (points.shape[0], 6))

    def kernel(vertices, faces, corners, options):
        drawn = _blend_of(size, faces_per_pixel or 0)
        image, tops, sums, *kept = on_own_devices(drawn, flat(vertices, corners, options), faces[None])
        return (*(array.reshape(*batch, *size, *array.shape[2:]) for array in (image, tops, sums)), *kept)

    def plainly(*arrays):
        image, tops, sums = plain(*arrays)
        rows = image.reshape(-1, pixels)
        return image, tops, sums, rows, jnp.zeros((*rows.shape, 2), jnp.uint32)

    def pull(vertices, faces, corners, options, tops, uncovered, limits, to_image, to_sums):
        points, own, numbers = flat(vertices, corners, options)
        images = points, own, numbers, limits, tops.reshape(-1, pixels), to_sums.reshape(-1, pixels, to_sums.shape[-1])
        gradient, to_corners = on_own_devices(_derivative_of(size), images, faces[None])
        images = points, numbers[:, :OF_OUTLINES], uncovered, limits, to_image.reshape(-1, pixels)
        by_coverage = on_own_devices(derivative_of(size), images, faces[None])
        return (gradient + by_coverage).reshape(vertices.shape), to_corners.reshape(corners.shape)

    def plain_pull(vertices, faces, corners, options, tops, uncovered, limits, to_image, to_sums):
        def both(vertices, corners):
            image, _, sums = plain(vertices, faces, corners, options)
            return image, sums

        return jax.vjp(both, vertices, corners)[1]((to_image, to_sums))

    @jax.custom_vjp
    def draw(*arrays):
        return by_platform(kernel, plainly, *arrays)[:3]

    def forward(*arrays):
        image, tops, sums, *kept = by_platform(kernel, plainly, *arrays)
        return (image, tops, sums), (*arrays, tops, *kept)

    def backward(kept: Any, cotangents: Any):
        to_image, _, to_sums = cotangents
        to_vertices, to_corners = by_platform(pull, plain_pull, *kept, to_image, to_sums)
        return to_vertices, None, to_corners, None

    draw.defvjp(forward, backward)
    return draw(vertices, existing(faces, vertices.shape[-2]), corners, options)


@functools.lru_cache(maxsize=64)
def _blend_of(size: tuple[int, int], nearest: int) -> Callable[..., Any]:
    """Of (vertices, corners, options) of each image, and faces [meshes, F, 3] as in `warp_surface`."""

    def call(images, faces):
        from emoca_jax.render.backends.warp_kernels.from_xla import blended, silhouette  # warp need not be installed

        vertices, corners, options = images
        shapes = silhouette_shapes(vertices.shape[0], faces.shape[1], size)
        image, uncovered, limits, *boxes = silhouette(
            vertices, faces, options[:, :OF_OUTLINES], *size, nearest, output_dims=shapes
        )
        shapes = {"tops": image.shape, "sums": (*image.shape, 1 + corners.shape[-1] // 3)}
        tops, sums = blended(vertices, faces, corners, options, limits, *boxes, *size, output_dims=shapes)
        return image, tops, sums, uncovered, limits

    return merging_batches(call)


@functools.lru_cache(maxsize=64)
def _derivative_of(size: tuple[int, int]) -> Callable[..., Any]:
    """Of (vertices, corners, options, limits, tops, cotangent of the sums) of each image, and faces, as above."""

    def call(images, faces):
        from emoca_jax.render.backends.warp_kernels.from_xla import blended_derivative

        vertices, corners, *seen = images
        owners = vertices.shape[0] * faces.shape[1]
        shapes = {
            "gradient": vertices.shape[:2], "to_corners": corners.shape, "tickets": (1, 2), "starts": (owners, 2),
            "owners": (owners,),
        }  # fmt: skip
        return tuple(blended_derivative(vertices, faces, corners, *seen, *size, output_dims=shapes)[:2])

    return merging_batches(call)

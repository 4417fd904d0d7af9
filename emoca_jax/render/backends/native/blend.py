"""Soft colours by kernels: the sums that `soft_rasterize` blends, differentiable once, in reverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emoca_jax.render.backends.choice import by_platform
from emoca_jax.render.backends.native.colour import called
from emoca_jax.render.backends.native.silhouette import silhouette_call, silhouette_pull
from emoca_jax.render.backends.native.surface import MANY_IMAGES, PARTS, beside, existing

FAINTEST_TOP = 1e-10
"""pytorch3d's epsilon of the colour blend: floor of the background's weight and of the nearest inverse depth."""
Sums = tuple[
    Float[Array, "*batch height width"], Float[Array, "*batch height width"], Float[Array, "*batch height width sums"]
]


def native_blend(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"],
    corners: Float[Array, "*batch faces corner_channels"], options: Float[Array, "6"], size: tuple[int, int],
    faces_per_pixel: int | None, plain: Callable[..., Sums],
) -> Sums:  # fmt: skip
    """Coverage, the largest inverse depth (FAINTEST_TOP at least), and the sums over the faces of weights measured from
    it and of attributes by them.

    corners: the attributes of each face's first corner, then of the others. options: squared blur radius, sigma, clip,
    gamma, near, far. plain: of the same arrays without kernels, differentiable in vertices and corners.
    """
    batch, channels = vertices.shape[:-2], corners.shape[-1] // 3
    nearest = np.int64(faces_per_pixel or 0)

    def kernel(vertices, faces, corners, options):
        own, numbers = beside(batch, faces), beside(batch, options)
        image, uncovered, limits, rows = silhouette_call(vertices, own, numbers[..., :3], size, nearest)
        shapes = [jax.ShapeDtypeStruct((*batch, *size, *rest), jnp.float32) for rest in ((), (1 + channels,))]
        tops, sums = called("blend", shapes)(vertices, own, corners, numbers, rows, limits)
        return image, tops, sums, uncovered, limits, rows

    def plainly(vertices, faces, corners, options):
        image, tops, sums = plain(vertices, faces, corners, options)
        kept = jnp.zeros((*batch, *size, 2), jnp.int32), jnp.zeros((*batch, faces.shape[0], 2), jnp.int32)
        return image, tops, sums, image, *kept

    def pull(vertices, faces, corners, options, tops, uncovered, limits, rows, to_image, to_sums):
        own, numbers = beside(batch, faces), beside(batch, options)
        parts = 1 if batch and batch[0] >= MANY_IMAGES else PARTS
        shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (
            vertices.shape, corners.shape, (*batch, parts, *vertices.shape[-2:]), (*batch, parts, *corners.shape[-2:]),
        )]  # fmt: skip
        gradient, to_corners, *_ = called("blend_derivative", shapes)(
            vertices, own, corners, numbers, rows, limits, tops, to_sums
        )
        by_coverage = silhouette_pull(vertices, own, numbers[..., :3], uncovered, limits, rows, to_image)
        return gradient + by_coverage, to_corners

    def plain_pull(vertices, faces, corners, options, tops, uncovered, limits, rows, to_image, to_sums):
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

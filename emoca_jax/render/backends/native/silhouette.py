"""Soft silhouettes by kernels: what `soft_silhouette` returns, differentiable in the vertices in reverse mode."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from emoca_jax.render.backends.choice import by_platform
from emoca_jax.render.backends.native.colour import called
from emoca_jax.render.backends.native.surface import MANY_IMAGES, PARTS, beside, existing

MOST_FACES = 256
"""Per pixel: with more the lists of a band of pixels would leave the processor's cache."""
LEAST_WIDTH = 8
"""Pixels of a row that kernels compute at once."""
Silhouette = Float[Array, "*batch height width"]


def native_silhouette(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int],
    radius: Float[Array, ""], sigma: Float[Array, ""], clip: Bool[Array, ""], faces_per_pixel: int | None,
    plain: Callable[..., Silhouette],
) -> Silhouette:  # fmt: skip
    """Coverage. plain: of the same arrays (vertices, faces, radius, sigma, clip), the same without kernels,
    differentiable, for other platforms."""

    def options(radius, sigma, clip, batch):
        return beside(batch, jnp.stack([radius, sigma, clip.astype(jnp.float32)]))

    def kernel(vertices, faces, radius, sigma, clip):
        batch = vertices.shape[:-2]
        numbers = options(radius, sigma, clip, batch)
        return silhouette_call(vertices, beside(batch, faces), numbers, size, np.int64(faces_per_pixel or 0))

    def plainly(vertices, faces, radius, sigma, clip):
        batch = vertices.shape[:-2]
        image = plain(vertices, faces, radius, sigma, clip)
        rows = jnp.zeros((*batch, faces.shape[-2], 2), jnp.int32)
        return image, image, jnp.zeros((*batch, *size, 2), jnp.int32), rows

    def pull(vertices, faces, radius, sigma, clip, uncovered, limits, rows, cotangent):
        batch = vertices.shape[:-2]
        numbers = options(radius, sigma, clip, batch)
        return silhouette_pull(vertices, beside(batch, faces), numbers, uncovered, limits, rows, cotangent)

    def plain_pull(vertices, faces, radius, sigma, clip, uncovered, limits, rows, cotangent):
        return jax.vjp(lambda own: plain(own, faces, radius, sigma, clip), vertices)[1](cotangent)[0]

    @jax.custom_vjp
    def draw(*arrays):
        return by_platform(kernel, plainly, *arrays)[0]

    def forward(*arrays):
        image, *kept = by_platform(kernel, plainly, *arrays)
        return image, (*arrays, *kept)

    def backward(kept, cotangent):
        return by_platform(pull, plain_pull, *kept, cotangent), None, None, None, None

    draw.defvjp(forward, backward)
    return draw(vertices, existing(faces, vertices.shape[-2]), radius, sigma, clip)


def silhouette_call(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "*ones faces 3"],
    options: Float[Array, "*ones options"], size: tuple[int, int], nearest: np.int64,
) -> tuple[Silhouette, Silhouette, Int[Array, "*batch height width 2"], Int[Array, "*batch faces 2"]]:  # fmt: skip
    """Coverage, its complement, up to where faces count at each pixel, and the rows that each face reaches. options:
    squared blur radius, sigma, clip; these and faces stand beside the batch. nearest: faces per pixel, 0 for all."""
    batch = vertices.shape[:-2]
    shapes = (
        *[jax.ShapeDtypeStruct((*batch, *size), jnp.float32)] * 2,
        jax.ShapeDtypeStruct((*batch, *size, 2), jnp.int32),
        jax.ShapeDtypeStruct((*batch, faces.shape[-2], 2), jnp.int32),
    )
    return tuple(called("silhouette", shapes)(vertices, faces, options, nearest=nearest))


def silhouette_pull(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "*ones faces 3"],
    options: Float[Array, "*ones options"], uncovered: Silhouette, limits: Int[Array, "*batch height width 2"],
    rows: Int[Array, "*batch faces 2"], cotangent: Silhouette,
) -> Float[Array, "*batch vertices 3"]:  # fmt: skip
    """What a cotangent of the coverage does to the vertices."""
    parts = 1 if vertices.ndim > 2 and vertices.shape[0] >= MANY_IMAGES else PARTS
    shapes = (
        jax.ShapeDtypeStruct(vertices.shape, jnp.float32),
        jax.ShapeDtypeStruct((*vertices.shape[:-2], parts, *vertices.shape[-2:]), jnp.float32),
    )
    return called("silhouette_derivative", shapes)(vertices, faces, options, uncovered, limits, rows, cotangent)[0]

"""Soft silhouettes by kernels for NVIDIA GPUs: what `soft_silhouette` returns, differentiable in the vertices in
reverse mode."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from emoca_jax.render.backends.native.silhouette import Silhouette
from emoca_jax.render.backends.native.surface import existing
from emoca_jax.render.backends.per_image import on_own_devices
from emoca_jax.render.backends.warp.surface import by_platform, merging_batches
from emoca_jax.render.backends.warp_kernels.shapes import GROUP


def warp_silhouette(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int],
    radius: Float[Array, ""], sigma: Float[Array, ""], clip: Bool[Array, ""], faces_per_pixel: int | None,
    plain: Callable[..., Silhouette],
) -> Silhouette:  # fmt: skip
    """Coverage. plain: of the same arrays (vertices, faces, radius, sigma, clip), the same without kernels,
    differentiable, for other platforms."""
    batch, pixels = vertices.shape[:-2], size[0] * size[1]
    if 0 in (*vertices.shape, *faces.shape, pixels):
        return plain(vertices, faces, radius, sigma, clip)

    def flat(vertices, radius, sigma, clip):
        points = vertices.reshape(-1, *vertices.shape[-2:])
        options = jnp.stack([radius, sigma, clip.astype(jnp.float32)])
        return points, jnp.broadcast_to(options, (points.shape[0], 3))

    def kernel(vertices, faces, radius, sigma, clip):
        drawn = _silhouette_of(size, faces_per_pixel or 0)
        image, uncovered, limits = on_own_devices(drawn, flat(vertices, radius, sigma, clip), faces[None])
        return image.reshape(*batch, *size), uncovered, limits

    def plainly(*arrays):
        image = plain(*arrays)
        rows = image.reshape(-1, pixels)
        return image, rows, jnp.zeros((*rows.shape, 2), jnp.uint32)

    def pull(vertices, faces, radius, sigma, clip, uncovered, limits, cotangent):
        images = (*flat(vertices, radius, sigma, clip), uncovered, limits, cotangent.reshape(-1, pixels))
        return on_own_devices(derivative_of(size), images, faces[None]).reshape(vertices.shape)

    def plain_pull(vertices, faces, radius, sigma, clip, uncovered, limits, cotangent):
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


@functools.lru_cache(maxsize=64)
def _silhouette_of(size: tuple[int, int], nearest: int) -> Callable[..., Any]:
    """Of (vertices, options) of each image, and faces [meshes, F, 3] as in `warp_surface`."""

    def call(images, faces):
        from emoca_jax.render.backends.warp_kernels.from_xla import silhouette  # here: warp need not be installed

        vertices, options = images
        shapes = silhouette_shapes(vertices.shape[0], faces.shape[1], size)
        return tuple(silhouette(vertices, faces, options, *size, nearest, output_dims=shapes)[:3])

    return merging_batches(call)


def silhouette_shapes(images: int, faces: int, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Of what `soft.silhouette` fills."""
    pixels, groups = size[0] * size[1], -(-faces // GROUP)
    return {
        "image": (images, pixels), "uncovered": (images, pixels), "limits": (images, pixels, 2),
        "boxes": (images, faces), "groups": (images, groups), "blocks": (images, -(-groups // GROUP)),
    }  # fmt: skip


@functools.lru_cache(maxsize=64)
def derivative_of(size: tuple[int, int]) -> Callable[..., Any]:
    """Of (vertices, options, uncovered, limits, cotangent) of each image, and faces, as above."""

    def call(images, faces):
        from emoca_jax.render.backends.warp_kernels.from_xla import silhouette_derivative

        vertices, *seen = images
        owners = vertices.shape[0] * faces.shape[1]
        shapes = {"gradient": vertices.shape[:2], "tickets": (1, 2), "starts": (owners, 2), "owners": (owners,)}
        return silhouette_derivative(vertices, faces, *seen, *size, output_dims=shapes)[0]

    return merging_batches(call)

"""Anti-aliased silhouettes by kernels for NVIDIA GPUs: what `antialias` returns, differentiable once, in reverse."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.render.backends.native.outline import Image
from emoca_jax.render.backends.per_image import on_own_devices
from emoca_jax.render.backends.warp.surface import by_platform, merging_batches


def warp_antialias(
    image: Image, face_index: Int[Array, "*batch height width"], depth: Float[Array, "*batch height width"],
    vertices: Float[Array, "*batch vertices 3"], edges: Int[Array, "edges 4"], plain: Callable[..., Image],
) -> Image:  # fmt: skip
    """As `native_antialias`, which says what the arrays are."""
    (*_, height, width, channels), pixels = image.shape, image.shape[-3] * image.shape[-2]
    size = (height, width)

    def colours(image):
        return image.reshape(-1, pixels, channels)

    def points(vertices):
        return vertices.reshape(-1, *vertices.shape[-2:])

    def kernel(image, index, depth, vertices, edges):
        arrays = colours(image), index.reshape(-1, pixels), depth.reshape(-1, pixels), points(vertices)
        mixed, keys = on_own_devices(_smooth_of(size), arrays, edges[None])
        return mixed.reshape(image.shape), keys

    def plainly(image, *others):
        keys = jnp.zeros((image.size // (pixels * channels), 2 * pixels, 2), jnp.uint32)
        return plain(image, *others), keys

    def pull(image, index, depth, vertices, edges, keys, cotangent):
        arrays, pulls = (points(vertices), keys), colours(cotangent)
        to_image = on_own_devices(_to_image_of(size), (pulls, *arrays), edges[None])
        to_vertices = on_own_devices(_to_vertices_of(size), (pulls, colours(image), *arrays), edges[None])
        return to_image.reshape(image.shape), to_vertices.reshape(vertices.shape)

    def plain_pull(image, index, depth, vertices, edges, keys, cotangent):
        return jax.vjp(lambda own, moved: plain(own, index, depth, moved, edges), image, vertices)[1](cotangent)

    @jax.custom_vjp
    def smooth(*arrays):
        return by_platform(kernel, plainly, *arrays)[0]

    def forward(*arrays):
        smoothed, keys = by_platform(kernel, plainly, *arrays)
        return smoothed, (*arrays, keys)

    def backward(kept, cotangent):
        to_image, to_vertices = by_platform(pull, plain_pull, *kept, cotangent)
        return to_image, None, None, to_vertices, None

    smooth.defvjp(forward, backward)
    return smooth(image, face_index, depth, vertices, edges)


@functools.lru_cache(maxsize=64)
def _smooth_of(size: tuple[int, int]) -> Callable[..., Any]:
    """Of (image, index, depth, vertices) of each image, pixels in rows, and edges [meshes, E, 4], which images share as
    they share faces in `warp_surface`."""

    def call(images, edges):
        from emoca_jax.render.backends.warp_kernels.from_xla import smooth  # here: warp need not be installed

        image = images[0]
        shapes = {"mixed": image.shape, "keys": (image.shape[0], 2 * image.shape[1], 2)}
        return tuple(smooth(*images, edges, *size, output_dims=shapes))

    return merging_batches(call)


@functools.lru_cache(maxsize=64)
def _to_image_of(size: tuple[int, int]) -> Callable[..., Any]:
    """Of (cotangent, vertices, keys) of each image, and edges."""

    def call(images, edges):
        from emoca_jax.render.backends.warp_kernels.from_xla import smooth_to_image

        pull, vertices, keys = images
        return smooth_to_image(pull, vertices, edges, keys, *size, output_dims={"pulled": pull.shape})[0]

    return merging_batches(call)


@functools.lru_cache(maxsize=64)
def _to_vertices_of(size: tuple[int, int]) -> Callable[..., Any]:
    """Of (cotangent, image, vertices, keys) of each image, and edges."""

    def call(images, edges):
        from emoca_jax.render.backends.warp_kernels.from_xla import smooth_to_vertices

        pull, image, vertices, keys = images
        shape = {"gradient": vertices.shape[:2]}
        return smooth_to_vertices(pull, image, vertices, edges, keys, *size, output_dims=shape)[0]

    return merging_batches(call)

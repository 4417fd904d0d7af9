"""The visible surface by kernels for NVIDIA GPUs: what `rasterize` returns, differentiable in the vertices once, in
reverse."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from emoca_jax.render.backends.native.surface import CULL, SurfaceArrays, existing
from emoca_jax.render.backends.per_image import on_own_devices
from emoca_jax.render.backends.visible_faces import Rules


def warp_surface(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int], rules: Rules,
    plain: Callable[[Float[Array, "*batch vertices 3"], Int[Array, "faces 3"]], SurfaceArrays],
) -> SurfaceArrays:  # fmt: skip
    """Face index, barycentrics and depth. plain: the same without kernels, differentiable, for other platforms."""
    if 0 in (*vertices.shape, *faces.shape, *size):
        return plain(vertices, faces)
    lead = vertices.shape[:-2]

    def kernel(vertices, faces):
        flat = vertices.reshape(-1, *vertices.shape[-2:])
        seen = on_own_devices(_surface_of(size, rules), flat, faces[None])
        return tuple(array.reshape(*lead, *size, *array.shape[2:]) for array in seen)

    def pull(vertices, faces, index, to_weights, to_depth):
        pixels = size[0] * size[1]
        images = (
            vertices.reshape(-1, *vertices.shape[-2:]), index.reshape(-1, pixels),
            to_weights.reshape(-1, pixels, 3), to_depth.reshape(-1, pixels),
        )  # fmt: skip
        return on_own_devices(_derivative_of(size, rules), images, faces[None]).reshape(vertices.shape)

    def plain_pull(vertices, faces, index, to_weights, to_depth):
        return jax.vjp(lambda own: plain(own, faces)[1:], vertices)[1]((to_weights, to_depth))[0]

    @jax.custom_vjp
    def draw(vertices, faces):
        return by_platform(kernel, plain, vertices, faces)

    def forward(vertices, faces):
        surface = draw(vertices, faces)
        return surface, (vertices, faces, surface[0])

    def backward(kept, cotangents):
        vertices, faces, index = kept
        return by_platform(pull, plain_pull, vertices, faces, index, *cotangents[1:]), None

    draw.defvjp(forward, backward)
    return draw(vertices, existing(faces, vertices.shape[-2]))


def by_platform(kernel: Callable[..., Any], plain: Callable[..., Any], *arguments: Any) -> Any:
    """`kernel` of the arguments where they are computed on an NVIDIA GPU or a CPU, `plain` elsewhere."""
    return lax.platform_dependent(*arguments, cuda=kernel, cpu=kernel, default=plain)


@functools.lru_cache(maxsize=64)
def _surface_of(size: tuple[int, int], rules: Rules) -> Callable[..., Any]:
    """Of vertices [images, V, 3] and faces [meshes, F, 3]; meshes divide images, which share them in that order."""

    def call(vertices, faces):
        from emoca_jax.render.backends.warp_kernels.from_xla import surface  # here: warp need not be installed

        images, count, pixels = vertices.shape[0], faces.shape[1], size[0] * size[1]
        shapes = {
            "index": (images, pixels), "barycentric": (images, pixels), "depth": (images, pixels),
            "keys": (images, pixels, 2), "tickets": (1, 2), "starts": (images * count, 2), "owners": (images * count,),
        }  # fmt: skip
        perspective = rules.near is not None
        options = (CULL[rules.cull], int(rules.official), int(perspective), rules.near or 0.0, *size)
        return tuple(surface(vertices, faces, *options, output_dims=shapes)[:3])

    return merging_batches(call)


@functools.lru_cache(maxsize=64)
def _derivative_of(size: tuple[int, int], rules: Rules) -> Callable[..., Any]:
    """Of (vertices, index, to_weights, to_depth), pixels in rows, and faces, as above."""

    def call(images, faces):
        from emoca_jax.render.backends.warp_kernels.from_xla import surface_derivative

        vertices, *seen = images
        options = (int(rules.official), int(rules.near is not None), *size)
        shape = {"gradient": vertices.shape[:2]}
        return surface_derivative(vertices, faces, *seen, *options, output_dims=shape)[0]

    return merging_batches(call)


def merging_batches(call: Callable[..., Any]) -> Callable[..., Any]:
    """Under `vmap` one call with a longer batch; faces stay as few as they are."""

    @jax.custom_batching.custom_vmap
    def merged(images, faces):
        return call(images, faces)

    @merged.def_vmap
    def _(axis_size, in_batched, images, faces):
        def spread(array, batched):
            return array if batched else jnp.broadcast_to(array, (axis_size, *array.shape))

        images = jax.tree.map(spread, images, in_batched[0])
        if in_batched[1] or faces.shape[0] > 1:
            faces = spread(faces, in_batched[1]).reshape(-1, *faces.shape[-2:])
        flat = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), images)
        found = merged(flat, faces)
        out = jax.tree.map(lambda array: array.reshape(axis_size, -1, *array.shape[1:]), found)
        return out, jax.tree.map(lambda _: True, out)

    return merged

"""Anti-aliased silhouettes by kernels: what `antialias` returns, differentiable once, in reverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.render.backends.choice import by_platform
from emoca_jax.render.backends.native.colour import called, one_by_one
from emoca_jax.render.backends.native.surface import beside

FINENESS = 1 << 20
"""Meetings of silhouettes between two pixels are ordered to this part of a pixel."""
ALONE, IGNORED = -1, -2
"""In the place of an edge's corner across: there is none, the edge does not count."""
Image = Float[Array, "*batch height width channels"]


def native_antialias(
    image: Image, face_index: Int[Array, "*batch height width"], depth: Float[Array, "*batch height width"],
    vertices: Float[Array, "*batch vertices 3"], edges: Int[Array, "edges 4"],
    plain: Callable[..., Image],
) -> Image:  # fmt: skip
    """The image smoothed. edges: numbers of its ends, of the corner of one face on it and of the other, or one of the
    constants above. plain: the same of the same arrays without kernels, differentiable in image and vertices."""
    batch = image.shape[:-3]

    def kernel(image, index, depth, vertices, edges):
        shapes = (
            jax.ShapeDtypeStruct(image.shape, jnp.float32),
            jax.ShapeDtypeStruct((*batch, edges.shape[0]), jnp.int32),
        )
        return tuple(called("smooth", shapes)(image, index, depth, vertices, beside(batch, edges)))

    def plainly(image, index, depth, vertices, edges):
        return plain(image, index, depth, vertices, edges), jnp.zeros((*batch, edges.shape[0]), jnp.int32)

    def pull(name: str, like: int) -> Callable[..., Any]:
        def pulled(image, index, depth, vertices, edges, silhouettes, cotangent):
            shape = jax.ShapeDtypeStruct((image, vertices)[like].shape, jnp.float32)
            return called(name, shape)(cotangent, index, depth, vertices, beside(batch, edges), silhouettes, image)

        return pulled

    def plain_pull(image, index, depth, vertices, edges, silhouettes, cotangent):
        return jax.vjp(lambda own, moved: plain(own, index, depth, moved, edges), image, vertices)[1](cotangent)

    @jax.custom_vjp
    def smooth(*arrays):
        return by_platform(kernel, plainly, *arrays)[0]

    def forward(*arrays):
        smoothed, silhouettes = by_platform(kernel, plainly, *arrays)
        return smoothed, (*arrays, silhouettes)

    def backward(kept, cotangent):
        pulls = pull("smooth_to_image", 0), pull("smooth_to_vertices", 1)
        to_image, to_vertices = one_by_one(pulls, plain_pull, *kept, cotangent)
        return to_image, None, None, to_vertices, None

    smooth.defvjp(forward, backward)
    return smooth(image, face_index, depth, vertices, edges)

"""Hard rasterisation of triangle meshes: what each pixel sees, differentiable through barycentrics and depth."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from emoca_jax.errors import InputError
from emoca_jax.render.edges import SPARE_TRIANGLE, columns, edge_rows, evaluate, pixel_centres, weights_and_depth
from emoca_jax.render.visible_faces import Cull, visible_faces


class Fragments(struct.PyTreeNode):
    """What each pixel sees.

    face_index: int32, -1 on the background, no gradient. barycentric: weights of the face's three corners, sums to 1,
    zero on the background. depth: +inf on the background.
    """

    face_index: Int[Array, "*batch height width"]
    barycentric: Float[Array, "*batch height width 3"]
    depth: Float[Array, "*batch height width"]


@functools.partial(jax.jit, static_argnames=("size", "cull", "official"))
def rasterize(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int], *,
    cull: Cull = None, official: bool = False,
) -> Fragments:  # fmt: skip
    """The nearest face at each pixel centre of a height x width image.

    vertices: image-plane x (right), y (down) in [-1, 1] across the image, and depth (any unit, grows away from the
    viewer). Pixel centres lie at (2 i + 1) / size - 1. faces: shared by the batch. size: (height, width), static.
    cull: drop faces whose corners run clockwise ("back") or counter-clockwise ("front") on the screen.

    The nearer face wins, equal depths go to the lower face index, and a pixel centre on an edge shared by two faces
    belongs to exactly one of them (top-left rule). Faces of any size are exact; degenerate ones and those with a
    non-finite corner are not drawn. There is no near plane: cameras decide what is behind them.

    official: pytorch3d's rules instead (Ravi et al. 2020, as used by the reference): a pixel centre on an edge belongs
    to no face, faces with a depth below 1e-8 are dropped, and 1e-8 is added to the area in the barycentrics.

    Differentiable in `vertices` through `barycentric` and `depth`, with zero gradient from the background.
    """
    height, width = size
    if height < 1 or width < 1:
        raise InputError(f"Cannot rasterise into {height} x {width} pixels; give a height and a width of at least 1.")
    index = visible_faces(vertices, faces, size, cull=cull, official=official)
    barycentric, depth = _surface(vertices, jnp.asarray(faces), index, official)
    return Fragments(index, barycentric, depth)


def _surface(vertices: Array, faces: Array, index: Array, official: bool) -> tuple[Array, Array]:
    """Barycentrics and depth at every pixel, as a differentiable function of the vertices."""
    height, width = index.shape[-2:]
    covered = index >= 0
    rows = at_pixels(edge_rows(vertices[..., faces, :], strict=official), index)
    rows = jnp.where(covered[..., None], rows, edge_rows(jnp.array(SPARE_TRIANGLE), strict=official))
    x = pixel_centres(jnp.arange(width), width)
    y = pixel_centres(jnp.arange(height), height)[:, None]
    row = columns(rows)
    edges, _ = evaluate(row, x, y)
    weights, depth = weights_and_depth(row, edges, official=official)
    barycentric = jnp.where(covered[..., None], jnp.stack(weights, axis=-1), 0.0)
    return barycentric, jnp.where(covered, depth, jnp.inf)


def at_pixels(
    per_face: Float[Array, "*batch faces channels"], face_index: Int[Array, "*batch height width"]
) -> Float[Array, "*batch height width channels"]:
    """The row of the face that each pixel sees; that of face 0 on the background."""
    batch = face_index.shape[:-2]
    count, channels = per_face.shape[-2:]
    if count == 0:
        return jnp.zeros((*face_index.shape, channels), per_face.dtype)
    flat = jnp.broadcast_to(per_face, (*batch, count, channels)).reshape(-1, channels)
    offset = jnp.arange(math.prod(batch), dtype=jnp.int32).reshape(*batch, 1, 1) * count
    return flat.at[jnp.maximum(face_index, 0) + offset].get(mode="promise_in_bounds")

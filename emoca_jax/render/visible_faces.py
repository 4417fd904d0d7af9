"""Which face does each pixel see: the integer half of rasterisation, exact for triangles of any size, in plain JAX.

The bounding box of every face is cut into blocks of BLOCK_HEIGHT x BLOCK_WIDTH pixels. A loop takes CHUNK blocks at a
time from the list of all blocks of all faces, whoever they belong to, evaluates the edge functions of their pixels and
scatters the nearest depth and its face into the image. Work and memory follow the covered pixels, not pixels x faces;
a face that fills the screen is many blocks, so nothing has to be dropped and there is no capacity to tune.
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from emoca_jax.render.edges import (
    OFFICIAL_EPSILON,
    columns,
    edge_rows,
    evaluate,
    pixel_centres,
    signed_area,
    weights_and_depth,
)

Cull = Literal["back", "front"] | None

BLOCK_HEIGHT, BLOCK_WIDTH = 2, 4
"""Pixels per block: the fastest of 1x1 to 8x8 on a 10k-face head at 224 x 224, where the median face spans 3 pixels."""
CHUNK = 8192
"""Blocks per turn of the loop: flat optimum between 4k and 16k on a CPU."""
NO_FACE = 2**31 - 1


class Blocks(NamedTuple):
    """Pixel blocks of every face's bounding box: first pixel, blocks per row, and how many blocks in all."""

    left: Int[Array, "faces"]
    top: Int[Array, "faces"]
    per_row: Int[Array, "faces"]
    count: Int[Array, "faces"]


def _pixel_range(coordinates: Float[Array, "faces 3"], size: int) -> tuple[Array, Array]:
    """First pixel and number of pixels whose centres can lie between the smallest and largest coordinate."""
    # Rounding of coordinate and centre is below 4 ulp of 1 each, in pixels size / 2 times that.
    slack = 1e-3 + size * 4e-7
    first = jnp.ceil((coordinates.min(-1) + 1) * (size / 2) - 0.5 - slack)
    last = jnp.floor((coordinates.max(-1) + 1) * (size / 2) - 0.5 + slack)
    first = jnp.clip(first, 0, size).astype(jnp.int32)
    last = jnp.clip(last, -1, size - 1).astype(jnp.int32)
    return first, jnp.maximum(last - first + 1, 0)


def _drawable(triangles: Float[Array, "faces 3 3"], cull: Cull, official: bool) -> Bool[Array, "faces"]:
    """Faces that can show at all: finite, not degenerate, not culled."""
    area = signed_area(triangles)
    keep = jnp.all(jnp.isfinite(triangles), axis=(-2, -1)) & (area != 0)
    if official:
        keep &= (jnp.abs(area) > OFFICIAL_EPSILON) & (triangles[..., 2].min(-1) >= OFFICIAL_EPSILON)
    if cull == "back":
        keep &= area < 0
    elif cull == "front":
        keep &= area > 0
    return keep


def _blocks(triangles: Float[Array, "faces 3 3"], height: int, width: int, keep: Bool[Array, "faces"]) -> Blocks:
    left, columns = _pixel_range(triangles[..., 0], width)
    top, rows = _pixel_range(triangles[..., 1], height)
    per_row = -(-columns // BLOCK_WIDTH)
    count = jnp.where(keep, per_row * -(-rows // BLOCK_HEIGHT), 0)
    return Blocks(left, top, jnp.maximum(per_row, 1), count)


def _take(array: Array, index: Array) -> Array:
    return array.at[index].get(mode="promise_in_bounds")


def _search(
    vertices: Float[Array, "batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int], *,
    cull: Cull, official: bool,
) -> Int[Array, "batch height width"]:  # fmt: skip
    height, width = size
    batch, pixels = vertices.shape[0], vertices.shape[0] * height * width
    triangles = vertices[:, faces].reshape(-1, 3, 3)
    total = triangles.shape[0]
    if total == 0 or pixels == 0:
        return jnp.full((batch, height, width), -1, jnp.int32)
    left, top, per_row, count = _blocks(triangles, height, width, _drawable(triangles, cull, official))
    rows = edge_rows(triangles, strict=official)
    count = jnp.concatenate([count, jnp.zeros(CHUNK, jnp.int32)])
    base = jnp.arange(total, dtype=jnp.int32) // faces.shape[0] * (height * width)
    where = jnp.stack([left, top, per_row, base], axis=-1)
    slot = jnp.arange(CHUNK, dtype=jnp.int32)

    def draw(state):
        first, skip, nearest, owner = state
        # Which face and which of its blocks each of the next CHUNK blocks is: `first` has `skip` blocks behind it.
        todo = jnp.minimum(lax.dynamic_slice(count, (first,), (CHUNK,)), CHUNK + skip).at[0].add(-skip)
        ends = jnp.cumsum(todo)
        starts = ends - todo
        local = jnp.cumsum(jnp.zeros(CHUNK, jnp.int32).at[starts].add(1, mode="drop")) - 1
        face = jnp.minimum(first + local, total - 1)
        block = slot - _take(starts, local) + jnp.where(local == 0, skip, 0)
        corner_x, corner_y, blocks_per_row, image = jnp.unstack(_take(where, face), axis=-1)
        block_row = block // blocks_per_row
        x = (corner_x + (block - block_row * blocks_per_row) * BLOCK_WIDTH)[:, None] + jnp.arange(BLOCK_WIDTH)
        y = (corner_y + block_row * BLOCK_HEIGHT)[:, None] + jnp.arange(BLOCK_HEIGHT)
        in_image = (x < width)[:, None, :] & ((y < height) & (slot < ends[-1])[:, None])[:, :, None]

        row = [column[:, None, None] for column in columns(_take(rows, face))]
        edges, inside = evaluate(row, pixel_centres(x, width)[:, None, :], pixel_centres(y, height)[:, :, None])
        _, depth = weights_and_depth(row, edges, official=official)
        pixel = image[:, None, None] + y[:, :, None] * width + x[:, None, :]
        pixel = jnp.where(inside & in_image, pixel, pixels)
        nearer = nearest.at[pixel].min(depth, mode="promise_in_bounds")
        winner = jnp.where(_take(nearer, pixel) == depth, pixel, pixels)
        owner = jnp.where(nearer < nearest, NO_FACE, owner)
        owner = owner.at[winner].min(jnp.broadcast_to(face[:, None, None], depth.shape), mode="promise_in_bounds")

        finished = jnp.sum((ends <= CHUNK).astype(jnp.int32))
        before = jnp.where(finished > 0, ends[jnp.maximum(finished - 1, 0)], -skip)
        return first + finished, jnp.where(finished < CHUNK, CHUNK - before, 0), nearer, owner

    # One slot past the image takes what is outside of it.
    nearest, owner = jnp.full(pixels + 1, jnp.inf), jnp.full(pixels + 1, NO_FACE, jnp.int32)
    start = (jnp.int32(0), jnp.int32(0), nearest, owner)
    owner = lax.while_loop(lambda state: state[0] < total, draw, start)[3][:pixels].reshape(batch, height, width)
    return jnp.where(owner == NO_FACE, -1, owner % faces.shape[0])


@functools.lru_cache(maxsize=64)
def _search_for(height: int, width: int, cull: Cull, official: bool):
    """The search with its static arguments bound; under `vmap` it becomes one search over a longer batch, where
    batching its loop would run every image until the slowest is done."""

    @jax.custom_batching.custom_vmap
    def search(vertices, faces):
        return _search(vertices, faces, (height, width), cull=cull, official=official)

    @search.def_vmap
    def _(axis_size, in_batched, vertices, faces):
        if in_batched[1]:
            vertices = vertices if in_batched[0] else jnp.broadcast_to(vertices, (axis_size, *vertices.shape))
            return lax.map(lambda pair: search(*pair), (vertices, faces)), True
        found = search(vertices.reshape(-1, *vertices.shape[2:]), faces)
        return found.reshape(axis_size, -1, height, width), True

    return search


def visible_faces(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int], *,
    cull: Cull = None, official: bool = False,
) -> Int[Array, "*batch height width"]:  # fmt: skip
    """Index of the face nearest at each pixel centre, -1 where there is none; no gradient.

    See `rasterize` for frames and rules.
    """
    height, width = size
    batch = vertices.shape[:-2]
    flat = lax.stop_gradient(vertices).astype(jnp.float32).reshape(-1, *vertices.shape[-2:])
    found = _search_for(height, width, cull, official)(flat, jnp.asarray(faces, jnp.int32))
    return found.reshape(*batch, height, width)

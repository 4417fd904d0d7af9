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
from jaxtyping import Array, Bool, Float, Int, Integer

from emoca_jax.render.backends.blocks import Boxes, for_each_chunk, pixel_range, take
from emoca_jax.render.backends.edge_functions import (
    OFFICIAL_EPSILON,
    columns,
    edge_rows,
    evaluate,
    facing,
    pixel_centres,
    signed_area,
    weights_and_depth,
)
from emoca_jax.render.backends.per_image import on_own_devices, one_by_one

Cull = Literal["back", "front"] | None

BLOCK_HEIGHT, BLOCK_WIDTH = 2, 4
"""Pixels per block: the fastest of 1x1 to 8x8 on a 10k-face head at 224 x 224, where the median face spans 3 pixels."""
CHUNK = 8192
"""Blocks per turn of the loop: flat optimum between 4k and 16k on a CPU."""
WIDE_CHUNK = 32 * CHUNK
"""The same where turns are dear and lanes are many: a head at 224 x 224 in one turn."""
NO_FACE = 2**31 - 1
CUT_SLACK = 1e-5
"""By how much of itself the box of a face cut by the near plane is widened: a hundred roundings."""


class Rules(NamedTuple):
    """What counts: faces of which side, pytorch3d's rules or ours, and in perspective from which depth on."""

    cull: Cull = None
    official: bool = False
    near: float | None = None


def _drawable(triangles: Float[Array, "faces 3 3"], rules: Rules) -> Bool[Array, "faces"]:
    """Faces that can show at all: finite, not degenerate, not culled, not wholly behind the near plane."""
    area = signed_area(triangles)
    keep = jnp.all(jnp.isfinite(triangles), axis=(-2, -1)) & (area != 0)
    if rules.official:
        keep &= (jnp.abs(area) > OFFICIAL_EPSILON) & (triangles[..., 2].min(-1) >= OFFICIAL_EPSILON)
    if rules.near is not None:
        keep &= triangles[..., 2].max(-1) >= rules.near
    if rules.cull is not None:
        side = facing(triangles, perspective=rules.near is not None)
        keep &= side < 0 if rules.cull == "back" else side > 0
    return keep


def _bounds(triangles: Float[Array, "faces 3 3"], near: float | None) -> tuple[Array, Array]:
    """Smallest and largest x and y, [faces, 2], of what lies in front of the near plane."""
    xy, depth = triangles[..., :2], triangles[..., 2:]
    if near is None:
        return xy.min(-2), xy.max(-2)
    # Corners in front, and where the edges pass through the plane.
    next_depth, point, next_point = jnp.roll(depth, -1, -2), xy * depth, jnp.roll(xy * depth, -1, -2)
    cut = (depth < near) != (next_depth < near)
    share = (near - depth) / jnp.where(cut, next_depth - depth, 1.0)
    on_plane = (point + share * (next_point - point)) / near
    points = jnp.concatenate([xy, on_plane], axis=-2)
    valid = jnp.concatenate([depth >= near, cut], axis=-2)
    # What is cut is known less well: a little more than the rounding of its corners.
    spread = jnp.where(cut.any(-2), jnp.abs(on_plane).max(-2) * CUT_SLACK, 0.0)
    return jnp.where(valid, points, jnp.inf).min(-2) - spread, jnp.where(valid, points, -jnp.inf).max(-2) + spread


def _search(
    vertices: Float[Array, "batch vertices 3"], faces: Integer[Array, "faces 3"], size: tuple[int, int], *,
    rules: Rules,
) -> Int[Array, "batch height width"]:  # fmt: skip
    height, width = size
    batch, pixels = vertices.shape[0], vertices.shape[0] * height * width
    triangles = vertices[:, faces].reshape(-1, 3, 3)
    total = triangles.shape[0]
    if total == 0 or pixels == 0:
        return jnp.full((batch, height, width), -1, jnp.int32)
    low, high = _bounds(triangles, rules.near)
    left, box_columns = pixel_range(low[:, 0], high[:, 0], width)
    top, box_rows = pixel_range(low[:, 1], high[:, 1], height)
    per_row, per_column = -(-box_columns // BLOCK_WIDTH), -(-box_rows // BLOCK_HEIGHT)
    boxes = Boxes(per_row, jnp.where(_drawable(triangles, rules), per_row * per_column, 0))
    rows = edge_rows(triangles, strict=rules.official, perspective=rules.near is not None)
    chunk_size = CHUNK if one_by_one() else WIDE_CHUNK
    base = jnp.arange(total, dtype=jnp.int32) // faces.shape[0] * (height * width)
    where = jnp.stack([left, top, base], axis=-1)

    def draw(state, chunk):
        nearest, owner = state
        corner_x, corner_y, image = jnp.unstack(take(where, chunk.face), axis=-1)
        x = (corner_x + chunk.right * BLOCK_WIDTH)[:, None] + jnp.arange(BLOCK_WIDTH)[None]
        y = (corner_y + chunk.down * BLOCK_HEIGHT)[:, None] + jnp.arange(BLOCK_HEIGHT)[None]
        in_image = (x < width)[:, None, :] & ((y < height) & chunk.live[:, None])[:, :, None]

        row = [column[:, None, None] for column in columns(take(rows, chunk.face))]
        edges, inside = evaluate(row, pixel_centres(x, width)[:, None, :], pixel_centres(y, height)[:, :, None])
        _, depth = weights_and_depth(row, edges, official=rules.official)
        if rules.near is not None:
            inside &= depth >= rules.near
        pixel = image[:, None, None] + y[:, :, None] * width + x[:, None, :]
        pixel = jnp.where(inside & in_image, pixel, pixels)
        nearer = nearest.at[pixel].min(depth, mode="promise_in_bounds")
        winner = jnp.where(take(nearer, pixel) == depth, pixel, pixels)
        if pixels > 8 * pixel.size:
            # In a large image only the touched pixels are looked at, or each turn would cost the whole of it.
            beaten = take(nearer, pixel) < take(nearest, pixel)
            owner = owner.at[jnp.where(beaten, pixel, pixels)].set(NO_FACE, mode="promise_in_bounds")
        else:
            owner = jnp.where(nearer < nearest, NO_FACE, owner)
        owner = owner.at[winner].min(jnp.broadcast_to(chunk.face[:, None, None], depth.shape), mode="promise_in_bounds")

        return nearer, owner

    # One slot past the image takes what is outside of it.
    nearest, owner = jnp.full(pixels + 1, jnp.inf), jnp.full(pixels + 1, NO_FACE, jnp.int32)
    owner = for_each_chunk(boxes, chunk_size, draw, (nearest, owner))[1][:pixels].reshape(batch, height, width)
    return jnp.where(owner == NO_FACE, -1, owner % faces.shape[0])


@functools.lru_cache(maxsize=64)
def _search_for(size: tuple[int, int], rules: Rules):
    """The search with its static arguments bound; under `vmap` it becomes one search over a longer batch, where
    batching its loop would run every image until the slowest is done."""

    @jax.custom_batching.custom_vmap
    def search(vertices, faces):
        if one_by_one() and vertices.shape[0] > 1:
            return lax.map(lambda own: _search(own[None], faces, size, rules=rules)[0], vertices)
        return _search(vertices, faces, size, rules=rules)

    @search.def_vmap
    def _(axis_size, in_batched, vertices, faces):
        if in_batched[1]:
            vertices = vertices if in_batched[0] else jnp.broadcast_to(vertices, (axis_size, *vertices.shape))
            return lax.map(lambda pair: search(*pair), (vertices, faces)), True
        found = search(vertices.reshape(-1, *vertices.shape[2:]), faces)
        return found.reshape(axis_size, -1, *size), True

    return search


def visible_faces(
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], size: tuple[int, int],
    rules: Rules,
) -> Int[Array, "*batch height width"]:  # fmt: skip
    """Index of the face nearest at each pixel centre, -1 where there is none; no gradient.

    See `rasterize` for frames and rules.
    """
    flat = lax.stop_gradient(vertices).astype(jnp.float32).reshape(-1, *vertices.shape[-2:])
    found = on_own_devices(_search_for(size, rules), flat, jnp.asarray(faces, jnp.int32))
    return found.reshape(*vertices.shape[:-2], *size)

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

Cull = Literal["back", "front"] | None

BLOCK_HEIGHT, BLOCK_WIDTH = 2, 4
"""Pixels per block: the fastest of 1x1 to 8x8 on a 10k-face head at 224 x 224, where the median face spans 3 pixels."""
CHUNK = 8192
"""Blocks per turn of the loop: flat optimum between 4k and 16k on a CPU."""
OFFICIAL_EPSILON = 1e-8
"""pytorch3d's kEpsilon: faces nearer than this or with less doubled area are dropped, and it is added to the area."""
NO_FACE = 2**31 - 1


class Blocks(NamedTuple):
    """Pixel blocks of every face's bounding box: first pixel, blocks per row, and how many blocks in all."""

    left: Int[Array, "faces"]
    top: Int[Array, "faces"]
    per_row: Int[Array, "faces"]
    count: Int[Array, "faces"]


def signed_area(triangles: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch"]:
    """Twice the area of image-plane triangles [..., corner, (x, y, depth)]; negative for corners that run
    counter-clockwise as seen on the screen (y points down)."""
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])


def pixel_centres(index: Int[Array, "*n"], size: int) -> Float[Array, "*n"]:
    """Image-plane coordinate (2 i + 1) / size - 1 of pixel column or row `index`."""
    return (2 * index + 1).astype(jnp.float32) / size - 1


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
    keep = jnp.all(jnp.isfinite(triangles), axis=(-2, -1))
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


def _edge(a: Array, b: Array, x: Array, y: Array, strict: bool) -> tuple[Array, Array, Array]:
    """Edge function of a -> b at (x, y), and whether a zero counts as inside for either orientation of the face.

    Measured from the same end whichever way round the edge is given, so that the two faces on an edge see exactly
    opposite numbers and no pixel falls between them or belongs to both.
    """
    dx, dy = b[..., 0] - a[..., 0], b[..., 1] - a[..., 1]
    swap = (dx < 0) | ((dx == 0) & (dy < 0))
    origin_x, origin_y = jnp.where(swap, b[..., 0], a[..., 0]), jnp.where(swap, b[..., 1], a[..., 1])
    value = dx * (y - origin_y) - dy * (x - origin_x)
    if strict:
        never = jnp.zeros_like(swap)
        return value, never, never
    # A top edge is horizontal with the face below it, a left edge has the face on its right.
    top_left = (dy < 0) | ((dy == 0) & (dx > 0))
    return value, top_left, (dy > 0) | ((dy == 0) & (dx < 0))


def coverage(
    triangles: Float[Array, "*n 3 3"], x: Float[Array, "*n"], y: Float[Array, "*n"], *, strict: bool
) -> tuple[Bool[Array, "*n"], Float[Array, "*n 3"]]:
    """Is the point (x, y) in the triangle, and the three edge functions opposite its corners.

    `triangles` broadcasts against x and y. On an edge: top-left rule, or never inside where `strict`.
    """
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    edges = [_edge(b, c, x, y, strict), _edge(c, a, x, y, strict), _edge(a, b, x, y, strict)]
    positive = edges[0][0] + edges[1][0] + edges[2][0] > 0
    inside = jnp.ones(jnp.shape(positive), bool)
    for value, zero_if_positive, zero_if_negative in edges:
        beyond = jnp.where(positive, value > 0, value < 0)
        inside &= beyond | ((value == 0) & jnp.where(positive, zero_if_positive, zero_if_negative))
    return inside, jnp.stack([value for value, _, _ in edges], axis=-1)


def plane_depth(triangles: Float[Array, "*n 3 3"], weights: Float[Array, "*n 3"]) -> Float[Array, "*n"]:
    """Depth at barycentric weights, exact for a triangle of constant depth so that ties are ties."""
    z = triangles[..., 2]
    return z[..., 0] + (weights[..., 1] * (z[..., 1] - z[..., 0]) + weights[..., 2] * (z[..., 2] - z[..., 0]))


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
    count = jnp.concatenate([count, jnp.zeros(CHUNK, jnp.int32)])
    base = jnp.arange(total, dtype=jnp.int32) // faces.shape[0] * (height * width)
    where = jnp.stack([left, top, per_row, base], axis=-1)
    slot = jnp.arange(CHUNK, dtype=jnp.int32)
    block_x, block_y = jnp.arange(BLOCK_WIDTH), jnp.arange(BLOCK_HEIGHT)[:, None]

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
        row = block // blocks_per_row
        column = block - row * blocks_per_row
        x = (corner_x + column * BLOCK_WIDTH)[:, None, None] + block_x
        y = (corner_y + row * BLOCK_HEIGHT)[:, None, None] + block_y

        triangle = _take(triangles, face)[:, None, None]
        inside, edges = coverage(triangle, pixel_centres(x, width), pixel_centres(y, height), strict=official)
        inside &= (x < width) & (y < height) & (slot < ends[-1])[:, None, None]
        depth = plane_depth(triangle, edges / edges.sum(-1, keepdims=True))

        pixel = jnp.where(inside, image[:, None, None] + y * width + x, pixels)
        nearer = nearest.at[pixel].min(depth, mode="promise_in_bounds")
        winner = jnp.where(_take(nearer, pixel) == depth, pixel, pixels)
        owner = jnp.where(nearer < nearest, NO_FACE, owner)
        owner = owner.at[winner].min(jnp.broadcast_to(face[:, None, None], x.shape), mode="promise_in_bounds")

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

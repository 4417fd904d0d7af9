"""Analytic anti-aliasing of silhouettes: the cheap way to gradients across the outline of a mesh.

Where a silhouette edge passes between the centres of two neighbouring pixels, the colour of one is mixed into the
other in proportion to where it passes, so that moving the edge changes the image. After Laine et al. 2020 (Modular
Primitives for High-Performance Differentiable Rendering, arXiv:2011.03277, section 3.5), but going through the edges
instead of the pixels, so that faces smaller than a pixel, whose edges no pixel would look at, count too.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Integer

from emoca_jax.arrays import checks_arguments
from emoca_jax.errors import InputError
from emoca_jax.render.backends.blocks import Boxes, Chunk, for_each_chunk, take
from emoca_jax.render.backends.choice import Backend, draws_by_warp, draws_natively
from emoca_jax.render.backends.native.outline import ALONE, FINENESS, IGNORED, native_antialias
from emoca_jax.render.backends.warp.outline import warp_antialias
from emoca_jax.render.neighbours import OUTER, REPEATED, Edges
from emoca_jax.render.neighbours import mesh_edges as edges_of
from emoca_jax.render.rasterize import Fragments

CHUNK = 2048
"""Crossings per turn of the loop: a head's outline at 224 x 224 has about as many."""
NO_EDGE = 2**31 - 1


@checks_arguments
@functools.partial(jax.jit, static_argnames="backend")
def antialias(
    image: Float[Array, "*batch height width channels"], fragments: Fragments,
    vertices: Float[Array, "*#batch vertices 3"], faces: Integer[Array, "faces 3"], *, mesh_edges: Edges | None = None,
    backend: Backend | None = None,
) -> Float[Array, "*batch height width channels"]:  # fmt: skip
    """The image with its silhouettes smoothed by the share of each pixel that the nearer surface covers.

    image: drawn from `fragments` (any channels, coverage as well as colour). vertices, faces: what `rasterize` got.
    mesh_edges: `render.mesh_edges(faces)`, computed here if not given. An edge is a silhouette where only one face has
    it or both faces on it lie to the same side. Differentiable in `image` and in the vertices' x and y, which is the
    point of it: the gradient of the covered area is exact for edges that run through a pixel from side to side, not at
    corners. Reverse mode only (`jax.grad`, not `jax.jvp`). backend: as for `rasterize`.

    In perspective an edge with an end behind the camera stays jagged and has no gradient: keep meshes in front of it.
    """
    seen = jnp.asarray(fragments.face_index, jnp.int32), fragments.depth
    if any(of.shape[-2:] != image.shape[-3:-1] or not _spread(of.shape, image.shape[:-1]) for of in seen):
        raise InputError(
            f"An image {list(image.shape)} does not belong to fragments {list(seen[0].shape)} with depths"
            f" {list(seen[1].shape)}; draw it from them."
        )
    face_index, depth = (jnp.broadcast_to(of, image.shape[:-1]) for of in seen)
    edges = edges_of(faces) if mesh_edges is None else mesh_edges
    batch = image.shape[:-3]
    if math.prod(image.shape) == 0 or edges.start.shape[0] == 0:
        return image
    vertices = jnp.broadcast_to(vertices, (*batch, *vertices.shape[-2:]))
    edges = Edges(*(jnp.asarray(column, jnp.int32) for column in edges))
    arrays = image, face_index, depth, vertices
    by_warp = draws_by_warp(backend)
    if (by_warp or draws_natively(backend, "outline")) and all(arrays[i].dtype == jnp.float32 for i in (0, 2, 3)):
        # What names a vertex that does not exist is no edge: kernels read where they are told.
        ends = jnp.stack(edges[:3], axis=-1)
        count = vertices.shape[-2]
        there = jnp.all((ends >= 0) & (ends < count), axis=-1) & (edges.across < count) & (edges.across != REPEATED)
        across = jnp.where(there, jnp.where(edges.across < 0, ALONE, edges.across), IGNORED)
        ends = jnp.where(there[:, None], ends, 0)
        by_kernels = warp_antialias if by_warp else native_antialias
        return by_kernels(*arrays, jnp.concatenate([ends, across[:, None]], axis=-1), _antialias)
    return _antialias(*arrays, jnp.stack(edges, axis=-1))


def _spread(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to another."""
    return len(shape) <= len(to) and all(own in (1, other) for own, other in zip(shape[::-1], to[::-1], strict=False))


def _antialias(image: Array, face_index: Array, depth: Array, vertices: Array, edges: Array) -> Array:
    """In plain JAX, of edges [edges, 4]: the columns of `Edges`."""
    batch, (height, width, channels) = image.shape[:-3], image.shape[-3:]
    flat, (start, end, apex_index, across) = vertices.reshape(-1, *vertices.shape[-2:]), jnp.unstack(edges, axis=-1)
    # Pixel centres at whole numbers, one long list of edges for all images.
    scale, shift = jnp.array([width / 2, height / 2, 1.0]), jnp.array([(width - 1) / 2, (height - 1) / 2, 0.0])
    points = flat * scale[None, None] + shift[None, None]
    ends = jnp.concatenate([points[:, start], points[:, end]], axis=-1).reshape(-1, 6)
    ends = jnp.where(jnp.all(jnp.isfinite(ends), axis=-1, keepdims=True), ends, 0.0)
    fixed = lax.stop_gradient(points)
    apex, opposite = (fixed[:, index].reshape(-1, 3) for index in (apex_index, jnp.maximum(across, 0)))
    surface = lax.stop_gradient(jnp.where(face_index >= 0, depth, jnp.inf)).reshape(-1)
    image_of = jnp.repeat(jnp.arange(flat.shape[0], dtype=jnp.int32), start.shape[0])
    across_index = jnp.tile(across, flat.shape[0])
    crossed = _crossed(lax.stop_gradient(ends), apex, opposite, across_index, image_of, (height, width))
    owner = _outermost((height, width), lax.stop_gradient(ends), crossed, surface)
    smoothed: Array = _blend((height, width), image.reshape(-1, channels), ends, crossed, surface, owner)
    return smoothed.reshape(*batch, height, width, channels)


class _Crossed(NamedTuple):
    """The silhouettes that cross rows of pixel centres, or columns if they are flat, those with something to do first.

    number: which edge. boxes: how many rows each crosses; first: from which on. lower: whether the surface lies on the
    side of the smaller pixel numbers.
    """

    number: Int[Array, "edges"]
    used: Int[Array, ""]
    boxes: Boxes
    first: Int[Array, "edges"]
    flat: Bool[Array, "edges"]
    lower: Bool[Array, "edges"]
    image: Int[Array, "edges"]


class _Meeting(NamedTuple):
    """Crossings: the edge, the pixels before and behind it, a number for the pair, and whether it shows at all."""

    edge: Int[Array, "chunk"]
    front: Int[Array, "chunk"]
    behind: Int[Array, "chunk"]
    pair: Int[Array, "chunk"]
    shows: Bool[Array, "chunk"]


def _crossed(ends: Array, apex: Array, across: Array, across_index: Array, image: Array, size: tuple[int, int]):
    height, width = size
    start, end = ends[:, :2], ends[:, 3:5]
    along = end - start

    def side(point):
        return jnp.sign(along[:, 0] * (point[:, 1] - start[:, 1]) - along[:, 1] * (point[:, 0] - start[:, 0]))

    own = side(apex)
    silhouette = (across_index == OUTER) | ((across_index != REPEATED) & (own == side(across)))
    silhouette &= jnp.abs(own) == 1
    flat = jnp.abs(along[:, 0]) > jnp.abs(along[:, 1])
    limit = jnp.where(flat, width, height)
    one, other = jnp.where(flat, start[:, 0], start[:, 1]), jnp.where(flat, end[:, 0], end[:, 1])
    # Half open, so that the two edges at a vertex do not both cross there.
    first = jnp.clip(jnp.floor(jnp.minimum(one, other)) + 1, 0, limit).astype(jnp.int32)
    last = jnp.clip(jnp.floor(jnp.maximum(one, other)), -1, limit - 1).astype(jnp.int32)
    count = jnp.where(silhouette, jnp.maximum(last - first + 1, 0), 0)
    lower = jnp.where(flat, own * along[:, 0] < 0, own * along[:, 1] > 0)
    (number,) = jnp.nonzero(count > 0, size=count.shape[0], fill_value=0)
    used = jnp.sum(count > 0, dtype=jnp.int32)
    count = jnp.where(jnp.arange(count.shape[0]) < used, take(count, number), 0)
    return _Crossed(number, used, Boxes(jnp.maximum(count, 1), count), first, flat, lower, image)


def _meet(size: tuple[int, int], ends: Array, crossed: _Crossed, surface: Array, chunk: Chunk):
    """The crossings of a chunk, and how far each lies from the centre of the pixel in front to that of the other, as a
    function of the edge's row."""
    height, width = size
    edge = take(crossed.number, chunk.face)
    flat, lower = take(crossed.flat, edge), take(crossed.lower, edge)
    line = take(crossed.first, edge) + chunk.right

    def position(row):
        x0, y0, z0, x1, y1, z1 = jnp.unstack(row, axis=-1)
        run = jnp.where(flat, x1 - x0, y1 - y0)
        share = (line.astype(row.dtype) - jnp.where(flat, x0, y0)) / jnp.where(run == 0, 1.0, run)
        begin, over = jnp.where(flat, y0, x0), jnp.where(flat, y1 - y0, x1 - x0)
        return begin + share * over, z0 + share * (z1 - z0)

    place, depth = position(take(ends, edge))
    limit = jnp.where(flat, height, width)
    low = jnp.clip(jnp.floor(place), -1, limit).astype(jnp.int32)
    inside = (low >= 0) & (low + 1 < limit) & chunk.live
    pixel = take(crossed.image, edge) * (height * width) + jnp.where(flat, low * width + line, line * width + low)
    pixel = jnp.where(inside, pixel, 0)
    further = jnp.where(inside, pixel + jnp.where(flat, width, 1), 0)
    front, behind = jnp.where(lower, pixel, further), jnp.where(lower, further, pixel)
    nearer, farther = take(surface, front), take(surface, behind)
    pair = 4 * front + 2 * flat.astype(jnp.int32) + lower.astype(jnp.int32)

    def distance(row):
        from_low = position(row)[0] - low.astype(row.dtype)
        return jnp.where(lower, from_low, 1 - from_low)

    return _Meeting(edge, front, behind, pair, inside & (nearer < farther) & (depth < farther)), distance


def _outermost(size: tuple[int, int], ends: Array, crossed: _Crossed, surface: Array) -> Int[Array, "pairs"]:
    """The edge that counts between two pixels: the one farthest out, of equals the lowest."""
    spare = 4 * surface.shape[0]

    def visit(state, chunk):
        reach, owner = state
        meeting, distance = _meet(size, ends, crossed, surface, chunk)
        far = jnp.round(distance(take(ends, meeting.edge)) * FINENESS).astype(jnp.int32)
        far = lax.optimization_barrier(far)
        pair = jnp.where(meeting.shows, meeting.pair, spare)
        # Both maps are touched only where there is something, so that a turn costs the crossings and not the image.
        before = take(reach, pair)
        reach = reach.at[pair].max(far, mode="promise_in_bounds")
        after = take(reach, pair)
        owner = owner.at[jnp.where(after > before, pair, spare)].set(NO_EDGE, mode="promise_in_bounds")
        winner = jnp.where(after == far, pair, spare)
        return reach, owner.at[winner].min(meeting.edge, mode="promise_in_bounds")

    start = (jnp.full(spare + 1, -1, jnp.int32), jnp.full(spare + 1, NO_EDGE, jnp.int32))
    return for_each_chunk(crossed.boxes, CHUNK, visit, start, used=crossed.used)[1]


def _mixed(size, image, ends, crossed, surface, owner, chunk):
    """Which pixels the crossings of a chunk change, and by how much as a function of both colours and the edge."""
    meeting, distance = _meet(size, ends, crossed, surface, chunk)
    counts = meeting.shows & (take(owner, meeting.pair) == meeting.edge)
    # Past the middle between the centres the pixel behind is partly covered, before it the one in front partly free.
    past = distance(take(ends, meeting.edge)) > 0.5

    def change(front, behind, row):
        covered = jnp.where(counts, distance(row) - 0.5, 0.0)[:, None]
        return covered * (front - behind)

    return meeting, jnp.where(past, meeting.behind, meeting.front), change


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _blend(
    size: tuple[int, int], image: Float[Array, "pixels channels"], ends: Float[Array, "edges 6"], crossed: _Crossed,
    surface: Float[Array, "pixels"], owner: Int[Array, "pairs"],
) -> Float[Array, "pixels channels"]:  # fmt: skip
    def visit(result, chunk):
        meeting, target, change = _mixed(size, image, ends, crossed, surface, owner, chunk)
        change = change(take(image, meeting.front), take(image, meeting.behind), take(ends, meeting.edge))
        return result.at[target].add(change, mode="promise_in_bounds")

    return for_each_chunk(crossed.boxes, CHUNK, visit, image, used=crossed.used)


def _blend_forward(size, image, ends, crossed, surface, owner):
    return _blend(size, image, ends, crossed, surface, owner), (image, ends, crossed, surface, owner)


def _blend_backward(size, kept, cotangent):
    image, ends, crossed, surface, owner = kept

    def visit(state, chunk):
        to_image, to_ends = state
        meeting, target, change = _mixed(size, image, ends, crossed, surface, owner, chunk)
        inputs = (take(image, meeting.front), take(image, meeting.behind), take(ends, meeting.edge))
        front, behind, row = jax.vjp(change, *inputs)[1](take(cotangent, target))
        to_image = to_image.at[meeting.front].add(front, mode="promise_in_bounds")
        to_image = to_image.at[meeting.behind].add(behind, mode="promise_in_bounds")
        return to_image, to_ends.at[meeting.edge].add(row, mode="promise_in_bounds")

    start = (cotangent, jnp.zeros_like(ends))
    return *for_each_chunk(crossed.boxes, CHUNK, visit, start, used=crossed.used), None, None, None


_blend.defvjp(_blend_forward, _blend_backward)

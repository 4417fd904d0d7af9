"""Which faces touch a pixel softly, and sums over them: the streaming half of soft rasterisation.

The image is cut into tiles. A loop goes over all (face, tile) pairs that can matter, whoever they belong to, evaluates
a face at all pixels of a tile at once and adds the tile up. The K nearest faces of each pixel are found by counting:
a search on the bits of the depth narrows the K-th smallest in a few passes. Nothing is ever as large as pixels x faces
or even pixels x K; a backward pass streams over the same pairs again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from emoca_jax.render.backends.blocks import Boxes, Chunk, for_each_chunk, pixel_range, take
from emoca_jax.render.backends.edges import OFFICIAL_EPSILON, SPARE_TRIANGLE, pixel_centres, signed_area

TILE = 8
"""Pixels along the side of a tile."""
CHUNK = 512
"""Pairs per turn of the loop."""
BUCKETS = 16
"""Into how many parts a pass of the depth search divides what is left."""
SMALLEST_WEIGHT_SUM = 1e-5
"""pytorch3d's floor for the sum of clipped barycentric weights."""
ALL = 2**32 - 1
Row = list[Float[Array, "*n"]]


class Reach(NamedTuple):
    """How far a face is felt, as a squared distance, and whether outside of it the barycentrics are clipped."""

    blur_radius: Array
    clip: Array


class Touch(NamedTuple):
    """A face at a pixel: barycentric weights, depth, the squared distance to the triangle (negative inside), and
    whether the pixel is inside or within reach."""

    weights: list[Float[Array, "*n"]]
    depth: Float[Array, "*n"]
    distance: Float[Array, "*n"]
    valid: Bool[Array, "*n"]


class Pairs(NamedTuple):
    """Every face's tiles: the first one's column and row, its image, and how many there are."""

    column: Int[Array, "faces"]
    row: Int[Array, "faces"]
    image: Int[Array, "faces"]
    boxes: Boxes


class Limit(NamedTuple):
    """Up to where faces count at a pixel: those with a smaller depth key, or an equal one and at most this number."""

    key: Array
    face: Array


def tiles_of(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // TILE), -(-size[1] // TILE)


def to_image(tiles: Array, batch: int, size: tuple[int, int]) -> Array:
    """[tiles, pixels of a tile, ...] to [batch, height, width, ...]."""
    down, across = tiles_of(size)
    rest = tiles.shape[2:]
    grid = tiles.reshape(batch, down, across, TILE, TILE, *rest)
    return jnp.moveaxis(grid, 3, 2).reshape(batch, down * TILE, across * TILE, *rest)[:, : size[0], : size[1]]


def to_tiles(size: tuple[int, int], batch: int) -> tuple[Array, Array]:
    """x and y of the pixels of all tiles, [batch * tiles, pixels of a tile], in units in which pixels are square."""
    height, width = size
    down, across = tiles_of(size)
    aspect_x, aspect_y = squared_aspect(size)
    within = jnp.arange(TILE * TILE, dtype=jnp.int32)
    tile = jnp.arange(batch * down * across, dtype=jnp.int32)[:, None] % (down * across)
    x = pixel_centres(tile % across * TILE + within % TILE, width) * aspect_x
    y = pixel_centres(tile // across * TILE + within // TILE, height) * aspect_y
    return x, y


def squared_aspect(size: tuple[int, int]) -> tuple[float, float]:
    """Factors for x and y that make pixels square, with the shorter side of the image at [-1, 1]."""
    height, width = size
    return width / min(size), height / min(size)


def drawable(
    vertices: Float[Array, "batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int]
) -> Bool[Array, "batch_faces"]:
    """Faces that count, [batch * faces]: finite and not degenerate."""
    triangles = vertices[:, faces].reshape(-1, 3, 3)
    xy = triangles[..., :2]
    # Their area may come out as more than nothing where a compiler fuses a product with the difference.
    repeated = jnp.any(jnp.all(xy == jnp.roll(xy, 1, axis=-2), axis=-1), axis=-1)
    area = signed_area(triangles * jnp.array([*squared_aspect(size), 1.0]))
    return jnp.all(jnp.isfinite(triangles), axis=(-2, -1)) & ~repeated & (jnp.abs(area) > OFFICIAL_EPSILON)


def face_rows(
    vertices: Float[Array, "batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int],
    keep: Bool[Array, "batch_faces"],
) -> Array:  # fmt: skip
    """[batch * faces, 9]: the corners, x and y in units in which pixels are square; a spare triangle where one is not
    to be kept."""
    triangles = vertices[:, faces].reshape(-1, 3, 3) * jnp.array([*squared_aspect(size), 1.0])
    return jnp.where(keep[:, None], triangles.reshape(-1, 9), spare_row(triangles.dtype))


def spare_row(dtype: jnp.dtype) -> Float[Array, "9"]:
    return jnp.array(SPARE_TRIANGLE, dtype).reshape(-1)


def drawable_pairs(
    vertices: Float[Array, "batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int],
    keep: Bool[Array, "batch_faces"], blur_radius: Array,
) -> Pairs:  # fmt: skip
    """The tiles that each face to be kept can touch."""
    reach = jnp.sqrt(blur_radius)
    height, width = size
    triangles = vertices[:, faces].reshape(-1, 3, 3)
    aspect_x, aspect_y = squared_aspect(size)
    low, high = triangles.min(-2), triangles.max(-2)
    left, columns = pixel_range(low[:, 0] - reach / aspect_x, high[:, 0] + reach / aspect_x, width)
    top, rows = pixel_range(low[:, 1] - reach / aspect_y, high[:, 1] + reach / aspect_y, height)
    keep = keep & (columns > 0) & (rows > 0)
    column, row = left // TILE, top // TILE
    per_row = (left + columns - 1) // TILE - column + 1
    per_column = (top + rows - 1) // TILE - row + 1
    image = jnp.arange(triangles.shape[0], dtype=jnp.int32) // max(faces.shape[0], 1)
    return Pairs(column, row, image, Boxes(per_row, jnp.where(keep, per_row * per_column, 0)))


def touch(row: Row, x: Float[Array, "*n"], y: Float[Array, "*n"], reach: Reach) -> Touch:
    """A face (columns of its `face_rows`, broadcast against x and y) at the point (x, y)."""
    corners = [row[3 * i : 3 * i + 3] for i in range(3)]
    (ax, ay, _), (bx, by, _), (cx, cy, _) = corners
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    # What `drawable` kept can come out smaller here, where the compiler rounds otherwise.
    least = jnp.where(area < 0, -OFFICIAL_EPSILON, OFFICIAL_EPSILON)
    area = jnp.where(jnp.abs(area) > OFFICIAL_EPSILON, area, least)
    edges = [_edge(corners[(i + 1) % 3], corners[(i + 2) % 3], x, y) / area for i in range(3)]
    inside = (edges[0] > 0) & (edges[1] > 0) & (edges[2] > 0)
    positive = [jnp.maximum(edge, 0.0) for edge in edges]
    total = jnp.maximum(positive[0] + positive[1] + positive[2], SMALLEST_WEIGHT_SUM)
    weights = [jnp.where(reach.clip, share / total, edge) for share, edge in zip(positive, edges, strict=True)]
    depth = weights[0] * corners[0][2] + weights[1] * corners[1][2] + weights[2] * corners[2][2]
    distances = [_segment_distance(corners[(i + 1) % 3], corners[(i + 2) % 3], x, y) for i in range(3)]
    nearest = jnp.minimum(jnp.minimum(distances[0], distances[1]), distances[2])
    valid = inside | (nearest < reach.blur_radius)
    return Touch(weights, depth, jnp.where(inside, -nearest, nearest), valid)


def _edge(start: Row, end: Row, x: Array, y: Array) -> Array:
    return (end[0] - start[0]) * (y - start[1]) - (end[1] - start[1]) * (x - start[0])


def _segment_distance(start: Row, end: Row, x: Array, y: Array) -> Array:
    """Squared distance to the segment."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    length = along_x**2 + along_y**2
    share = ((x - start[0]) * along_x + (y - start[1]) * along_y) / jnp.maximum(length, OFFICIAL_EPSILON)
    # Where the nearest point lies is not differentiated: at the minimum it makes no difference.
    share = lax.stop_gradient(jnp.where(length > OFFICIAL_EPSILON, jnp.clip(share, 0.0, 1.0), 1.0))
    return (x - start[0] - share * along_x) ** 2 + (y - start[1] - share * along_y) ** 2


def depth_key(depth: Float[Array, "*n"]) -> Array:
    """uint32 in the order of the floats."""
    bits = lax.bitcast_convert_type(depth.astype(jnp.float32), jnp.uint32)
    return jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))


def _places(pairs: Pairs, chunk: Chunk, size: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Tile number, x and y of its pixels, which of them are in the image."""
    height, width = size
    down, across = tiles_of(size)
    column = take(pairs.column, chunk.face) + chunk.right
    row = take(pairs.row, chunk.face) + chunk.down
    tile = jnp.where(chunk.live, (take(pairs.image, chunk.face) * down + row) * across + column, 0)
    within = jnp.arange(TILE * TILE, dtype=jnp.int32)
    i, j = row[:, None] * TILE + within // TILE, column[:, None] * TILE + within % TILE
    aspect_x, aspect_y = squared_aspect(size)
    x, y = pixel_centres(j, width) * aspect_x, pixel_centres(i, height) * aspect_y
    tile, x, y = lax.optimization_barrier((tile, x, y))
    return tile, x, y, (i < height) & (j < width) & chunk.live[:, None]


Carry = TypeVar("Carry")
Visit = Callable[[Carry, Chunk, Array, Touch, Array], Carry]


def each_pair(pairs: Pairs, rows: Array, size: tuple[int, int], reach: Reach, visit: Visit, carry: Carry) -> Carry:
    """`visit(carry, chunk, tile, touch, valid)` over all pairs."""

    def body(carry, chunk):
        tile, x, y, in_image = _places(pairs, chunk, size)
        touched = touch(_columns(_own_rows(rows, chunk)), x, y, reach)
        return visit(carry, chunk, tile, touched, touched.valid & in_image)

    return for_each_chunk(pairs.boxes, CHUNK, body, carry)


def _own_rows(rows: Array, chunk: Chunk) -> Array:
    # Compilers put the lookup into the arithmetic, to be done again at every pixel.
    return lax.optimization_barrier(take(rows, chunk.face))


def _columns(rows: Array) -> Row:
    return [part for part in lax.split(rows, (1,) * rows.shape[-1], axis=-1)]


def within_limit(limit: Limit, tile: Array, key: Array, face: Array) -> Bool[Array, "*n"]:
    bound, last, key = lax.optimization_barrier((take(limit.key, tile), take(limit.face, tile), key))
    return (key < bound) | ((key == bound) & (face[:, None] <= last))


def nearest_limit(
    pairs: Pairs,
    rows: Array,
    grid: tuple[int, int, int],
    size: tuple[int, int],
    reach: Reach,
    faces_per_pixel: int,
) -> Limit:
    """The limit that leaves the `faces_per_pixel` nearest faces of each pixel, ties to the lower number."""
    shape = (math.prod(grid), TILE * TILE)

    def survey(carry, chunk, tile, touched, valid):
        count, low, high = carry
        key = depth_key(touched.depth)
        return (
            count.at[tile].add(valid.astype(jnp.int32), mode="promise_in_bounds"),
            low.at[tile].min(jnp.where(valid, key, jnp.uint32(ALL)), mode="promise_in_bounds"),
            high.at[tile].max(jnp.where(valid, key, jnp.uint32(0)), mode="promise_in_bounds"),
        )

    start = (jnp.zeros(shape, jnp.int32), jnp.full(shape, ALL, jnp.uint32), jnp.zeros(shape, jnp.uint32))
    count, low, high = each_pair(pairs, rows, size, reach, survey, start)
    everything = Limit(jnp.full(shape, ALL, jnp.uint32), jnp.full(shape, 2**31 - 1, jnp.int32))
    crowded = count > faces_per_pixel

    def tally_depths(bounds):
        def visit(carry, chunk, tile, touched, valid):
            below = depth_key(touched.depth)[..., None] <= take(bounds, tile)
            return carry.at[tile].add((below & valid[..., None]).astype(jnp.int32), mode="promise_in_bounds")

        return each_pair(pairs, rows, size, reach, visit, jnp.zeros(bounds.shape, jnp.int32))

    wanted = jnp.full(shape, faces_per_pixel, jnp.int32)
    key, before, found = _narrow(jnp.where(crowded, low, 0), jnp.where(crowded, high, 0), wanted, count, tally_depths)
    wanted = wanted - before

    def tally_ties(bounds):
        def visit(carry, chunk, tile, touched, valid):
            tied = (depth_key(touched.depth) == take(key, tile)) & valid
            below = chunk.face.astype(jnp.uint32)[:, None, None] <= take(bounds, tile)
            return carry.at[tile].add((below & tied[..., None]).astype(jnp.int32), mode="promise_in_bounds")

        return each_pair(pairs, rows, size, reach, visit, jnp.zeros(bounds.shape, jnp.int32))

    tied = crowded & (found != faces_per_pixel)
    top = jnp.where(tied, jnp.uint32(max(rows.shape[0] - 1, 0)), 0)
    face, _, _ = _narrow(jnp.zeros(shape, jnp.uint32), top, wanted, count, tally_ties)
    return Limit(jnp.where(crowded, key, everything.key), jnp.where(tied, face.astype(jnp.int32), everything.face))


def _narrow(low: Array, high: Array, wanted: Array, found: Array, tally: Callable[[Array], Array]):
    """Per pixel the smallest number in [low, high] with `wanted` or more elements at or below it, or any larger one
    with as many elements; how many are below `low` of the last step, and how many at or below the result."""

    def turn(state):
        low, high, before, found = state
        step = (high - low) // BUCKETS + 1
        ends = jnp.arange(1, BUCKETS, dtype=jnp.uint32)
        bounds = jnp.minimum(low[..., None] + (step[..., None] * ends - 1), high[..., None])
        counts = tally(bounds)
        counts = jnp.concatenate([before[..., None], counts, found[..., None]], axis=-1)
        bounds = jnp.concatenate([bounds, high[..., None]], axis=-1)
        place = jnp.sum(counts[..., 1:-1] < wanted[..., None], axis=-1, keepdims=True)
        at = jnp.take_along_axis(bounds, place, -1)[..., 0]
        reached = jnp.take_along_axis(counts, place + 1, -1)[..., 0]
        below = jnp.take_along_axis(counts, place, -1)[..., 0]
        start = jnp.where(
            place[..., 0] > 0, jnp.take_along_axis(bounds, jnp.maximum(place - 1, 0), -1)[..., 0] + 1, low
        )
        open_ = low < high
        settled = reached == wanted
        return (
            jnp.where(open_, jnp.where(settled, at, start), low),
            jnp.where(open_, at, high),
            jnp.where(open_, below, before),
            jnp.where(open_, reached, found),
        )

    state = (low, high, jnp.zeros_like(wanted), found)
    low, _, before, found = lax.while_loop(lambda state: jnp.any(state[0] < state[1]), turn, state)
    return low, before, found


Contribution = Callable[[Row, Touch, tuple[Array, ...], tuple[Array, ...], Array], Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def accumulate(
    contribution: Contribution, size: tuple[int, int], shape: tuple[int, int, int], rows: Float[Array, "faces columns"],
    pairs: Pairs, limit: Limit | None, constants: tuple[Reach | Array, ...], per_pixel: tuple[Array, ...],
) -> tuple[Float[Array, "tiles pixels"], ...]:  # fmt: skip
    """Sum over the faces of each pixel of `contribution(row, touch, constants, per_pixel, selected)`, which gives one
    array per channel and must have finite derivatives where not selected. Differentiable in `rows` (the first nine
    columns as in `face_rows`, more as the contribution needs) and nothing else. shape: channels, tiles, pixels of a
    tile. limit: None for all faces. constants: the reach first.
    """

    def visit(total, chunk):
        tile, values = _contributions(contribution, size, rows, pairs, limit, constants, per_pixel, chunk)
        added = values(_own_rows(rows, chunk))
        return tuple(sum_.at[tile].add(own, mode="promise_in_bounds") for sum_, own in zip(total, added, strict=True))

    # An array per channel: with a last dimension of one or a few the arithmetic would not be vectorised.
    total = tuple(jnp.zeros(shape[1:]) for _ in range(shape[0]))
    return for_each_chunk(pairs.boxes, CHUNK, visit, total)


def _contributions(contribution, size, rows, pairs, limit, constants, per_pixel, chunk):
    tile, x, y, in_image = _places(pairs, chunk, size)
    local = tuple(take(array, tile) for array in per_pixel)

    def values(own_rows):
        columns = _columns(own_rows)
        touched = touch(columns, x, y, constants[0])
        selected = touched.valid & in_image
        if limit is not None:
            selected &= within_limit(limit, tile, depth_key(lax.stop_gradient(touched.depth)), chunk.face)
        return contribution(columns, touched, constants, local, selected)

    return tile, values


def _accumulate_forward(contribution, size, shape, rows, pairs, limit, constants, per_pixel):
    total = accumulate(contribution, size, shape, rows, pairs, limit, constants, per_pixel)
    return total, (rows, pairs, limit, constants, per_pixel)


def _accumulate_backward(contribution, size, shape, kept, cotangent):
    rows, pairs, limit, constants, per_pixel = kept

    def visit(gradient, chunk):
        tile, values = _contributions(contribution, size, rows, pairs, limit, constants, per_pixel, chunk)
        _, pull = jax.vjp(values, _own_rows(rows, chunk))
        (own,) = pull([take(channel, tile) for channel in cotangent])
        # Slots without a block name the last face and have added nothing.
        return gradient.at[chunk.face].add(own, mode="promise_in_bounds")

    return for_each_chunk(pairs.boxes, CHUNK, visit, jnp.zeros_like(rows)), None, None, None, None


accumulate.defvjp(_accumulate_forward, _accumulate_backward)

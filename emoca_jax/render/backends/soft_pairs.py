"""Which faces touch a pixel softly, and a loop over them: the streaming half of soft rasterisation.

The image is cut into tiles. The loop goes over all (face, tile) pairs that can matter, whoever they belong to, and
evaluates a face at all pixels of a tile at once: nothing is ever as large as pixels x faces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped

from emoca_jax.render.backends.blocks import Boxes, Chunk, for_each_chunk, pixel_range, take
from emoca_jax.render.backends.edge_functions import OFFICIAL_EPSILON, SPARE_TRIANGLE, pixel_centres, signed_area

TILE = 8
"""Pixels along the side of a tile."""
CHUNK = 512
"""Pairs per turn of the loop."""
SMALLEST_WEIGHT_SUM = 1e-5
"""pytorch3d's floor for the sum of clipped barycentric weights."""
FARTHEST = 1e6
"""Images: faces with a corner farther away are left out, since where they run between the pixels is rounding alone."""
Row = list[Float[Array, "*#n"]]
"""Columns of `face_rows`."""
Carry = TypeVar("Carry")


class Reach(NamedTuple):
    """How far a face is felt, as a squared distance, and whether outside of it the barycentrics are clipped."""

    blur_radius: Float[Array, ""]
    clip: Bool[Array, ""]


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


def tiles_of(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tiles that cover an image."""
    return -(-size[0] // TILE), -(-size[1] // TILE)


def to_image(
    tiles: Shaped[Array, "tiles pixels *rest"], batch: int, size: tuple[int, int]
) -> Shaped[Array, "batch height width *rest"]:
    """[tiles, pixels of a tile, ...] to [batch, height, width, ...]."""
    down, across = tiles_of(size)
    rest = tiles.shape[2:]
    grid = tiles.reshape(batch, down, across, TILE, TILE, *rest)
    return jnp.moveaxis(grid, 3, 2).reshape(batch, down * TILE, across * TILE, *rest)[:, : size[0], : size[1]]


def to_tiles(size: tuple[int, int], batch: int) -> tuple[Float[Array, "tiles pixels"], Float[Array, "tiles pixels"]]:
    """x and y of the pixels of all tiles, [batch * tiles, pixels of a tile], in units in which pixels are square."""
    height, width = size
    down, across = tiles_of(size)
    aspect_x, aspect_y = squared_aspect(size)
    within = jnp.arange(TILE * TILE, dtype=jnp.int32)[None]
    tile = jnp.arange(batch * down * across, dtype=jnp.int32)[:, None] % (down * across)
    x = pixel_centres(tile % across * TILE + within % TILE, width) * aspect_x
    y = pixel_centres(tile // across * TILE + within // TILE, height) * aspect_y
    return x, y


def squared_aspect(size: tuple[int, int]) -> tuple[float, float]:
    """Factors for x and y that make pixels square, with the shorter side of the image at [-1, 1]."""
    height, width = size
    return width / min(size), height / min(size)


def _square_units(size: tuple[int, int]) -> Float[Array, "1 1 3"]:
    """What takes corners [faces, corner, (x, y, depth)] to units in which pixels are square."""
    return jnp.array([*squared_aspect(size), 1.0])[None, None]


def drawable(
    vertices: Float[Array, "batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int]
) -> Bool[Array, "batch_faces"]:
    """Faces that count, [batch * faces]: finite, not degenerate, and not too far away."""
    triangles = vertices[:, faces].reshape(-1, 3, 3)
    xy = triangles[..., :2]
    # Their area may come out as more than nothing where a compiler fuses a product with the difference.
    repeated = jnp.any(jnp.all(xy == jnp.roll(xy, 1, axis=-2), axis=-1), axis=-1)
    area = signed_area(triangles * _square_units(size))
    known = jnp.all(jnp.isfinite(triangles), axis=(-2, -1)) & jnp.all(jnp.abs(xy) <= FARTHEST, axis=(-2, -1))
    return known & ~repeated & (jnp.abs(area) > OFFICIAL_EPSILON)


def face_rows(
    vertices: Float[Array, "batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int],
    keep: Bool[Array, "batch_faces"],
) -> Float[Array, "batch_faces 9"]:  # fmt: skip
    """[batch * faces, 9]: the corners, x and y in units in which pixels are square; a spare triangle where one is not
    to be kept."""
    triangles = vertices[:, faces].reshape(-1, 3, 3) * _square_units(size)
    return jnp.where(keep[:, None], triangles.reshape(-1, 9), spare_row(triangles.dtype))


def spare_row(dtype: jnp.dtype) -> Float[Array, "9"]:
    """The row that stands in for a face that is not to be kept."""
    return jnp.array(SPARE_TRIANGLE, dtype).reshape(-1)


def drawable_pairs(
    vertices: Float[Array, "batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int],
    keep: Bool[Array, "batch_faces"], blur_radius: Float[Array, ""],
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


def touch(row: Row, x: Float[Array, "*#n"], y: Float[Array, "*#n"], reach: Reach) -> Touch:
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


def places(
    pairs: Pairs, chunk: Chunk, size: tuple[int, int]
) -> tuple[
    Int[Array, "pairs"], Float[Array, "pairs pixels"], Float[Array, "pairs pixels"], Bool[Array, "pairs pixels"]
]:
    """Tile number, x and y of its pixels, which of them are in the image."""
    height, width = size
    down, across = tiles_of(size)
    column = take(pairs.column, chunk.face) + chunk.right
    row = take(pairs.row, chunk.face) + chunk.down
    tile = jnp.where(chunk.live, (take(pairs.image, chunk.face) * down + row) * across + column, 0)
    within = jnp.arange(TILE * TILE, dtype=jnp.int32)[None]
    i, j = row[:, None] * TILE + within // TILE, column[:, None] * TILE + within % TILE
    aspect_x, aspect_y = squared_aspect(size)
    x, y = pixel_centres(j, width) * aspect_x, pixel_centres(i, height) * aspect_y
    tile, x, y = lax.optimization_barrier((tile, x, y))
    return tile, x, y, (i < height) & (j < width) & chunk.live[:, None]


Visit = Callable[[Carry, Chunk, Int[Array, "pairs"], Touch, Bool[Array, "pairs pixels"]], Carry]


def each_pair(
    pairs: Pairs, rows: Float[Array, "faces columns"], size: tuple[int, int], reach: Reach, visit: Visit, carry: Carry
) -> Carry:
    """`visit(carry, chunk, tile, touch, valid)` over all pairs."""

    def body(carry, chunk):
        tile, x, y, in_image = places(pairs, chunk, size)
        touched = touch(columns(own_rows(rows, chunk)), x, y, reach)
        return visit(carry, chunk, tile, touched, touched.valid & in_image)

    return for_each_chunk(pairs.boxes, CHUNK, body, carry)


def own_rows(rows: Float[Array, "faces columns"], chunk: Chunk) -> Float[Array, "pairs columns"]:
    """The rows of a chunk's faces, [pairs, columns]."""
    # Compilers put the lookup into the arithmetic, to be done again at every pixel.
    return lax.optimization_barrier(take(rows, chunk.face))


def columns(rows: Float[Array, "pairs columns"]) -> Row:
    """Columns [n, 1] of rows [n, columns], to be broadcast against pixels."""
    return [part for part in lax.split(rows, (1,) * rows.shape[-1], axis=-1)]

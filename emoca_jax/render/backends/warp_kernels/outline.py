"""Silhouettes smoothed, what `antialias` does, in two passes, and the derivatives.

1. A thread for each edge of each image. Where a silhouette passes between the centres of two pixels it puts itself in
   the place of that pair: the largest of (how far out, lowest edge) as one 64-bit number, so that of edges that lie
   equally far out the lowest counts.
2. A thread for each pixel looks at the four pairs it is one of, always in the same order, so that the same input gives
   the same bytes. The derivative with respect to colours does so, too; that with respect to vertices has a thread for
   each pair.
"""

from __future__ import annotations

from typing import Any, no_type_check

import warp as wp

from emoca_jax.render.backends.native import outline as plain
from emoca_jax.render.backends.warp_kernels.dialect import compiled_exactly, inlined, kernel
from emoca_jax.render.backends.warp_kernels.edges import fused, side
from emoca_jax.render.backends.warp_kernels.sharing import words_of_64_bits

compiled_exactly(__name__)

ALONE, IGNORED = wp.constant(plain.ALONE), wp.constant(plain.IGNORED)
FINENESS = wp.constant(wp.float32(plain.FINENESS))
LAST_EDGE = wp.constant(2**31 - 1)
EDGE_BITS = wp.constant(wp.uint64(2**31 - 1))
LOWER_BIT, DISTANCE_SHIFT = wp.constant(wp.uint64(2**31)), wp.constant(wp.uint64(32))
NOBODY, NEIGHBOURS = wp.constant(wp.uint64(0)), wp.constant(4)


@no_type_check
@wp.struct
class Grid:
    """An image, and what takes its plane to where pixel centres lie at whole numbers."""

    height: wp.int32
    width: wp.int32
    half: wp.vec2
    middle: wp.vec2


@no_type_check
@wp.struct
class Laid:
    """An edge and the lines of pixel centres that it meets, rows or, if it is flat, columns: the first and the last,
    where it begins and how far it runs across lines, and where it begins and how far it goes along them."""

    flat: wp.bool
    first: wp.int32
    last: wp.int32
    begun: wp.float32
    run: wp.float32
    beside: wp.float32
    slant: wp.float32


@no_type_check
@wp.struct
class Meeting:
    """An edge between two pixels: how far it is from the centre of the one in front to that of the one behind, and the
    share of the edge that lies before. target: the pixel that it changes."""

    front: wp.int32
    behind: wp.int32
    target: wp.int32
    edge: wp.vec4i
    laid: Laid
    lower: wp.bool
    share: wp.float32
    distance: wp.float32


@inlined
def point_of(vertex: wp.vec3, grid: Grid) -> wp.vec3:
    return wp.vec3(
        fused(vertex[0], grid.half[0], grid.middle[0]), fused(vertex[1], grid.half[1], grid.middle[1]), vertex[2]
    )


@inlined
def lay(a: wp.vec3, b: wp.vec3, grid: Grid) -> Laid:
    made = Laid()
    made.flat = wp.abs(b[0] - a[0]) > wp.abs(b[1] - a[1])
    made.begun = wp.where(made.flat, a[0], a[1])
    made.beside = wp.where(made.flat, a[1], a[0])
    made.slant = wp.where(made.flat, b[1] - a[1], b[0] - a[0])
    end = wp.where(made.flat, b[0], b[1])
    limit = wp.float32(wp.where(made.flat, grid.width, grid.height))
    made.run = wp.where(end == made.begun, 1.0, end - made.begun)
    # Half open, so that the two edges at a vertex do not both meet a line there; clipped while they are floats.
    made.first = wp.int32(wp.min(wp.max(wp.floor(wp.min(made.begun, end)) + 1.0, 0.0), limit))
    made.last = wp.int32(wp.min(wp.max(wp.floor(wp.max(made.begun, end)), -1.0), limit - 1.0))
    return made


@inlined
def share_before(laid: Laid, line: wp.int32) -> wp.float32:
    return (wp.float32(line) - laid.begun) / laid.run


@inlined
def side_of(a: wp.vec3, b: wp.vec3, point: wp.vec3) -> wp.float32:
    return side(fused(b[0] - a[0], point[1] - a[1], -((b[1] - a[1]) * (point[0] - a[0]))))


@inlined
def seen_depth(
    index: wp.array2d(dtype=wp.int32), depth: wp.array2d(dtype=wp.float32), image: wp.int32, pixel: wp.int32
) -> wp.float32:
    return wp.where(index[image, pixel] >= 0, depth[image, pixel], wp.inf)


@kernel
def find_outermost(
    index: wp.array2d(dtype=wp.int32), depth: wp.array2d(dtype=wp.float32), vertices: wp.array2d(dtype=wp.vec3),
    edges: wp.array2d(dtype=wp.vec4i), grid: Grid, sharing: wp.int32, keys: wp.array2d(dtype=wp.uint64),
):  # fmt: skip
    """keys: two for each pixel, of it and the next in its row, and of it and the next in its column."""
    image, number = wp.tid()
    edge = edges[image // sharing, number]
    if edge[3] == IGNORED:
        return
    a, b = point_of(vertices[image, edge[0]], grid), point_of(vertices[image, edge[1]], grid)
    if not (wp.isfinite(a) and wp.isfinite(b)):
        return
    laid = lay(a, b, grid)
    if laid.first > laid.last:
        return
    own = side_of(a, b, point_of(vertices[image, edge[2]], grid))
    if own == 0.0:
        return
    # Without a corner across, one that is there is looked at for nothing.
    across = point_of(vertices[image, wp.max(edge[3], 0)], grid)
    if edge[3] != ALONE and own != side_of(a, b, across):
        return
    # Whether the surface lies on the side of the smaller pixel numbers.
    lower = wp.where(laid.flat, own * (b[0] - a[0]) < 0.0, own * (b[1] - a[1]) > 0.0)
    limit, step = wp.where(laid.flat, grid.height, grid.width), wp.where(laid.flat, grid.width, 1)
    for line in range(laid.first, laid.last + 1):
        share = share_before(laid, line)
        where = fused(share, laid.slant, laid.beside)
        if where >= 0.0 and where < wp.float32(limit - 1):
            low = wp.int32(wp.floor(where))
            pixel = wp.where(laid.flat, low * grid.width + line, line * grid.width + low)
            nearer = seen_depth(index, depth, image, wp.where(lower, pixel, pixel + step))
            farther = seen_depth(index, depth, image, wp.where(lower, pixel + step, pixel))
            if nearer < farther and fused(share, b[2] - a[2], a[2]) < farther:
                from_low = where - wp.float32(low)
                far = wp.uint64(wp.rint(wp.where(lower, from_low, 1.0 - from_low) * FINENESS))
                key = (far << DISTANCE_SHIFT) | wp.uint64(LAST_EDGE - number)
                # The same for all edges that show in this place: the nearer pixel lies on one side only.
                key = key | wp.where(lower, LOWER_BIT, NOBODY)
                place = 2 * pixel + wp.where(laid.flat, 1, 0)
                if key > keys[image, place]:
                    wp.atomic_max(keys, image, place, key)


@inlined
def meeting_in(
    key: wp.uint64, low: wp.int32, image: wp.int32, vertices: wp.array2d(dtype=wp.vec3),
    edges: wp.array2d(dtype=wp.vec4i), grid: Grid, sharing: wp.int32,
) -> Meeting:  # fmt: skip
    """What a key says of a pixel and the next."""
    made = Meeting()
    made.edge = edges[image // sharing, LAST_EDGE - wp.int32(key & EDGE_BITS)]
    start, end = vertices[image, made.edge[0]], vertices[image, made.edge[1]]
    made.laid = lay(point_of(start, grid), point_of(end, grid), grid)
    made.lower = (key & LOWER_BIT) != NOBODY
    row = low // grid.width
    column = low - row * grid.width
    line, along = wp.where(made.laid.flat, column, row), wp.where(made.laid.flat, row, column)
    next_ = low + wp.where(made.laid.flat, grid.width, 1)
    made.front = wp.where(made.lower, low, next_)
    made.behind = wp.where(made.lower, next_, low)
    made.share = share_before(made.laid, line)
    from_low = fused(made.share, made.laid.slant, made.laid.beside) - wp.float32(along)
    made.distance = wp.where(made.lower, from_low, 1.0 - from_low)
    # Past the middle the pixel behind is partly covered, before it the one in front partly free.
    made.target = wp.where(made.distance > 0.5, made.behind, made.front)
    return made


@inlined
def low_pixel(pixel: wp.int32, neighbour: wp.int32, grid: Grid) -> wp.int32:
    """The first of the pair with the next in the row, the one before, the next in the column, the one before; no pair
    reaches over the image's rim, its place stays empty."""
    step = wp.where(neighbour >= 2, grid.width, 1)
    return pixel - (neighbour % 2) * step


@kernel
def mix(
    image: wp.array3d(dtype=wp.float32), vertices: wp.array2d(dtype=wp.vec3), edges: wp.array2d(dtype=wp.vec4i),
    grid: Grid, sharing: wp.int32, keys: wp.array2d(dtype=wp.uint64), mixed: wp.array3d(dtype=wp.float32),
):  # fmt: skip
    picked, pixel = wp.tid()
    for k in range(image.shape[2]):
        mixed[picked, pixel, k] = image[picked, pixel, k]
    for neighbour in range(NEIGHBOURS):
        low = low_pixel(pixel, neighbour, grid)
        if low >= 0:
            key = keys[picked, 2 * low + neighbour // 2]
            if key != NOBODY:
                meeting = meeting_in(key, low, picked, vertices, edges, grid, sharing)
                if meeting.target == pixel:
                    for k in range(image.shape[2]):
                        difference = image[picked, meeting.front, k] - image[picked, meeting.behind, k]
                        mixed[picked, pixel, k] += (meeting.distance - 0.5) * difference


@kernel
def pull_colours(
    pull: wp.array3d(dtype=wp.float32), vertices: wp.array2d(dtype=wp.vec3), edges: wp.array2d(dtype=wp.vec4i),
    grid: Grid, sharing: wp.int32, keys: wp.array2d(dtype=wp.uint64), pulled: wp.array3d(dtype=wp.float32),
):  # fmt: skip
    """pull: what pulls at the smoothed image."""
    picked, pixel = wp.tid()
    for k in range(pull.shape[2]):
        pulled[picked, pixel, k] = pull[picked, pixel, k]
    for neighbour in range(NEIGHBOURS):
        low = low_pixel(pixel, neighbour, grid)
        if low >= 0:
            key = keys[picked, 2 * low + neighbour // 2]
            if key != NOBODY:
                meeting = meeting_in(key, low, picked, vertices, edges, grid, sharing)
                covered = meeting.distance - 0.5
                covered = wp.where(meeting.front == pixel, covered, -covered)
                for k in range(pull.shape[2]):
                    pulled[picked, pixel, k] += covered * pull[picked, meeting.target, k]


@kernel
def pull_vertices(
    pull: wp.array3d(dtype=wp.float32), image: wp.array3d(dtype=wp.float32), vertices: wp.array2d(dtype=wp.vec3),
    edges: wp.array2d(dtype=wp.vec4i), grid: Grid, sharing: wp.int32, keys: wp.array2d(dtype=wp.uint64),
    gradient: wp.array2d(dtype=wp.vec3),
):  # fmt: skip
    """Added up at the ends of edges in whatever order threads come."""
    picked, place = wp.tid()
    key = keys[picked, place]
    if key == NOBODY:
        return
    meeting, slope = meeting_in(key, place // 2, picked, vertices, edges, grid, sharing), wp.float32(0.0)
    for k in range(image.shape[2]):
        difference = image[picked, meeting.front, k] - image[picked, meeting.behind, k]
        slope += pull[picked, meeting.target, k] * difference
    if slope == 0.0:
        return
    # Along the line the meeting moves as much as the edge does; where the edge moves across it, against its slant.
    along = wp.where(meeting.lower, slope, -slope)
    across = -along * (meeting.laid.slant / meeting.laid.run)
    to_x, to_y = wp.where(meeting.laid.flat, across, along), wp.where(meeting.laid.flat, along, across)
    moved = wp.vec3(to_x * grid.half[0], to_y * grid.half[1], 0.0)
    wp.atomic_add(gradient, picked, meeting.edge[0], moved * (1.0 - meeting.share))
    wp.atomic_add(gradient, picked, meeting.edge[1], moved * meeting.share)


# What XLA calls, each with arrays of one batch of images, pixels in rows; as in `hard`.


def among(vertices: wp.array, edges: wp.array, height: int, width: int) -> list[Any]:
    """What all kernels take: vertices, edges, the grid, and how many images share their edges."""
    grid = Grid()
    grid.height, grid.width = height, width
    grid.half, grid.middle = wp.vec2(width / 2, height / 2), wp.vec2((width - 1) / 2, (height - 1) / 2)
    return [vertices, edges, grid, vertices.shape[0] // edges.shape[0]]


def smooth(
    image: wp.array3d(dtype=wp.float32), index: wp.array2d(dtype=wp.int32), depth: wp.array2d(dtype=wp.float32),
    vertices: wp.array2d(dtype=wp.vec3), edges: wp.array2d(dtype=wp.vec4i), height: int, width: int,
    mixed: wp.array3d(dtype=wp.float32), keys: wp.array3d(dtype=wp.uint32),
):  # fmt: skip
    """The image smoothed, and which edge counts between which pixels."""
    keys.zero_()
    mesh, found, shape = among(vertices, edges, height, width), words_of_64_bits(keys), (image.shape[0], edges.shape[1])
    wp.launch(find_outermost, dim=shape, inputs=[index, depth, *mesh, found], device=image.device)
    wp.launch(mix, dim=image.shape[:2], inputs=[image, *mesh, found, mixed], device=image.device)


def smooth_to_image(
    pull: wp.array3d(dtype=wp.float32), vertices: wp.array2d(dtype=wp.vec3), edges: wp.array2d(dtype=wp.vec4i),
    keys: wp.array3d(dtype=wp.uint32), height: int, width: int, pulled: wp.array3d(dtype=wp.float32),
):  # fmt: skip
    """The derivative with respect to colours. keys: of `smooth`."""
    inputs = [pull, *among(vertices, edges, height, width), words_of_64_bits(keys), pulled]
    wp.launch(pull_colours, dim=pull.shape[:2], inputs=inputs, device=pull.device)


def smooth_to_vertices(
    pull: wp.array3d(dtype=wp.float32), image: wp.array3d(dtype=wp.float32), vertices: wp.array2d(dtype=wp.vec3),
    edges: wp.array2d(dtype=wp.vec4i), keys: wp.array3d(dtype=wp.uint32), height: int, width: int,
    gradient: wp.array2d(dtype=wp.vec3),
):  # fmt: skip
    """The derivative with respect to vertices. keys: of `smooth`."""
    gradient.zero_()
    found = words_of_64_bits(keys)
    inputs = [pull, image, *among(vertices, edges, height, width), found, gradient]
    wp.launch(pull_vertices, dim=found.shape, inputs=inputs, device=image.device)

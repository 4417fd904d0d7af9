"""Faces felt around themselves: whether a pixel is inside or how far off, and how much of it they cover softly; as the
kernels for CPUs have it."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from emoca_jax.render.backends.blocks import box_slack
from emoca_jax.render.backends.edge_functions import reciprocal_parts
from emoca_jax.render.backends.soft_pairs import FARTHEST as PLAIN_FARTHEST
from emoca_jax.render.backends.soft_pairs import SMALLEST_WEIGHT_SUM as PLAIN_WEIGHT_SUM
from emoca_jax.render.backends.soft_pairs import squared_aspect
from emoca_jax.render.backends.warp_kernels.dialect import inlined
from emoca_jax.render.backends.warp_kernels.edges import OFFICIAL_EPSILON, first_pixel, fused, last_pixel

SMALLEST_WEIGHT_SUM = wp.constant(wp.float32(PLAIN_WEIGHT_SUM))
FARTHEST = wp.constant(wp.float32(PLAIN_FARTHEST))
STEEPEST = wp.constant(wp.float32(80.0))
"""exp of more would leave float32; what it stands for is covered to the last bit long before."""
BEYOND = wp.constant(2**30)
"""Of pixels: where a box begins that is nowhere."""


@no_type_check
@wp.struct
class Picture:
    """What all threads share. aspect: factors of x and y that make pixels square. nearest: faces that count at a pixel,
    0 for all."""

    height: wp.int32
    width: wp.int32
    coarse: wp.vec2
    fine: wp.vec2
    slack: wp.vec2
    aspect: wp.vec2
    nearest: wp.int32


@no_type_check
@wp.struct
class Touch:
    """A face at a point. Vectors hold a number for each corner, the barycentrics and what they were before they were
    clipped (total: what the clipped ones were divided by), or for each edge (opposite corner 0, 1, 2): the squared
    distance, and which share of the edge the nearest point lies from its beginning."""

    inside: wp.bool
    depth: wp.float32
    weights: wp.vec3
    unclipped: wp.vec3
    total: wp.float32
    distances: wp.vec3
    shares: wp.vec3


@inlined
def cross(a: wp.float32, b: wp.float32, c: wp.float32, d: wp.float32) -> wp.float32:
    """a b - c d."""
    return fused(a, b, -(c * d))


@inlined
def squared(corner: wp.vec3, picture: Picture) -> wp.vec3:
    """A corner in units in which pixels are square."""
    return wp.vec3(corner[0] * picture.aspect[0], corner[1] * picture.aspect[1], corner[2])


@inlined
def doubled_area(a: wp.vec3, b: wp.vec3, c: wp.vec3) -> wp.float32:
    return cross(b[0] - a[0], c[1] - a[1], b[1] - a[1], c[0] - a[0])


@inlined
def same_place(a: wp.vec3, b: wp.vec3) -> wp.bool:
    return a[0] == b[0] and a[1] == b[1]


@inlined
def felt(a: wp.vec3, b: wp.vec3, c: wp.vec3, picture: Picture, radius: wp.float32) -> wp.vec4i:
    """First and last column, first and last row of the pixels in reach; none for a face that does not count."""
    nowhere = wp.vec4i(BEYOND, -1, BEYOND, -1)
    if not (wp.isfinite(a) and wp.isfinite(b) and wp.isfinite(c)):
        return nowhere
    far = wp.max(wp.max(wp.abs(a[0]), wp.abs(b[0])), wp.abs(c[0]))
    far = wp.max(far, wp.max(wp.max(wp.abs(a[1]), wp.abs(b[1])), wp.abs(c[1])))
    if not far <= FARTHEST or same_place(a, b) or same_place(b, c) or same_place(c, a):
        return nowhere
    if not wp.abs(doubled_area(squared(a, picture), squared(b, picture), squared(c, picture))) > OFFICIAL_EPSILON:
        return nowhere
    reach_x, reach_y = wp.sqrt(radius) / picture.aspect[0], wp.sqrt(radius) / picture.aspect[1]
    box = wp.vec4i(
        first_pixel(wp.min(wp.min(a[0], b[0]), c[0]) - reach_x, picture.width, picture.slack[0]),
        last_pixel(wp.max(wp.max(a[0], b[0]), c[0]) + reach_x, picture.width, picture.slack[0]),
        first_pixel(wp.min(wp.min(a[1], b[1]), c[1]) - reach_y, picture.height, picture.slack[1]),
        last_pixel(wp.max(wp.max(a[1], b[1]), c[1]) + reach_y, picture.height, picture.slack[1]),
    )
    if box[0] > box[1] or box[2] > box[3]:
        return nowhere
    return box


@inlined
def holds(box: wp.vec4i, i: wp.int32, j: wp.int32) -> wp.bool:
    return j >= box[0] and j <= box[1] and i >= box[2] and i <= box[3]


@inlined
def segment(start: wp.vec3, end: wp.vec3, x: wp.float32, y: wp.float32) -> wp.vec2:
    """Squared distance from (x, y) to a segment, and which share of it the nearest point lies from its beginning."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    length = fused(along_x, along_x, along_y * along_y)
    share = 1.0
    if length > OFFICIAL_EPSILON:
        share = fused(x - start[0], along_x, (y - start[1]) * along_y) * (1.0 / length)
        share = wp.min(wp.max(share, 0.0), 1.0)
    off_x, off_y = fused(-share, along_x, x - start[0]), fused(-share, along_y, y - start[1])
    return wp.vec2(fused(off_x, off_x, off_y * off_y), share)


@inlined
def touch(a: wp.vec3, b: wp.vec3, c: wp.vec3, x: wp.float32, y: wp.float32, clip: wp.bool) -> Touch:
    rate = 1.0 / doubled_area(a, b, c)
    edge0 = cross(c[0] - b[0], y - b[1], c[1] - b[1], x - b[0]) * rate
    edge1 = cross(a[0] - c[0], y - c[1], a[1] - c[1], x - c[0]) * rate
    edge2 = cross(b[0] - a[0], y - a[1], b[1] - a[1], x - a[0]) * rate
    seen = Touch()
    seen.inside = edge0 > 0.0 and edge1 > 0.0 and edge2 > 0.0
    seen.unclipped = wp.vec3(edge0, edge1, edge2)
    total = wp.float32(1.0)
    if clip:
        edge0, edge1, edge2 = wp.max(edge0, 0.0), wp.max(edge1, 0.0), wp.max(edge2, 0.0)
        total = wp.max(edge0 + edge1 + edge2, SMALLEST_WEIGHT_SUM)
        edge0, edge1, edge2 = edge0 / total, edge1 / total, edge2 / total
    seen.weights = wp.vec3(edge0, edge1, edge2)
    seen.total = total
    seen.depth = fused(edge2, c[2], fused(edge0, a[2], edge1 * b[2]))
    first, second, third = segment(b, c, x, y), segment(c, a, x, y), segment(a, b, x, y)
    seen.distances = wp.vec3(first[0], second[0], third[0])
    seen.shares = wp.vec3(first[1], second[1], third[1])
    return seen


@inlined
def smallest(numbers: wp.vec3) -> wp.float32:
    return wp.min(wp.min(numbers[0], numbers[1]), numbers[2])


@inlined
def not_covered(distance: wp.float32, inside: wp.bool, sigma: wp.float32) -> wp.float32:
    """One over the share of a pixel that a face leaves uncovered."""
    signed = wp.where(inside, -distance, distance)
    return 1.0 + wp.exp(wp.min(-signed * (1.0 / sigma), STEEPEST))


@no_type_check
@wp.struct
class Pull:
    """Derivative with respect to x and y of the three corners, in units in which pixels are square."""

    to_a: wp.vec2
    to_b: wp.vec2
    to_c: wp.vec2


@inlined
def nearer(one: wp.float32, other: wp.float32) -> wp.float32:
    """Which part of a slope goes to one of two distances: all to the smaller, half where they are equal."""
    return wp.where(one < other, 1.0, wp.where(one == other, 0.5, 0.0))


@inlined
def off_segment(
    slope: wp.float32, share: wp.float32, start: wp.vec3, end: wp.vec3, x: wp.float32, y: wp.float32
) -> wp.vec2:
    """Derivative of a squared distance, times a slope, with respect to the nearest point of the segment."""
    return wp.vec2(
        -2.0 * slope * (x - start[0] - share * (end[0] - start[0])),
        -2.0 * slope * (y - start[1] - share * (end[1] - start[1])),
    )


@inlined
def off_edges(
    slope: wp.float32, seen: Touch, a: wp.vec3, b: wp.vec3, c: wp.vec3, x: wp.float32, y: wp.float32
) -> Pull:  # fmt: skip
    """What a slope of the smallest of the three squared distances does to the corners."""
    made = Pull()
    # Two edges that are equally near share alike.
    part1 = nearer(seen.distances[1], seen.distances[0])
    part2 = nearer(seen.distances[2], wp.min(seen.distances[0], seen.distances[1]))
    rest = slope * (1.0 - part2)
    first = off_segment(rest * (1.0 - part1), seen.shares[0], b, c, x, y)
    second = off_segment(rest * part1, seen.shares[1], c, a, x, y)
    third = off_segment(slope * part2, seen.shares[2], a, b, x, y)
    made.to_a = second * seen.shares[1] + third * (1.0 - seen.shares[2])
    made.to_b = third * seen.shares[2] + first * (1.0 - seen.shares[0])
    made.to_c = first * seen.shares[0] + second * (1.0 - seen.shares[1])
    return made


def picture_of(height: int, width: int, nearest: int) -> Picture:
    picture = Picture()
    picture.height, picture.width, picture.nearest = height, width, nearest
    across, down = reciprocal_parts(width), reciprocal_parts(height)
    picture.coarse, picture.fine = wp.vec2(across[0], down[0]), wp.vec2(across[1], down[1])
    picture.slack = wp.vec2(box_slack(width), box_slack(height))
    picture.aspect = wp.vec2(*squared_aspect((height, width)))
    return picture

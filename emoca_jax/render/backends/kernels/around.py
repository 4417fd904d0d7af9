"""Faces felt around themselves: whether a pixel is inside or how far off, and how much of it they cover softly."""

from __future__ import annotations

import math

import numpy as np

from emoca_jax.render.backends.edge_functions import OFFICIAL_EPSILON as PLAIN_EPSILON
from emoca_jax.render.backends.kernels.edges import ONE, ZERO, cross, doubled_area, fused, pixel_range
from emoca_jax.render.backends.kernels.hard import are_finite, corners_of, points_at
from emoca_jax.render.backends.native.dialect import inlined, kernel
from emoca_jax.render.backends.soft_pairs import FARTHEST as PLAIN_FARTHEST
from emoca_jax.render.backends.soft_pairs import SMALLEST_WEIGHT_SUM as PLAIN_WEIGHT_SUM

OFFICIAL_EPSILON, SMALLEST_WEIGHT_SUM = np.float32(PLAIN_EPSILON), np.float32(PLAIN_WEIGHT_SUM)
FARTHEST = np.float32(PLAIN_FARTHEST)
TWO, HALF = np.float32(2), np.float32(0.5)
PER_LOG_2 = np.float32(1 / math.log(2))
LOG_2_HIGH = np.float32(0.693359375)
LOG_2_LOW = np.float32(math.log(2) - 0.693359375)
"""In two parts, of which the first has so few bits that its products are exact (Cody and Waite 1980)."""
POWER_3, POWER_4, POWER_5, POWER_6 = (np.float32(1 / math.factorial(n)) for n in (3, 4, 5, 6))
STEEPEST = np.float32(80)
"""exp of more would leave float32; what it stands for is covered to the last bit long before."""


@kernel
def aspect(size, other):
    """Factor of coordinates along `size` pixels that makes pixels square, with the shorter side at [-1, 1]."""
    return np.float32(size / min(size, other))


@kernel
def find_soft_rows(vertices, faces, begin, end, rows, height, width, radius):
    """First and last row of pixels that each face can reach; none for a face that cannot be drawn."""
    aspect_x, aspect_y = aspect(width, height), aspect(height, width)
    reach = np.float32(math.sqrt(radius)) / aspect_y
    for number in range(begin, end):
        a, b, c = corners_of(faces, number)
        ax, ay, az, bx, by, bz, cx, cy, cz = points_at(vertices, a, b, c)
        rows[2 * number], rows[2 * number + 1] = 1, 0
        if not are_finite(ax, ay, az, bx, by, bz, cx, cy, cz):
            continue
        if not max(abs(ax), abs(bx), abs(cx), abs(ay), abs(by), abs(cy)) <= FARTHEST:
            continue
        if (ax == bx and ay == by) or (bx == cx and by == cy) or (cx == ax and cy == ay):
            continue
        first, last = pixel_range(min(ay, by, cy) - reach, max(ay, by, cy) + reach, height)
        ax, ay, bx, by, cx, cy = (
            ax * aspect_x, ay * aspect_y, bx * aspect_x, by * aspect_y, cx * aspect_x, cy * aspect_y,
        )  # fmt: skip
        if abs(doubled_area(ax, ay, bx, by, cx, cy)) > OFFICIAL_EPSILON:
            rows[2 * number], rows[2 * number + 1] = first, last


@inlined
def segment(from_x, from_y, to_x, to_y, x, y):
    """Squared distance from (x, y) to a segment, and which share of it the nearest point lies from its beginning."""
    along_x, along_y = to_x - from_x, to_y - from_y
    length = fused(along_x, along_x, along_y * along_y)
    share = ONE
    if length > OFFICIAL_EPSILON:
        share = min(max(fused(x - from_x, along_x, (y - from_y) * along_y) * (ONE / length), ZERO), ONE)
    off_x, off_y = fused(-share, along_x, x - from_x), fused(-share, along_y, y - from_y)
    return fused(off_x, off_x, off_y * off_y), share


@inlined
def weights_at(ax, ay, az, bx, by, bz, cx, cy, cz, area, x, y, clip):
    """A face at a point: whether it is inside, the depth, the three barycentrics; what they were before they were
    clipped, and what the clipped ones were divided by."""
    # XLA, too, divides once per face.
    rate = ONE / area
    edge0 = cross(cx - bx, y - by, cy - by, x - bx) * rate
    edge1 = cross(ax - cx, y - cy, ay - cy, x - cx) * rate
    edge2 = cross(bx - ax, y - ay, by - ay, x - ax) * rate
    inside = (edge0 > ZERO) & (edge1 > ZERO) & (edge2 > ZERO)
    u, v, w, total = edge0, edge1, edge2, ONE
    if clip:
        u, v, w = max(edge0, ZERO), max(edge1, ZERO), max(edge2, ZERO)
        total = max(u + v + w, SMALLEST_WEIGHT_SUM)
        u, v, w = u / total, v / total, w / total
    return inside, fused(w, cz, fused(u, az, v * bz)), u, v, w, edge0, edge1, edge2, total


@inlined
def touch(ax, ay, az, bx, by, bz, cx, cy, cz, area, x, y, clip):
    """A face at a point: whether it is inside, the depth, the squared distances to the three edges, and which shares of
    them the nearest points lie from their beginnings."""
    inside, depth, _, _, _, _, _, _, _ = weights_at(ax, ay, az, bx, by, bz, cx, cy, cz, area, x, y, clip)
    distance0, share0 = segment(bx, by, cx, cy, x, y)
    distance1, share1 = segment(cx, cy, ax, ay, x, y)
    distance2, share2 = segment(ax, ay, bx, by, x, y)
    return inside, depth, distance0, distance1, distance2, share0, share1, share2


@inlined
def placed(vertices, faces, number, aspect_x, aspect_y, reach, width):
    """A face where it lies: where its corners begin in the list of all coordinates; its first and last column of pixels
    in reach; the corners, x and y in units in which pixels are square, and its doubled area."""
    a, b, c = corners_of(faces, number)
    ax, ay, az, bx, by, bz, cx, cy, cz = points_at(vertices, a, b, c)
    columns = pixel_range(min(ax, bx, cx) - reach, max(ax, bx, cx) + reach, width)
    ax, bx, cx, ay, by, cy = ax * aspect_x, bx * aspect_x, cx * aspect_x, ay * aspect_y, by * aspect_y, cy * aspect_y
    corners = (ax, ay, az, bx, by, bz, cx, cy, cz)
    return (a, b, c), columns, corners, doubled_area(ax, ay, bx, by, cx, cy)


@inlined
def nearer(one, other):
    """Which part of a slope goes to one of two distances: all to the smaller, half where they are equal."""
    return (HALF if one < other else ZERO) + (HALF if one <= other else ZERO)


@inlined
def pulled(slope, share, from_x, from_y, to_x, to_y, x, y):
    """What a slope of the squared distance to a segment does to its beginning and its end."""
    off_x, off_y = (
        -TWO * slope * (x - from_x - share * (to_x - from_x)),
        -TWO * slope * (y - from_y - share * (to_y - from_y)),
    )
    return off_x * (ONE - share), off_y * (ONE - share), off_x * share, off_y * share


@inlined
def exponential(number):
    """exp of a number up to STEEPEST, to the last bit or two, without a call, so that several are done at once."""
    number = max(number, -STEEPEST)
    whole = np.floor(fused(number, PER_LOG_2, HALF))
    rest = fused(whole, -LOG_2_LOW, fused(whole, -LOG_2_HIGH, number))
    sum_ = fused(rest, POWER_6, POWER_5)
    sum_ = fused(rest, sum_, POWER_4)
    sum_ = fused(rest, sum_, POWER_3)
    sum_ = fused(rest, sum_, HALF)
    sum_ = fused(rest * rest, sum_, rest) + ONE
    return sum_ * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@inlined
def not_covered(distance, inside, rate):
    """One over the share of a pixel that a face leaves uncovered. rate: one over sigma."""
    signed = -distance if inside else distance
    return ONE + exponential(min(-signed * rate, STEEPEST))

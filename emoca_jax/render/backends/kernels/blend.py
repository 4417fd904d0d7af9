"""Attributes blended over the K nearest faces around each pixel, and its derivative.

Which faces count, and which rows of pixels each reaches, the silhouette's kernel has found.
"""

from __future__ import annotations

import math

import numpy as np

from emoca_jax.render.backends.kernels.around import (
    HALF,
    SMALLEST_WEIGHT_SUM,
    STEEPEST,
    aspect,
    exponential,
    nearer,
    placed,
    pulled,
    segment,
    weights_at,
)
from emoca_jax.render.backends.kernels.call_frame import (
    argument,
    extent,
    floats,
    integers,
    item_of,
    lead,
    longs,
    result,
)
from emoca_jax.render.backends.kernels.edges import ONE, ZERO, centre
from emoca_jax.render.backends.kernels.pieces import add_up, give
from emoca_jax.render.backends.kernels.soft import BAND_HEIGHT, rank_of
from emoca_jax.render.backends.native.blend import FAINTEST_TOP as PLAIN_TOP
from emoca_jax.render.backends.native.dialect import inlined, kernel

FAINTEST_TOP = np.float32(PLAIN_TOP)
NOTHING = np.float32(-np.inf)

# Arguments: vertices [vertices, 3], faces [faces, 3], attributes of their corners [faces, 3 channels], options [6],
# rows [faces, 2], limits [height, width, 2]; of the derivative also the tops [height, width] and what pulls at the sums
# [height, width, 1 + channels].


@kernel
def blend_items(frame, stage):
    tops = result(frame, 0)
    return lead(tops, 2) * -(-extent(tops, -2) // BAND_HEIGHT)


@kernel
def blend_work(frame, stage, item):
    tops, sums = result(frame, 0), result(frame, 1)
    height, width, bands = extent(tops, -2), extent(tops, -1), -(-extent(tops, -2) // BAND_HEIGHT)
    image, begin = item // bands, item % bands * BAND_HEIGHT
    vertices, faces, corners = argument(frame, 0), argument(frame, 1), argument(frame, 2)
    options, rows, limits = argument(frame, 3), argument(frame, 4), argument(frame, 5)
    blend(
        floats(vertices, 2, item_of(vertices, 2, tops, 2, image)),
        integers(faces, 2, item_of(faces, 2, tops, 2, image)), floats(corners, 2, item_of(corners, 2, tops, 2, image)),
        floats(options, 1, item_of(options, 1, tops, 2, image)), integers(rows, 2, item_of(rows, 2, tops, 2, image)),
        longs(limits, 3, item_of(limits, 3, tops, 2, image)), floats(tops, 2, image), floats(sums, 3, image),
        extent(faces, -2), height, width, begin, min(begin + BAND_HEIGHT, height), extent(sums, -1) - 1,
    )  # fmt: skip


@inlined
def distances_at(corners, x, y):
    """Squared distances to the three edges and the shares at which the nearest points lie."""
    ax, ay, _, bx, by, _, cx, cy, _ = corners
    distance0, share0 = segment(bx, by, cx, cy, x, y)
    distance1, share1 = segment(cx, cy, ax, ay, x, y)
    distance2, share2 = segment(ax, ay, bx, by, x, y)
    return distance0, distance1, distance2, share0, share1, share2


@inlined
def covered(distance, inside, rate):
    """The share of a pixel that a face covers, exact where that is little. rate: one over sigma."""
    grown = exponential(min(distance * rate if inside else -distance * rate, STEEPEST))
    return grown / (ONE + grown)


@inlined
def blend(
    vertices, faces, attributes, options, rows, limits, tops, sums, count, height, width, begin, end, channels
):  # fmt: skip
    """Rows `begin` to `end` of an image: the largest inverse depth at each pixel, and the sums of the weights relative
    to it and of the attributes by them."""
    radius, sigma, clip, gamma, near, far = options[0], options[1], options[2], options[3], options[4], options[5]
    aspect_x, aspect_y = aspect(width, height), aspect(height, width)
    reach, rate, room = np.float32(math.sqrt(radius)) / aspect_x, ONE / sigma, channels + 1
    for pixel in range(begin * width, end * width):
        tops[pixel] = NOTHING
        for k in range(room):
            sums[pixel * room + k] = ZERO
    for number in range(count):
        first_row, last_row = max(rows[2 * number], begin), min(rows[2 * number + 1], end - 1)
        if first_row > last_row:
            continue
        _, (first, last), corners, area = placed(vertices, faces, number, aspect_x, aspect_y, reach, width)
        own = 3 * channels * number
        for i in range(first_row, last_row + 1):
            y = centre(i, height) * aspect_y
            for j in range(first, last + 1):
                x, pixel = centre(j, width) * aspect_x, i * width + j
                inside, depth, u, v, w, _, _, _, _ = weights_at(*corners, area, x, y, clip != ZERO)
                if rank_of(depth, number) > limits[pixel]:
                    continue
                distance0, distance1, distance2, _, _, _ = distances_at(corners, x, y)
                distance = min(distance0, distance1, distance2)
                if not (inside or distance < radius):
                    continue
                inverse, top = (far - depth) / (far - near), tops[pixel]
                if inverse > top:
                    # What has been added up was measured from another one.
                    smaller = exponential((top - inverse) / gamma) if top > NOTHING else ZERO
                    for k in range(room):
                        sums[pixel * room + k] *= smaller
                    tops[pixel] = top = inverse
                weight = covered(distance, inside, rate) * exponential((inverse - top) / gamma)
                sums[pixel * room] += weight
                for k in range(channels):
                    mixed = u * attributes[own + k] + v * attributes[own + channels + k]
                    mixed += w * attributes[own + 2 * channels + k]
                    sums[pixel * room + 1 + k] += weight * mixed
    for pixel in range(begin * width, end * width):
        if tops[pixel] >= FAINTEST_TOP:
            continue
        if tops[pixel] > NOTHING:
            smaller = exponential((tops[pixel] - FAINTEST_TOP) / gamma)
            for k in range(room):
                sums[pixel * room + k] *= smaller
        tops[pixel] = FAINTEST_TOP


@kernel
def blend_derivative_items(frame, stage):
    """First parts of the image, then their sums."""
    parts = result(frame, 2)
    return lead(parts, 3) * extent(parts, -3) if stage == 0 else lead(parts, 3)


@kernel
def blend_derivative_work(frame, stage, item):
    gradient, to_corners, parts, corner_parts = (
        result(frame, 0), result(frame, 1), result(frame, 2), result(frame, 3),
    )  # fmt: skip
    bands, face_count, channels = extent(parts, -3), extent(to_corners, -2), extent(to_corners, -1) // 3
    count = extent(gradient, -2)
    if stage == 1:
        add_up(floats(parts, 3, item), bands, floats(gradient, 2, item), 3 * count)
        add_up(floats(corner_parts, 3, item), bands, floats(to_corners, 2, item), 3 * channels * face_count)
        return
    image, band = item // bands, item % bands
    vertices, faces, corners = argument(frame, 0), argument(frame, 1), argument(frame, 2)
    options, rows, limits = argument(frame, 3), argument(frame, 4), argument(frame, 5)
    tops, pull = argument(frame, 6), argument(frame, 7)
    height, width = extent(tops, -2), extent(tops, -1)
    derive_blend(
        floats(vertices, 2, item_of(vertices, 2, gradient, 2, image)),
        integers(faces, 2, item_of(faces, 2, gradient, 2, image)),
        floats(corners, 2, item_of(corners, 2, gradient, 2, image)),
        floats(options, 1, item_of(options, 1, gradient, 2, image)),
        integers(rows, 2, item_of(rows, 2, gradient, 2, image)),
        longs(limits, 3, item_of(limits, 3, gradient, 2, image)), floats(tops, 2, item_of(tops, 2, gradient, 2, image)),
        floats(pull, 3, item_of(pull, 3, gradient, 2, image)), floats(parts, 2, item), floats(corner_parts, 2, item),
        count, face_count, height, width, height * band // bands, height * (band + 1) // bands, channels,
    )  # fmt: skip


@inlined
def above(number):
    """Derivative of what is cut off below zero."""
    return ONE if number > ZERO else (HALF if number == ZERO else ZERO)


@inlined
def derive_blend(
    vertices, faces, attributes, options, rows, limits, tops, pull, gradient, to_attributes, count, face_count, height,
    width, begin, end, channels,
):  # fmt: skip
    radius, sigma, clip, gamma, near, far = options[0], options[1], options[2], options[3], options[4], options[5]
    aspect_x, aspect_y = aspect(width, height), aspect(height, width)
    reach, rate, room = np.float32(math.sqrt(radius)) / aspect_x, ONE / sigma, channels + 1
    for k in range(3 * count):
        gradient[k] = ZERO
    for k in range(3 * channels * face_count):
        to_attributes[k] = ZERO
    for number in range(face_count):
        first_row, last_row = max(rows[2 * number], begin), min(rows[2 * number + 1], end - 1)
        if first_row > last_row:
            continue
        (a, b, c), (first, last), corners, area = placed(vertices, faces, number, aspect_x, aspect_y, reach, width)
        ax, ay, az, bx, by, bz, cx, cy, cz = corners
        own = 3 * channels * number
        to_ax = to_ay = to_az = to_bx = to_by = to_bz = to_cx = to_cy = to_cz = ZERO
        for i in range(first_row, last_row + 1):
            y = centre(i, height) * aspect_y
            for j in range(first, last + 1):
                x, pixel = centre(j, width) * aspect_x, i * width + j
                inside, depth, u, v, w, edge0, edge1, edge2, total = weights_at(*corners, area, x, y, clip != ZERO)
                if rank_of(depth, number) > limits[pixel]:
                    continue
                distance0, distance1, distance2, share0, share1, share2 = distances_at(corners, x, y)
                distance = min(distance0, distance1, distance2)
                if not (inside or distance < radius):
                    continue
                share = covered(distance, inside, rate)
                lead_ = exponential(((far - depth) / (far - near) - tops[pixel]) / gamma)
                weight, to_weight, to_u, to_v, to_w = share * lead_, pull[pixel * room], ZERO, ZERO, ZERO
                for k in range(channels):
                    pushed = pull[pixel * room + 1 + k]
                    one, two, three = own + k, own + channels + k, own + 2 * channels + k
                    to_weight += pushed * (u * attributes[one] + v * attributes[two] + w * attributes[three])
                    pushed *= weight
                    to_u += pushed * attributes[one]
                    to_v += pushed * attributes[two]
                    to_w += pushed * attributes[three]
                    to_attributes[one] += pushed * u
                    to_attributes[two] += pushed * v
                    to_attributes[three] += pushed * w
                # Of the weight: with the depth, and with the squared distance, which is negative inside.
                to_depth = -to_weight * weight / ((far - near) * gamma)
                slope = -to_weight * lead_ * share * (ONE - share) * rate
                slope = -slope if inside else slope
                part1, part2 = nearer(distance1, distance0), nearer(distance2, min(distance0, distance1))
                slope2, slope = slope * part2, slope * (ONE - part2)
                b0x, b0y, c0x, c0y = pulled(slope * (ONE - part1), share0, bx, by, cx, cy, x, y)
                c1x, c1y, a1x, a1y = pulled(slope * part1, share1, cx, cy, ax, ay, x, y)
                a2x, a2y, b2x, b2y = pulled(slope2, share2, ax, ay, bx, by, x, y)
                # Depth is the corners' by the barycentrics, these are edge functions over the area, cut and made to sum
                # to 1 again where clip says so.
                to_az += u * to_depth
                to_bz += v * to_depth
                to_cz += w * to_depth
                to_u, to_v, to_w = to_u + az * to_depth, to_v + bz * to_depth, to_w + cz * to_depth
                if clip != ZERO:
                    mean = to_u * u + to_v * v + to_w * w if total > SMALLEST_WEIGHT_SUM else ZERO
                    to_u, to_v, to_w = (
                        (to_u - mean) / total * above(edge0), (to_v - mean) / total * above(edge1),
                        (to_w - mean) / total * above(edge2),
                    )  # fmt: skip
                to_area = -(to_u * edge0 + to_v * edge1 + to_w * edge2) / area
                to_u, to_v, to_w = to_u / area, to_v / area, to_w / area
                to_ax += a1x + a2x + to_v * (y - cy) + to_w * (by - y) + to_area * (by - cy)
                to_ay += a1y + a2y + to_v * (cx - x) + to_w * (x - bx) + to_area * (cx - bx)
                to_bx += b0x + b2x + to_w * (y - ay) + to_u * (cy - y) + to_area * (cy - ay)
                to_by += b0y + b2y + to_w * (ax - x) + to_u * (x - cx) + to_area * (ax - cx)
                to_cx += c0x + c1x + to_u * (y - by) + to_v * (ay - y) + to_area * (ay - by)
                to_cy += c0y + c1y + to_u * (bx - x) + to_v * (x - ax) + to_area * (bx - ax)
        give(gradient, a, to_ax * aspect_x, to_ay * aspect_y, to_az)
        give(gradient, b, to_bx * aspect_x, to_by * aspect_y, to_bz)
        give(gradient, c, to_cx * aspect_x, to_cy * aspect_y, to_cz)


KERNELS = {
    "blend": (1, blend_items, blend_work),
    "blend_derivative": (2, blend_derivative_items, blend_derivative_work),
}

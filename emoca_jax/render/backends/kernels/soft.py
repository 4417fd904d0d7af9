"""Soft silhouettes: how much the K nearest faces around each pixel leave uncovered, and its derivative.

A band of rows keeps a list of faces for each of its pixels; when one holds 2 K, the farther half is dropped.
"""

from __future__ import annotations

import math

import numpy as np

from emoca_jax.render.backends.kernels.around import (
    aspect,
    find_soft_rows,
    nearer,
    not_covered,
    placed,
    pulled,
    touch,
)
from emoca_jax.render.backends.kernels.call_frame import (
    LANES,
    argument,
    attribute,
    extent,
    float_array,
    floats,
    integer_array,
    integers,
    item_of,
    lanes,
    lead,
    load_i64,
    long_array,
    longs,
    result,
)
from emoca_jax.render.backends.kernels.edges import ONE, ZERO, centre
from emoca_jax.render.backends.kernels.hard import FACE_PARTS
from emoca_jax.render.backends.kernels.pieces import add_up
from emoca_jax.render.backends.kernels.sharing import allocate, free
from emoca_jax.render.backends.native.dialect import inlined, kernel

BAND_HEIGHT = 8
"""Rows of pixels whose lists are kept at once."""
EVERYTHING = np.int64(2**63 - 1)


@kernel
def silhouette_items(frame, stage):
    """First the rows that each face reaches, then the bands."""
    image = result(frame, 0)
    return lead(image, 2) * (-(-extent(image, -2) // BAND_HEIGHT) if stage == 1 else FACE_PARTS)


@kernel
def silhouette_work(frame, stage, item):
    image, vertices, faces, rows = result(frame, 0), argument(frame, 0), argument(frame, 1), result(frame, 3)
    height, width, count = extent(image, -2), extent(image, -1), extent(faces, -2)
    parts = -(-height // BAND_HEIGHT) if stage == 1 else FACE_PARTS
    number, part = item // parts, item % parts
    points = floats(vertices, 2, item_of(vertices, 2, image, 2, number))
    corners = integers(faces, 2, item_of(faces, 2, image, 2, number))
    options = floats(argument(frame, 2), 1, item_of(argument(frame, 2), 1, image, 2, number))
    radius, sigma, clip = options[0], options[1], options[2] != ZERO
    nearest = load_i64(attribute(frame, 0))
    if stage == 0:
        begin, end = count * part // parts, count * (part + 1) // parts
        find_soft_rows(points, corners, begin, end, integers(rows, 2, number), height, width, radius)
        return
    begin = part * BAND_HEIGHT
    draw_silhouette(
        points, corners, count, integers(rows, 2, number), floats(image, 2, number),
        floats(result(frame, 1), 2, number), longs(result(frame, 2), 3, number), height, width,
        begin, min(begin + BAND_HEIGHT, height), radius, sigma, clip, nearest,
    )  # fmt: skip


@inlined
def rank_of(depth, number):
    """A number in the order of the depths, then of the faces."""
    bits = np.int64(np.float32(depth).view(np.int32))
    # Negative numbers run the other way.
    bits = bits ^ ((bits >> 63) & 0x7FFFFFFF)
    return bits * np.int64(2**32) + number


@kernel
def select(ranks, values, begin, end, wanted):
    """Puts the `wanted` smallest ranks of [begin, end), with their values, first; returns the largest of them."""
    low, high, place = begin, end - 1, begin + wanted - 1
    while low < high:
        pivot = ranks[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while ranks[i] < pivot:
                i += 1
            while ranks[j] > pivot:
                j -= 1
            if i <= j:
                ranks[i], ranks[j] = ranks[j], ranks[i]
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            break
    return ranks[place]


@kernel
def draw_silhouette(
    vertices, faces, count, rows, image, uncovered, limits, height, width, begin, end, radius, sigma, clip, nearest
):
    """Rows `begin` to `end` of an image. nearest: how many faces count at a pixel, 0 for all."""
    aspect_x, aspect_y = aspect(width, height), aspect(height, width)
    reach = np.float32(math.sqrt(radius)) / aspect_x
    pixels, room, rate = (end - begin) * width, 2 * nearest, ONE / sigma
    memory = allocate(pixels * (16 + 12 * room) + 4 * (width + LANES))
    bounds, ranks = long_array(memory), long_array(memory + 8 * pixels)
    lengths = integer_array(memory + 8 * pixels * (1 + room))
    products, values = float_array(memory + pixels * (12 + 8 * room)), float_array(memory + pixels * (16 + 8 * room))
    across = float_array(memory + pixels * (16 + 12 * room))
    # Of some pixels in a row: the depths there, and one over what is left uncovered, 0 out of reach.
    depths, shares = lanes(), lanes()
    for j in range(width + LANES):
        across[j] = centre(j, width) * aspect_x
    for pixel in range(pixels):
        bounds[pixel], lengths[pixel], products[pixel] = EVERYTHING, 0, ONE
    for number in range(count):
        first_row, last_row = max(rows[2 * number], begin), min(rows[2 * number + 1], end - 1)
        if first_row > last_row:
            continue
        _, (first, last), corners, area = placed(vertices, faces, number, aspect_x, aspect_y, reach, width)
        for i in range(first_row, last_row + 1):
            y = centre(i, height) * aspect_y
            for start in range(first, last + 1, LANES):
                for k in range(LANES):
                    inside, depth, distance0, distance1, distance2, _, _, _ = touch(
                        *corners, area, across[start + k], y, clip
                    )  # fmt: skip
                    distance = min(distance0, distance1, distance2)
                    depths[k] = depth
                    shares[k] = not_covered(distance, inside, rate) if inside | (distance < radius) else ZERO
                for k in range(min(LANES, last + 1 - start)):
                    share = shares[k]
                    if share == ZERO:
                        continue
                    pixel = (i - begin) * width + start + k
                    if nearest == 0:
                        products[pixel] *= share
                        continue
                    rank = rank_of(depths[k], number)
                    if rank > bounds[pixel]:
                        continue
                    place, length = pixel * room, lengths[pixel]
                    ranks[place + length], values[place + length] = rank, share
                    length += 1
                    if length == room:
                        bounds[pixel] = select(ranks, values, place, place + length, nearest)
                        length = nearest
                    lengths[pixel] = length
    for pixel in range(pixels):
        length, place = np.int64(lengths[pixel]), pixel * room
        if length > nearest:
            bounds[pixel] = select(ranks, values, place, place + length, nearest)
            length = nearest
        product = products[pixel]
        for k in range(place, place + length):
            product *= values[k]
        whole = begin * width + pixel
        uncovered[whole] = ONE / product
        image[whole] = ONE - uncovered[whole]
        limits[whole] = bounds[pixel]
    free(memory)


@kernel
def silhouette_derivative_items(frame, stage):
    """First parts of the image, then their sum."""
    parts = result(frame, 1)
    images = lead(parts, 3)
    return images * extent(parts, -3) if stage == 0 else images


@kernel
def silhouette_derivative_work(frame, stage, item):
    vertices, faces, rows, parts, gradient = (
        argument(frame, 0), argument(frame, 1), argument(frame, 5), result(frame, 1), result(frame, 0),
    )  # fmt: skip
    uncovered, limits, pull = argument(frame, 3), argument(frame, 4), argument(frame, 6)
    height, width, bands = extent(uncovered, -2), extent(uncovered, -1), extent(parts, -3)
    count = extent(vertices, -2)
    if stage == 1:
        add_up(floats(parts, 3, item), bands, floats(gradient, 2, item), 3 * count)
        return
    image, band = item // bands, item % bands
    options = floats(argument(frame, 2), 1, item_of(argument(frame, 2), 1, gradient, 2, image))
    derive_silhouette(
        floats(vertices, 2, item_of(vertices, 2, gradient, 2, image)),
        integers(faces, 2, item_of(faces, 2, gradient, 2, image)), extent(faces, -2),
        integers(rows, 2, item_of(rows, 2, gradient, 2, image)),
        floats(uncovered, 2, item_of(uncovered, 2, gradient, 2, image)),
        longs(limits, 3, item_of(limits, 3, gradient, 2, image)),
        floats(pull, 2, item_of(pull, 2, gradient, 2, image)),
        floats(parts, 2, item), count, height, width, height * band // bands, height * (band + 1) // bands,
        options[0], options[1], options[2] != ZERO,
    )  # fmt: skip


@kernel
def derive_silhouette(
    vertices, faces, face_count, rows, uncovered, limits, pull, gradient, count, height, width, begin, end, radius,
    sigma, clip,
):  # fmt: skip
    aspect_x, aspect_y = aspect(width, height), aspect(height, width)
    reach = np.float32(math.sqrt(radius)) / aspect_x
    for i in range(3 * count):
        gradient[i] = ZERO
    rate = ONE / sigma
    memory = allocate(4 * (width + LANES))
    across = float_array(memory)
    to_ax, to_ay, to_bx, to_by, to_cx, to_cy = lanes(), lanes(), lanes(), lanes(), lanes(), lanes()
    for j in range(width + LANES):
        across[j] = centre(j, width) * aspect_x
    for number in range(face_count):
        first_row, last_row = max(rows[2 * number], begin), min(rows[2 * number + 1], end - 1)
        if first_row > last_row:
            continue
        (a, b, c), (first, last), corners, area = placed(vertices, faces, number, aspect_x, aspect_y, reach, width)
        ax, ay, _, bx, by, _, cx, cy, _ = corners
        for k in range(LANES):
            to_ax[k] = to_ay[k] = to_bx[k] = to_by[k] = to_cx[k] = to_cy[k] = ZERO
        for i in range(first_row, last_row + 1):
            y = centre(i, height) * aspect_y
            for begun in range(first, last + 1, LANES):
                # The last pixels of a row are computed beside some that have been counted before.
                start = min(begun, width - LANES)
                for k in range(LANES):
                    x, pixel = across[start + k], i * width + start + k
                    inside, depth, distance0, distance1, distance2, share0, share1, share2 = touch(
                        *corners, area, x, y, clip
                    )  # fmt: skip
                    distance = min(distance0, distance1, distance2)
                    # Of the covered share with the squared distance: less with more of it outside, more inside.
                    slope = pull[pixel] * uncovered[pixel] * (ONE - ONE / not_covered(distance, inside, rate)) * rate
                    slope = slope if inside else -slope
                    # Without branches, which would have the pixels done one by one.
                    counts = (inside | (distance < radius)) & (rank_of(depth, number) <= limits[pixel])
                    counts = counts & (start + k >= begun) & (start + k <= last)
                    slope = slope if counts else ZERO
                    # Two edges that are equally near share alike.
                    part1, part2 = nearer(distance1, distance0), nearer(distance2, min(distance0, distance1))
                    slope2, slope = slope * part2, slope * (ONE - part2)
                    slope0, slope1 = slope * (ONE - part1), slope * part1
                    b0x, b0y, c0x, c0y = pulled(slope0, share0, bx, by, cx, cy, x, y)
                    c1x, c1y, a1x, a1y = pulled(slope1, share1, cx, cy, ax, ay, x, y)
                    a2x, a2y, b2x, b2y = pulled(slope2, share2, ax, ay, bx, by, x, y)
                    to_ax[k] += a1x + a2x
                    to_ay[k] += a1y + a2y
                    to_bx[k] += b0x + b2x
                    to_by[k] += b0y + b2y
                    to_cx[k] += c0x + c1x
                    to_cy[k] += c0y + c1y
        for k in range(LANES):
            gradient[a] += to_ax[k] * aspect_x
            gradient[a + 1] += to_ay[k] * aspect_y
            gradient[b] += to_bx[k] * aspect_x
            gradient[b + 1] += to_by[k] * aspect_y
            gradient[c] += to_cx[k] * aspect_x
            gradient[c + 1] += to_cy[k] * aspect_y
    free(memory)


KERNELS = {
    "silhouette": (2, silhouette_items, silhouette_work),
    "silhouette_derivative": (2, silhouette_derivative_items, silhouette_derivative_work),
}

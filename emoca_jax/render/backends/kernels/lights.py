"""Shading by spherical-harmonics light, and its derivatives, with nothing but normals and colours in memory."""

from __future__ import annotations

import numpy as np

from emoca_jax.render.backends.kernels.call_frame import (
    LANES,
    argument,
    extent,
    floats,
    item_of,
    lanes_of,
    lead,
    result,
)
from emoca_jax.render.backends.kernels.edges import ONE, ZERO
from emoca_jax.render.backends.kernels.pieces import add_up, piece, pieces_items
from emoca_jax.render.backends.native.dialect import inlined, kernel

TWO, THREE, SIX = np.float32(2), np.float32(3), np.float32(6)
LIGHT = 27
"""Numbers of a light: nine bands, three colours."""
light_sums = lanes_of(LIGHT)

# Arguments: normals [points, 3], light [9, 3] with the factors of the bands in it; of derivatives the former or both,
# and last what pulls at the shading [points, 3]. The bands are those of `lighting.py`, in its order.


@kernel
def shade_work(frame, stage, item):
    normals, light, shading = argument(frame, 0), argument(frame, 1), result(frame, 0)
    image, begin, end = piece(extent(shading, -2), item)
    shade(
        floats(normals, 2, item_of(normals, 2, shading, 2, image)),
        floats(light, 2, item_of(light, 2, shading, 2, image)), floats(shading, 2, image), begin, end,
    )  # fmt: skip


@inlined
def colour(light, c, x, y, z):
    return (
        light[c] + x * light[3 + c] + y * light[6 + c] + z * light[9 + c] + x * y * light[12 + c]
        + x * z * light[15 + c] + y * z * light[18 + c] + (x * x - y * y) * light[21 + c]
        + (THREE * z * z - ONE) * light[24 + c]
    )  # fmt: skip


@inlined
def shade(normals, light, shading, begin, end):
    for point in range(begin, end):
        x, y, z = normals[3 * point], normals[3 * point + 1], normals[3 * point + 2]
        red, green, blue = colour(light, 0, x, y, z), colour(light, 1, x, y, z), colour(light, 2, x, y, z)
        shading[3 * point], shading[3 * point + 1], shading[3 * point + 2] = red, green, blue


@kernel
def shade_to_normals_work(frame, stage, item):
    normals, light, pull, slopes = argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 0)
    image, begin, end = piece(extent(slopes, -2), item)
    shade_to_normals(
        floats(normals, 2, item_of(normals, 2, slopes, 2, image)),
        floats(light, 2, item_of(light, 2, slopes, 2, image)), floats(pull, 2, item_of(pull, 2, slopes, 2, image)),
        floats(slopes, 2, image), begin, end,
    )  # fmt: skip


@inlined
def of_band(light, number, red, green, blue):
    return light[3 * number] * red + light[3 * number + 1] * green + light[3 * number + 2] * blue


@inlined
def shade_to_normals(normals, light, pull, slopes, begin, end):
    for point in range(begin, end):
        x, y, z = normals[3 * point], normals[3 * point + 1], normals[3 * point + 2]
        red, green, blue = pull[3 * point], pull[3 * point + 1], pull[3 * point + 2]
        to_xy, to_xz = of_band(light, 4, red, green, blue), of_band(light, 5, red, green, blue)
        to_yz, to_square = of_band(light, 6, red, green, blue), TWO * of_band(light, 7, red, green, blue)
        to_x = of_band(light, 1, red, green, blue) + to_xy * y + to_xz * z + to_square * x
        to_y = of_band(light, 2, red, green, blue) + to_xy * x + to_yz * z - to_square * y
        to_z = of_band(light, 3, red, green, blue) + to_xz * x + to_yz * y
        slopes[3 * point], slopes[3 * point + 1] = to_x, to_y
        slopes[3 * point + 2] = to_z + SIX * of_band(light, 8, red, green, blue) * z


@kernel
def shade_to_light_items(frame, stage):
    """First parts of the points, each into numbers of its own, then their sum."""
    parts = result(frame, 1)
    return lead(parts, 2) if stage == 0 else lead(parts, 3)


@kernel
def shade_to_light_work(frame, stage, item):
    normals, pull, gradient, parts = argument(frame, 0), argument(frame, 1), result(frame, 0), result(frame, 1)
    count = extent(parts, -3)
    if stage == 1:
        add_up(floats(parts, 3, item), count, floats(gradient, 2, item), LIGHT)
        return
    image, part = item // count, item % count
    points = extent(normals, -2)
    shade_to_light(
        floats(normals, 2, item_of(normals, 2, gradient, 2, image)),
        floats(pull, 2, item_of(pull, 2, gradient, 2, image)), floats(parts, 2, item), points * part // count,
        points * (part + 1) // count,
    )  # fmt: skip


@inlined
def add(sums, place, number, band, red, green, blue):
    sums[3 * number * LANES + place] += band * red
    sums[(3 * number + 1) * LANES + place] += band * green
    sums[(3 * number + 2) * LANES + place] += band * blue


@inlined
def add_bands(normals, pull, sums, point, place):
    x, y, z = normals[3 * point], normals[3 * point + 1], normals[3 * point + 2]
    red, green, blue = pull[3 * point], pull[3 * point + 1], pull[3 * point + 2]
    add(sums, place, 0, ONE, red, green, blue)
    add(sums, place, 1, x, red, green, blue)
    add(sums, place, 2, y, red, green, blue)
    add(sums, place, 3, z, red, green, blue)
    add(sums, place, 4, x * y, red, green, blue)
    add(sums, place, 5, x * z, red, green, blue)
    add(sums, place, 6, y * z, red, green, blue)
    add(sums, place, 7, x * x - y * y, red, green, blue)
    add(sums, place, 8, THREE * z * z - ONE, red, green, blue)


@inlined
def shade_to_light(normals, pull, gradient, begin, end):
    # As many sums side by side as points are taken at once.
    sums = light_sums()
    for i in range(LIGHT * LANES):
        sums[i] = ZERO
    whole = begin + (end - begin) // LANES * LANES
    for start in range(begin, whole, LANES):
        for k in range(LANES):
            add_bands(normals, pull, sums, start + k, k)
    for point in range(whole, end):
        add_bands(normals, pull, sums, point, point - whole)
    for i in range(LIGHT):
        total = ZERO
        for k in range(LANES):
            total += sums[i * LANES + k]
        gradient[i] = total


KERNELS = {
    "shade": (1, pieces_items, shade_work),
    "shade_to_normals": (1, pieces_items, shade_to_normals_work),
    "shade_to_light": (2, shade_to_light_items, shade_to_light_work),
}

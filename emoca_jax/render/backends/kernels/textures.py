"""Textures at points, and the derivatives of both.

What a point needs is read where it lies and mixed at once; what it gives to texels is added in an order that does not
depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emoca_jax.render.backends.kernels.call_frame import (
    argument,
    attribute,
    extent,
    floats,
    integers,
    item_of,
    lead,
    load_i64,
    result,
)
from emoca_jax.render.backends.kernels.edges import ONE, ZERO, fused
from emoca_jax.render.backends.kernels.pieces import piece, pieces_items, pieces_of
from emoca_jax.render.backends.native.colour import BLOCK
from emoca_jax.render.backends.native.dialect import inlined, kernel

BANDS, BAND_HEIGHT = 8, 16
"""Into at most so many bands of at least so many rows a texture is cut, for several threads."""
HALF = np.float32(0.5)


def as_usual(loop: Callable[..., None]) -> Callable[..., None]:
    """A loop of arguments and, last, channels and both rules, called with the former in a tuple: it is compiled for
    three channels and no rule, which is what most textures are, and for everything else."""
    loop = inlined(loop)

    @inlined
    def chosen(own, channels, aligned, zero):
        if channels == 3 and not aligned and not zero:
            loop(*own, 3, False, False)
        else:
            loop(*own, channels, aligned, zero)

    return chosen


# Arguments: texels [rows, columns, channels], points [points, 2]. Attributes: whether u = 0 and 1 are centres
# of texels, whether a texture fades to zero outside.


@inlined
def place_in(coordinate, size, aligned):
    """Where a coordinate of the image plane lies among `size` texels, whose centres are whole numbers: the whole number
    before it, how far past that it lies, and the derivative of the latter."""
    scale = np.float32((size - 1) / 2) if aligned else np.float32(size / 2)
    place = (coordinate + ONE) * scale if aligned else fused(coordinate + ONE, scale, -HALF)
    end = np.float32(size)
    # Where a place is cut off, or no number, nothing depends on it any more; at the very cut, half.
    inside, within = place > -ONE and place < end, place >= -ONE and place <= end
    slope = scale if inside else (scale * HALF if within else ZERO)
    # What is no number stays none.
    place = -ONE if place < -ONE else (end if place > end else place)
    whole = np.floor(place)
    return np.int64(0) if np.isnan(whole) else np.int64(whole), place - whole, slope


@inlined
def both_rows(first, size):
    """A texel's number and that of the next one, at most one past the border, made to be inside."""
    return min(max(first, 0), size - 1), min(max(first + 1, 0), size - 1)


@inlined
def counts(first, size, zero):
    """What a texel and the next one weigh: nothing outside if the texture fades there."""
    return (
        ZERO if zero and (first < 0 or first >= size) else ONE,
        ZERO if zero and (first + 1 < 0 or first + 1 >= size) else ONE,
    )


@kernel
def look_up_work(frame, stage, item):
    texels, points, colours = argument(frame, 0), argument(frame, 1), result(frame, 0)
    image, begin, end = piece(extent(colours, -2), item)
    own = (
        floats(texels, 3, item_of(texels, 3, colours, 2, image)),
        floats(points, 2, item_of(points, 2, colours, 2, image)), floats(colours, 2, image), begin, end,
    )  # fmt: skip
    height, width, channels = extent(texels, -3), extent(texels, -2), extent(texels, -1)
    aligned, zero = load_i64(attribute(frame, 0)) != 0, load_i64(attribute(frame, 1)) != 0
    look_up((*own, height, width), channels, aligned, zero)


@as_usual
def look_up(texels, points, colours, begin, end, height, width, channels, aligned, zero):
    for point in range(begin, end):
        left, right_share, _ = place_in(points[2 * point], width, aligned)
        top, bottom_share, _ = place_in(points[2 * point + 1], height, aligned)
        (i0, i1), (j0, j1) = both_rows(top, height), both_rows(left, width)
        (counts0, counts1), (across0, across1) = counts(top, height, zero), counts(left, width, zero)
        above, below = (ONE - bottom_share) * counts0, bottom_share * counts1
        before, behind = (ONE - right_share) * across0, right_share * across1
        a, b = (i0 * width + j0) * channels, (i0 * width + j1) * channels
        c, d = (i1 * width + j0) * channels, (i1 * width + j1) * channels
        weight_a, weight_b, weight_c, weight_d = above * before, above * behind, below * before, below * behind
        for k in range(channels):
            colour = fused(weight_a, texels[a + k], weight_b * texels[b + k])
            colour = fused(weight_c, texels[c + k], colour)
            colours[point * channels + k] = fused(weight_d, texels[d + k], colour)


@kernel
def look_up_to_points_work(frame, stage, item):
    texels, points, pull, slopes = argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 0)
    image, begin, end = piece(extent(slopes, -2), item)
    own = (
        floats(texels, 3, item_of(texels, 3, slopes, 2, image)),
        floats(points, 2, item_of(points, 2, slopes, 2, image)), floats(pull, 2, item_of(pull, 2, slopes, 2, image)),
        floats(slopes, 2, image), begin, end,
    )  # fmt: skip
    height, width, channels = extent(texels, -3), extent(texels, -2), extent(texels, -1)
    aligned, zero = load_i64(attribute(frame, 0)) != 0, load_i64(attribute(frame, 1)) != 0
    look_up_to_points((*own, height, width), channels, aligned, zero)


@as_usual
def look_up_to_points(texels, points, pull, slopes, begin, end, height, width, channels, aligned, zero):
    for point in range(begin, end):
        left, right_share, slope_x = place_in(points[2 * point], width, aligned)
        top, bottom_share, slope_y = place_in(points[2 * point + 1], height, aligned)
        (i0, i1), (j0, j1) = both_rows(top, height), both_rows(left, width)
        (counts0, counts1), (across0, across1) = counts(top, height, zero), counts(left, width, zero)
        a, b = (i0 * width + j0) * channels, (i0 * width + j1) * channels
        c, d = (i1 * width + j0) * channels, (i1 * width + j1) * channels
        above, below = (ONE - bottom_share) * counts0, bottom_share * counts1
        before, behind = (ONE - right_share) * across0, right_share * across1
        to_x = to_y = ZERO
        for k in range(channels):
            pushed = pull[point * channels + k]
            texel_a, texel_b, texel_c, texel_d = texels[a + k], texels[b + k], texels[c + k], texels[d + k]
            upper, lower = across1 * texel_b - across0 * texel_a, across1 * texel_d - across0 * texel_c
            to_x += pushed * (above * upper + below * lower)
            first, second = counts1 * texel_c - counts0 * texel_a, counts1 * texel_d - counts0 * texel_b
            to_y += pushed * (before * first + behind * second)
        slopes[2 * point], slopes[2 * point + 1] = to_x * slope_x, to_y * slope_y


@kernel
def bands_of(height):
    return max(1, min(BANDS, height // BAND_HEIGHT))


@kernel
def look_up_to_texels_items(frame, stage):
    """First which rows each block of points touches, then bands of rows."""
    gradient, touched = result(frame, 0), result(frame, 1)
    if stage == 0:
        return lead(touched, 2) * pieces_of(extent(touched, -2) * BLOCK)
    return lead(gradient, 3) * bands_of(extent(gradient, -3))


@kernel
def look_up_to_texels_work(frame, stage, item):
    points, pull, gradient, touched = argument(frame, 0), argument(frame, 1), result(frame, 0), result(frame, 1)
    height, width, channels = extent(gradient, -3), extent(gradient, -2), extent(gradient, -1)
    count, blocks = extent(points, -2), extent(touched, -2)
    aligned, zero = load_i64(attribute(frame, 0)) != 0, load_i64(attribute(frame, 1)) != 0
    parts = pieces_of(blocks * BLOCK) if stage == 0 else bands_of(height)
    image, part = item // parts, item % parts
    at = floats(points, 2, item_of(points, 2, gradient, 3, image))
    pulled, rows = floats(pull, 2, item_of(pull, 2, gradient, 3, image)), integers(touched, 2, image)
    if stage == 0:
        find_texture_rows(
            at, pulled, rows, blocks * part // parts, blocks * (part + 1) // parts, count, height, channels, aligned
        )  # fmt: skip
    else:
        own = (
            at, pulled, rows, floats(gradient, 3, image), count, blocks, height, width, height * part // parts,
            height * (part + 1) // parts,
        )  # fmt: skip
        look_up_to_texels(own, channels, aligned, zero)


@inlined
def is_pulled(pull, point, channels):
    some = False
    for k in range(channels):
        some |= pull[point * channels + k] != ZERO
    return some


@kernel
def find_texture_rows(points, pull, touched, begin, end, count, height, channels, aligned):
    """First and last row of texels that each block of points gives something to."""
    for block in range(begin, end):
        first, last = height, np.int64(-1)
        for point in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            if is_pulled(pull, point, channels):
                top, _, _ = place_in(points[2 * point + 1], height, aligned)
                i0, i1 = both_rows(top, height)
                first, last = min(first, i0), max(last, i1)
        touched[2 * block], touched[2 * block + 1] = first, last


@as_usual
def look_up_to_texels(
    points, pull, touched, gradient, count, blocks, height, width, begin, end, channels, aligned, zero
):  # fmt: skip
    """Rows `begin` to `end` of a texture's derivative."""
    for i in range(begin * width * channels, end * width * channels):
        gradient[i] = ZERO
    for block in range(blocks):
        if touched[2 * block] >= end or touched[2 * block + 1] < begin:
            continue
        for point in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            top, bottom_share, _ = place_in(points[2 * point + 1], height, aligned)
            i0, i1 = both_rows(top, height)
            if i0 >= end or i1 < begin or not is_pulled(pull, point, channels):
                continue
            left, right_share, _ = place_in(points[2 * point], width, aligned)
            j0, j1 = both_rows(left, width)
            (counts0, counts1), (across0, across1) = counts(top, height, zero), counts(left, width, zero)
            before, behind = (ONE - right_share) * across0, right_share * across1
            if i0 >= begin and i0 < end:
                spread(
                    pull, point, gradient, i0 * width, j0, j1, before, behind, (ONE - bottom_share) * counts0, channels
                )
            if i1 >= begin and i1 < end:
                spread(pull, point, gradient, i1 * width, j0, j1, before, behind, bottom_share * counts1, channels)


@inlined
def spread(pull, point, gradient, row, j0, j1, before, behind, share, channels):
    """What a point gives to its two texels in a row."""
    a, b = (row + j0) * channels, (row + j1) * channels
    weight_a, weight_b = before * share, behind * share
    for k in range(channels):
        pushed = pull[point * channels + k]
        gradient[a + k] += pushed * weight_a
        gradient[b + k] += pushed * weight_b


KERNELS = {
    "look_up": (1, pieces_items, look_up_work),
    "look_up_to_points": (1, pieces_items, look_up_to_points_work),
    "look_up_to_texels": (2, look_up_to_texels_items, look_up_to_texels_work),
}

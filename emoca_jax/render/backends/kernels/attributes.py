"""Vertex attributes at the pixels, and the derivatives of both.

What a pixel needs is read where it lies and mixed at once; what it gives to attributes is added in an order that does
not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emoca_jax.render.backends.kernels.call_frame import argument, extent, floats, integers, item_of, lead, result
from emoca_jax.render.backends.kernels.edges import ZERO, fused
from emoca_jax.render.backends.kernels.pieces import add_up, piece, pieces_items
from emoca_jax.render.backends.native.dialect import inlined, kernel


def unrolled(loop: Callable[..., None]) -> Callable[..., None]:
    """A loop of arguments and, last, a number of channels, called with the former in a tuple: where the compiler knows
    that number it unrolls what goes over channels."""
    loop = inlined(loop)

    @inlined
    def chosen(own, channels):
        if channels == 3:
            loop(*own, 3)
        elif channels == 2:
            loop(*own, 2)
        else:
            loop(*own, channels)

    return chosen


# Arguments: face index [points], weights [points, 3], attributes [rows, channels], faces [faces, 3].


@inlined
def corner_rows(faces, last, number, channels):
    """Where the attributes of a face's three corners begin."""
    place = 3 * min(np.int64(number), last)
    return (np.int64(faces[place]) * channels, np.int64(faces[place + 1]) * channels,
            np.int64(faces[place + 2]) * channels)  # fmt: skip


@kernel
def mix_work(frame, stage, item):
    index, weights, attributes, faces = argument(frame, 0), argument(frame, 1), argument(frame, 2), argument(frame, 3)
    mixed = result(frame, 0)
    channels, last = extent(mixed, -1), extent(faces, -2) - 1
    image, begin, end = piece(extent(mixed, -2), item)
    own = (
        integers(index, 1, item_of(index, 1, mixed, 2, image)),
        floats(weights, 2, item_of(weights, 2, mixed, 2, image)),
        floats(attributes, 2, item_of(attributes, 2, mixed, 2, image)),
        integers(faces, 2, item_of(faces, 2, mixed, 2, image)), floats(mixed, 2, image),
        begin, end, last,
    )  # fmt: skip
    mix(own, channels)


@unrolled
def mix(index, weights, attributes, faces, mixed, begin, end, last, channels):
    for point in range(begin, end):
        if index[point] < 0:
            for k in range(channels):
                mixed[point * channels + k] = ZERO
            continue
        a, b, c = corner_rows(faces, last, index[point], channels)
        weight0, weight1, weight2 = weights[3 * point], weights[3 * point + 1], weights[3 * point + 2]
        for k in range(channels):
            two = fused(attributes[a + k], weight0, attributes[b + k] * weight1)
            mixed[point * channels + k] = fused(attributes[c + k], weight2, two)


@kernel
def mix_to_weights_work(frame, stage, item):
    index, attributes, faces, pull = argument(frame, 0), argument(frame, 1), argument(frame, 2), argument(frame, 3)
    slopes = result(frame, 0)
    channels, last = extent(pull, -1), extent(faces, -2) - 1
    image, begin, end = piece(extent(slopes, -2), item)
    own = (
        integers(index, 1, item_of(index, 1, slopes, 2, image)),
        floats(attributes, 2, item_of(attributes, 2, slopes, 2, image)),
        integers(faces, 2, item_of(faces, 2, slopes, 2, image)), floats(pull, 2, item_of(pull, 2, slopes, 2, image)),
        floats(slopes, 2, image),
        begin, end, last,
    )  # fmt: skip
    mix_to_weights(own, channels)


@unrolled
def mix_to_weights(index, attributes, faces, pull, slopes, begin, end, last, channels):
    for point in range(begin, end):
        to0 = to1 = to2 = ZERO
        if index[point] >= 0:
            a, b, c = corner_rows(faces, last, index[point], channels)
            for k in range(channels):
                pushed = pull[point * channels + k]
                to0 = fused(pushed, attributes[a + k], to0)
                to1 = fused(pushed, attributes[b + k], to1)
                to2 = fused(pushed, attributes[c + k], to2)
        slopes[3 * point], slopes[3 * point + 1], slopes[3 * point + 2] = to0, to1, to2


@kernel
def mix_to_attributes_items(frame, stage):
    """First parts of the points, each into an array of its own, then their sum."""
    parts = result(frame, 1)
    return lead(parts, 2) if stage == 0 else lead(parts, 3)


@kernel
def mix_to_attributes_work(frame, stage, item):
    index, weights, faces, pull = argument(frame, 0), argument(frame, 1), argument(frame, 2), argument(frame, 3)
    gradient, parts = result(frame, 0), result(frame, 1)
    rows, channels, count = extent(gradient, -2), extent(gradient, -1), extent(parts, -3)
    if stage == 1:
        add_up(floats(parts, 3, item), count, floats(gradient, 2, item), rows * channels)
        return
    image, part = item // count, item % count
    points, last = extent(index, -1), extent(faces, -2) - 1
    begin, end = points * part // count, points * (part + 1) // count
    own = (
        integers(index, 1, item_of(index, 1, gradient, 2, image)),
        floats(weights, 2, item_of(weights, 2, gradient, 2, image)),
        integers(faces, 2, item_of(faces, 2, gradient, 2, image)),
        floats(pull, 2, item_of(pull, 2, gradient, 2, image)), floats(parts, 2, item),
        begin, end, last, rows,
    )  # fmt: skip
    mix_to_attributes(own, channels)


@unrolled
def mix_to_attributes(index, weights, faces, pull, gradient, begin, end, last, rows, channels):
    for i in range(rows * channels):
        gradient[i] = ZERO
    for point in range(begin, end):
        if index[point] < 0 or index[point] > last:
            continue
        a, b, c = corner_rows(faces, last, index[point], channels)
        weight0, weight1, weight2 = weights[3 * point], weights[3 * point + 1], weights[3 * point + 2]
        # Corners that do not exist, whose attributes are those of the nearest that does, get nothing.
        if a < 0 or b < 0 or c < 0:
            weight0, weight1, weight2 = (
                ZERO if a < 0 else weight0, ZERO if b < 0 else weight1, ZERO if c < 0 else weight2,
            )  # fmt: skip
            a, b, c = max(a, 0), max(b, 0), max(c, 0)
        for k in range(channels):
            pushed = pull[point * channels + k]
            gradient[a + k] += pushed * weight0
            gradient[b + k] += pushed * weight1
            gradient[c + k] += pushed * weight2


KERNELS = {
    "mix": (1, pieces_items, mix_work),
    "mix_to_weights": (1, pieces_items, mix_to_weights_work),
    "mix_to_attributes": (2, mix_to_attributes_items, mix_to_attributes_work),
}

"""Long lists of points cut into pieces, for several threads, and what the pieces give added up."""

from __future__ import annotations

from emoca_jax.render.backends.kernels.call_frame import extent, lead, result
from emoca_jax.render.backends.kernels.edges import ZERO
from emoca_jax.render.backends.native.dialect import inlined, kernel

PIECES, PIECE = 8, 4096
"""Into at most so many pieces of at least so many points is a list cut, for several threads."""


@kernel
def pieces_of(count):
    return max(1, min(PIECES, count // PIECE))


@kernel
def pieces_items(frame, stage):
    """Pieces of the first result's points, whose numbers lie in its last axis."""
    points = result(frame, 0)
    return lead(points, 2) * pieces_of(extent(points, -2))


@inlined
def piece(count, item):
    """Which image an item belongs to, and its first point and the one after its last."""
    pieces = pieces_of(count)
    image, part = item // pieces, item % pieces
    return image, count * part // pieces, count * (part + 1) // pieces


@kernel
def add_up(parts, bands, total, count):
    """In the order of the parts: the same numbers however many threads there are."""
    for i in range(count):
        number = ZERO
        for band in range(bands):
            number += parts[band * count + i]
        total[i] = number


@inlined
def give(gradient, corner, to_x, to_y, to_z):
    """To the three numbers that begin there."""
    gradient[corner] += to_x
    gradient[corner + 1] += to_y
    gradient[corner + 2] += to_z

"""Long lists of points cut into pieces, for several threads."""

from __future__ import annotations

from emoca_jax.render.backends.kernels.call_frame import extent, lead, result
from emoca_jax.render.backends.kernels.dialect import inlined, kernel

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

"""Sums over the faces of each pixel, and their derivative, which streams over the same (face, tile) pairs again."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from emoca_jax.render.backends.blocks import for_each_chunk, take
from emoca_jax.render.backends.soft_limits import Limit, depth_key, within_limit
from emoca_jax.render.backends.soft_pairs import CHUNK, Pairs, Reach, Row, Touch, columns, own_rows, places, touch

Constants = tuple[Reach | Float[Array, ""], ...]
PerPixel = tuple[Float[Array, "tiles pixels"], ...]
Contribution = Callable[
    [Row, Touch, Constants, PerPixel, Bool[Array, "pairs pixels"]], list[Float[Array, "pairs pixels"]]
]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def accumulate(
    contribution: Contribution, size: tuple[int, int], shape: tuple[int, int, int], rows: Float[Array, "faces columns"],
    pairs: Pairs, limit: Limit | None, constants: Constants, per_pixel: PerPixel,
) -> tuple[Float[Array, "tiles pixels"], ...]:  # fmt: skip
    """Sum over the faces of each pixel of `contribution(row, touch, constants, per_pixel, selected)`, which gives one
    array per channel and must have finite derivatives where not selected. Differentiable in `rows` (the first nine
    columns as in `face_rows`, more as the contribution needs) and nothing else. shape: channels, tiles, pixels of a
    tile. limit: None for all faces. constants: the reach first.
    """

    def visit(total, chunk):
        tile, values = _contributions(contribution, size, rows, pairs, limit, constants, per_pixel, chunk)
        added = values(own_rows(rows, chunk))
        return tuple(sum_.at[tile].add(own, mode="promise_in_bounds") for sum_, own in zip(total, added, strict=True))

    # An array per channel: with a last dimension of one or a few the arithmetic would not be vectorised.
    total = tuple(jnp.zeros(shape[1:]) for _ in range(shape[0]))
    return for_each_chunk(pairs.boxes, CHUNK, visit, total)


def _contributions(contribution, size, rows, pairs, limit, constants, per_pixel, chunk):
    tile, x, y, in_image = places(pairs, chunk, size)
    local = tuple(take(array, tile) for array in per_pixel)

    def values(face_row):
        row = columns(face_row)
        touched = touch(row, x, y, constants[0])
        selected = touched.valid & in_image
        if limit is not None:
            selected &= within_limit(limit, tile, depth_key(lax.stop_gradient(touched.depth)), chunk.face)
        return contribution(row, touched, constants, local, selected)

    return tile, values


def _accumulate_forward(contribution, size, shape, rows, pairs, limit, constants, per_pixel):
    total = accumulate(contribution, size, shape, rows, pairs, limit, constants, per_pixel)
    return total, (rows, pairs, limit, constants, per_pixel)


def _accumulate_backward(contribution, size, shape, kept, cotangent):
    rows, pairs, limit, constants, per_pixel = kept

    def visit(gradient, chunk):
        tile, values = _contributions(contribution, size, rows, pairs, limit, constants, per_pixel, chunk)
        _, pull = jax.vjp(values, own_rows(rows, chunk))
        (own,) = pull([take(channel, tile) for channel in cotangent])
        # Slots without a block name the last face and have added nothing.
        return gradient.at[chunk.face].add(own, mode="promise_in_bounds")

    return for_each_chunk(pairs.boxes, CHUNK, visit, jnp.zeros_like(rows)), None, None, None, None


accumulate.defvjp(_accumulate_forward, _accumulate_backward)

"""A loop over all pixel blocks of all faces' bounding boxes, a fixed number at a time, in the order of the faces.

Everything that draws goes through it. Work and memory follow the covered pixels, not pixels x faces; a face that fills
the screen is many blocks, so nothing has to be dropped and there is no capacity to tune.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped

Carry = TypeVar("Carry")


class Boxes(NamedTuple):
    """How many blocks cover every face's bounding box, in a row and in all."""

    per_row: Int[Array, "faces"]
    count: Int[Array, "faces"]


class Chunk(NamedTuple):
    """Some blocks: whose they are, how many blocks right of and below the box's first they lie, and which slots hold
    one at all; the others name some face and some place."""

    face: Int[Array, "chunk"]
    right: Int[Array, "chunk"]
    down: Int[Array, "chunk"]
    live: Bool[Array, "chunk"]


def pixel_range(
    low: Float[Array, "*n"], high: Float[Array, "*n"], size: int
) -> tuple[Int[Array, "*n"], Int[Array, "*n"]]:
    """First pixel and number of pixels whose centres can lie in [low, high] on the image plane."""
    slack = box_slack(size)
    first = jnp.ceil((low + 1) * (size / 2) - 0.5 - slack)
    last = jnp.floor((high + 1) * (size / 2) - 0.5 + slack)
    first = jnp.clip(first, 0, size).astype(jnp.int32)
    last = jnp.clip(last, -1, size - 1).astype(jnp.int32)
    return first, jnp.maximum(last - first + 1, 0)


def box_slack(size: int) -> float:
    """Pixels by which a range is widened: rounding of coordinate and centre is below 4 ulp of 1 each, in pixels
    size / 2 times that."""
    return 1e-3 + size * 4e-7


def take(array: Shaped[Array, "rows *shape"], index: Int[Array, "*n"]) -> Shaped[Array, "..."]:
    """Rows of an array at indices known to be inside it."""
    return array.at[index].get(mode="promise_in_bounds")


def for_each_chunk(
    boxes: Boxes, chunk: int, body: Callable[[Carry, Chunk], Carry], carry: Carry, *, used: Int[Array, ""] | None = None
) -> Carry:
    """`body` run over all blocks, `chunk` at a time; each block comes exactly once, faces in rising order.

    used: stop after so many faces, when the rest has no blocks.
    """
    total = boxes.count.shape[0]
    if total == 0:
        return carry
    last = total if used is None else jnp.minimum(used, total)
    count = jnp.concatenate([boxes.count, jnp.zeros(chunk, jnp.int32)])
    per_row = jnp.maximum(boxes.per_row, 1)
    slot = jnp.arange(chunk, dtype=jnp.int32)

    def turn(state):
        first, skip, carry = state
        # Which face and which of its blocks each of the next ones is: face `first` has `skip` blocks behind it.
        # One more than fit still shows that a face goes on.
        todo = lax.dynamic_slice(count, (first,), (chunk,)).at[0].add(-skip)
        ends = _sums_up_to(chunk + 1, jnp.minimum(todo, chunk + 1))
        starts = jnp.concatenate([jnp.zeros(1, jnp.int32), ends[:-1]])
        local = jnp.cumsum(jnp.zeros(chunk, jnp.int32).at[starts].add(1, mode="drop"), dtype=jnp.int32) - 1
        face = jnp.minimum(first + local, total - 1)
        block = slot - take(starts, local) + jnp.where(local == 0, skip, 0)
        length = take(per_row, face)
        down = block // length
        carry = body(carry, Chunk(face, block - down * length, down, slot < ends[-1]))

        finished = jnp.sum(ends <= chunk, dtype=jnp.int32)
        before = jnp.where(finished > 0, ends[jnp.maximum(finished - 1, 0)], -skip)
        return first + finished, jnp.where(finished < chunk, chunk - before, 0), carry

    return lax.while_loop(lambda state: state[0] < last, turn, (jnp.int32(0), jnp.int32(0), carry))[2]


def _sums_up_to(limit: int, numbers: Int[Array, "n"]) -> Int[Array, "n"]:
    """Running sums of numbers of at most `limit`, cut off at it, so that 32 bits hold every step on the way."""
    row = numbers.shape[0] if numbers.shape[0] * limit < 2**31 else math.gcd(numbers.shape[0], 1024)
    sums = jnp.cumsum(numbers.reshape(-1, row), axis=1, dtype=jnp.int32)
    if sums.shape[0] > 1:
        sums = jnp.minimum(sums, limit)
        before = jnp.cumsum(sums[:, -1], dtype=jnp.int32) - sums[:, -1]
        sums += jnp.minimum(before, limit)[:, None]
    return jnp.minimum(sums.reshape(-1), limit)

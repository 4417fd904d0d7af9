"""The K nearest faces of each pixel, as a limit up to which faces count.

They are found by counting: a search on the bits of the depth narrows the K-th smallest in a few passes over the
(face, tile) pairs. Nothing is ever as large as pixels x K.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt32

from emoca_jax.render.backends.blocks import take
from emoca_jax.render.backends.soft_pairs import TILE, Pairs, Reach, each_pair

BUCKETS = 16
"""Into how many parts a pass of the depth search divides what is left."""
ALL = 2**32 - 1
"""The largest depth key."""


class Limit(NamedTuple):
    """Up to where faces count at a pixel: those with a smaller depth key, or an equal one and at most this number."""

    key: UInt32[Array, "tiles pixels"]
    face: Int[Array, "tiles pixels"]


def depth_key(depth: Float[Array, "*n"]) -> UInt32[Array, "*n"]:
    """A number in the order of the floats."""
    bits = lax.bitcast_convert_type(depth.astype(jnp.float32), jnp.uint32)
    return jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))


def within_limit(
    limit: Limit, tile: Int[Array, "pairs"], key: UInt32[Array, "pairs pixels"], face: Int[Array, "pairs"]
) -> Bool[Array, "pairs pixels"]:
    """Whether the faces of a chunk count at the pixels of their tiles."""
    bound, last, key = lax.optimization_barrier((take(limit.key, tile), take(limit.face, tile), key))
    return (key < bound) | ((key == bound) & (face[:, None] <= last))


def nearest_limit(
    pairs: Pairs,
    rows: Float[Array, "faces columns"],
    grid: tuple[int, int, int],
    size: tuple[int, int],
    reach: Reach,
    faces_per_pixel: int,
) -> Limit:
    """The limit that leaves the `faces_per_pixel` nearest faces of each pixel, ties to the lower number."""
    shape = (math.prod(grid), TILE * TILE)

    def survey(carry, chunk, tile, touched, valid):
        count, low, high = carry
        key = depth_key(touched.depth)
        return (
            count.at[tile].add(valid.astype(jnp.int32), mode="promise_in_bounds"),
            low.at[tile].min(jnp.where(valid, key, jnp.uint32(ALL)), mode="promise_in_bounds"),
            high.at[tile].max(jnp.where(valid, key, jnp.uint32(0)), mode="promise_in_bounds"),
        )

    start = (jnp.zeros(shape, jnp.int32), jnp.full(shape, ALL, jnp.uint32), jnp.zeros(shape, jnp.uint32))
    count, low, high = each_pair(pairs, rows, size, reach, survey, start)
    everything = Limit(jnp.full(shape, ALL, jnp.uint32), jnp.full(shape, 2**31 - 1, jnp.int32))
    crowded = count > faces_per_pixel

    def tally_depths(bounds):
        def visit(carry, chunk, tile, touched, valid):
            below = depth_key(touched.depth)[..., None] <= take(bounds, tile)
            return carry.at[tile].add((below & valid[..., None]).astype(jnp.int32), mode="promise_in_bounds")

        return each_pair(pairs, rows, size, reach, visit, jnp.zeros(bounds.shape, jnp.int32))

    wanted = jnp.full(shape, faces_per_pixel, jnp.int32)
    key, before, found = _narrow(jnp.where(crowded, low, 0), jnp.where(crowded, high, 0), wanted, count, tally_depths)
    wanted = wanted - before

    def tally_ties(bounds):
        def visit(carry, chunk, tile, touched, valid):
            tied = (depth_key(touched.depth) == take(key, tile)) & valid
            below = chunk.face.astype(jnp.uint32)[:, None, None] <= take(bounds, tile)
            return carry.at[tile].add((below & tied[..., None]).astype(jnp.int32), mode="promise_in_bounds")

        return each_pair(pairs, rows, size, reach, visit, jnp.zeros(bounds.shape, jnp.int32))

    tied = crowded & (found != faces_per_pixel)
    top = jnp.where(tied, jnp.uint32(max(rows.shape[0] - 1, 0)), 0)
    face, _, _ = _narrow(jnp.zeros(shape, jnp.uint32), top, wanted, count, tally_ties)
    return Limit(jnp.where(crowded, key, everything.key), jnp.where(tied, face.astype(jnp.int32), everything.face))


def _narrow(low: Array, high: Array, wanted: Array, found: Array, tally: Callable[[Array], Array]):
    """Per pixel the smallest number in [low, high] with `wanted` or more elements at or below it, or any larger one
    with as many elements; how many are below `low` of the last step, and how many at or below the result."""

    def turn(state):
        low, high, before, found = state
        step = (high - low) // BUCKETS + 1
        ends = jnp.arange(1, BUCKETS, dtype=jnp.uint32)[None, None]
        bounds = jnp.minimum(low[..., None] + (step[..., None] * ends - 1), high[..., None])
        counts = tally(bounds)
        counts = jnp.concatenate([before[..., None], counts, found[..., None]], axis=-1)
        bounds = jnp.concatenate([bounds, high[..., None]], axis=-1)
        place = jnp.sum(counts[..., 1:-1] < wanted[..., None], axis=-1, keepdims=True)
        at = jnp.take_along_axis(bounds, place, -1)[..., 0]
        reached = jnp.take_along_axis(counts, place + 1, -1)[..., 0]
        below = jnp.take_along_axis(counts, place, -1)[..., 0]
        start = jnp.where(
            place[..., 0] > 0, jnp.take_along_axis(bounds, jnp.maximum(place - 1, 0), -1)[..., 0] + 1, low
        )
        open_ = low < high
        settled = reached == wanted
        return (
            jnp.where(open_, jnp.where(settled, at, start), low),
            jnp.where(open_, at, high),
            jnp.where(open_, below, before),
            jnp.where(open_, reached, found),
        )

    state = (low, high, jnp.zeros_like(wanted), found)
    low, _, before, found = lax.while_loop(lambda state: jnp.any(state[0] < state[1]), turn, state)
    return low, before, found

"""The loop over blocks: each exactly once, however many there are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.render.backends.blocks import Boxes, for_each_chunk
from emoca_jax.render.backends.visible_faces import CHUNK, WIDE_CHUNK


@functools.partial(jax.jit, static_argnames="chunk")
def visits(count: jax.Array, chunk: int, used: int) -> jax.Array:
    """How often each face comes."""

    def body(seen, blocks):
        return seen.at[blocks.face].add(blocks.live.astype(jnp.int32))

    boxes = Boxes(jnp.full_like(count, 100), count)
    return for_each_chunk(boxes, chunk, body, jnp.zeros_like(count), used=used)


@pytest.mark.parametrize(
    ("faces", "blocks", "chunk", "used"),
    # More blocks than 32 bits can count: in the faces of one turn, and in those behind a face that takes many turns.
    [(66_536, 32_768, WIDE_CHUNK, 17), (9_000, 524_000, CHUNK, 2)],
)
def test_more_blocks_than_32_bits_count(faces, blocks, chunk, used):
    seen = np.array(visits(jnp.full(faces, blocks, jnp.int32), chunk, used))
    np.testing.assert_array_equal(seen[:used], blocks)
    assert seen.sum() == -(-used * blocks // chunk) * chunk


@pytest.mark.parametrize("chunk", [64, WIDE_CHUNK])
def test_each_block_comes_once(chunk):
    rng = np.random.default_rng(0)
    count = np.where(rng.uniform(size=500) < 0.5, 0, rng.integers(0, 300, 500)).astype(np.int32)
    np.testing.assert_array_equal(visits(jnp.array(count), chunk, len(count)), count)

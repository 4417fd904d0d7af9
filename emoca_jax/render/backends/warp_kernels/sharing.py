"""How work that is uneven is divided among the threads of a GPU, and numbers of 64 bits.

A face with many pixels takes a ticket, which says how many pieces it has: one atomic sum counts tickets and pieces at
once, so that the tickets lie in the order of their first pieces. Teams of threads then take even shares of all pieces,
whoever they belong to.
"""

from __future__ import annotations

from typing import Any

import warp as wp

from emoca_jax.render.backends.warp_kernels.dialect import inlined

PIECE = 512
"""Pixels of a piece of a larger face: 16 for each lane, against the setting up of the face. By reckoning."""
LANES = wp.constant(32)
TEAMS_ON_GPU, TEAMS_ON_CPU = 8192, 64
"""Warps that share the pieces: more than an H100 holds at once (132 multiprocessors of 26, for the registers of this
kernel), so that none waits for long; and few where they come in turn."""
FIRST_DEPTH = wp.constant(wp.uint32(0x80000000))


@inlined
def key_of(depth: wp.float32, number: wp.int32) -> wp.uint64:
    """In the order of depths, then of faces."""
    # Both zeros are one depth.
    bits = wp.cast(depth + 0.0, wp.uint32)
    ordered = wp.where(bits >= FIRST_DEPTH, ~bits, bits | FIRST_DEPTH)
    return (wp.uint64(ordered) << wp.uint64(32)) | wp.uint64(number)


@inlined
def share_of(
    tickets: wp.array(dtype=wp.uint64), piece_bits: wp.uint64, team: wp.int32, teams: wp.int32
) -> wp.vec2ul:  # fmt: skip
    """The first piece of a team, and the one behind its last."""
    total = tickets[0] & ((wp.uint64(1) << piece_bits) - wp.uint64(1))
    share = (total + wp.uint64(teams - 1)) // wp.uint64(teams)
    first = wp.uint64(team) * share
    return wp.vec2ul(first, wp.min(first + share, total))


@inlined
def slot_of(starts: wp.array(dtype=wp.uint64), count: wp.int32, piece: wp.uint64) -> wp.int32:
    """The last of so many faces that starts at or before a piece."""
    slot = wp.int32(0)
    # Not in one line: warp would take `beyond` for another name of `count`.
    beyond = count
    while beyond - slot > 1:
        middle = (slot + beyond) // 2
        if starts[middle] <= piece:
            slot = middle
        else:
            beyond = middle
    return slot


def teams_on(device: Any) -> int:
    """How many teams share the pieces there."""
    return TEAMS_ON_GPU if device.is_cuda else TEAMS_ON_CPU


def pieces_of(faces: int, pixels: int) -> tuple[int, int]:
    """Pixels of a piece, and how many of 64 bits are for the number of pieces, so that both numbers always fit."""
    bits = 64 - faces.bit_length()
    most = max(1, (2**bits - 1) // max(faces, 1))
    return max(PIECE, -(-pixels // most)), bits


def words_of_64_bits(words: wp.array) -> wp.array:
    """Pairs of 32 bits, which is all that JAX has, as one number each."""
    return wp.array(ptr=words.ptr, dtype=wp.uint64, shape=words.shape[:-1], device=words.device)

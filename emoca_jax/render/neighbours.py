"""The edges of a mesh, each once, and the faces on both sides of it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

OUTER, REPEATED = -1, -2


class Edges(NamedTuple):
    """Vertices of every edge: its two ends, the third corner of one face on it (`apex`) and of the other (`across`).

    across: OUTER on the rim of the mesh and where more than two faces meet, REPEATED where the row lists an edge once
    more than it should and does not count.
    """

    start: Int[Array, "edges"]
    end: Int[Array, "edges"]
    apex: Int[Array, "edges"]
    across: Int[Array, "edges"]


@jax.jit
def mesh_edges(faces: Int[Array, "faces 3"]) -> Edges:
    """All edges of a mesh, in 3 rows per face. They sort, so compute them once per mesh."""
    faces = jnp.asarray(faces, jnp.int32)
    count = 3 * faces.shape[0]
    if count == 0:
        return Edges(*(jnp.zeros(0, jnp.int32) for _ in range(4)))
    start, end = jnp.roll(faces, -1, axis=1), jnp.roll(faces, -2, axis=1)
    low, high = jnp.minimum(start, end).reshape(-1), jnp.maximum(start, end).reshape(-1)
    low, high, apex = lax.sort((low, high, faces.reshape(-1)), num_keys=2)
    as_next = jnp.append((low[1:] == low[:-1]) & (high[1:] == high[:-1]), False)
    as_last = jnp.roll(as_next, 1)
    exactly_two = as_next & ~jnp.roll(as_next, -1)
    across = jnp.where(exactly_two, jnp.roll(apex, -1), OUTER)
    return Edges(low, high, apex, jnp.where(as_last | (low == high), REPEATED, across))

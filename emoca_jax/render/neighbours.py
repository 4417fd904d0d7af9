"""The edges of a mesh, each once, and the faces on both sides of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int, Integer

from emoca_jax.arrays import checks_arguments

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


@checks_arguments
def mesh_edges(faces: Integer[Array | np.ndarray, "faces 3"]) -> Edges:
    """All edges of a mesh, in 3 rows per face. They sort, so compute them once per mesh. No gradient.

    Of a NumPy array they are computed and returned in NumPy, which compiles nothing: for when a mesh is loaded.
    """
    if isinstance(faces, np.ndarray):
        return _edges(faces.astype(np.int32), np, _sorted_on_host)
    return _traced_edges(jnp.asarray(faces, jnp.int32))


@jax.jit
def _traced_edges(faces: Int[Array, "faces 3"]) -> Edges:
    return _edges(faces, jnp, functools.partial(lax.sort, num_keys=2))


def _sorted_on_host(columns: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    low, high, _ = columns
    order = np.lexsort((high, low))
    return tuple(column[order] for column in columns)


def _edges(faces: Any, xp: ModuleType, sort: Callable) -> Edges:
    if faces.shape[0] == 0:
        return Edges(*(xp.zeros(0, xp.int32) for _ in range(4)))
    start, end = xp.roll(faces, -1, axis=1), xp.roll(faces, -2, axis=1)
    low, high = xp.minimum(start, end).reshape(-1), xp.maximum(start, end).reshape(-1)
    low, high, apex = sort((low, high, faces.reshape(-1)))
    as_next = xp.append((low[1:] == low[:-1]) & (high[1:] == high[:-1]), False)
    as_last = xp.roll(as_next, 1)
    exactly_two = as_next & ~xp.roll(as_next, -1)
    across = xp.where(exactly_two, xp.roll(apex, -1), OUTER)
    return Edges(low, high, apex, xp.where(as_last | (low == high), REPEATED, across))

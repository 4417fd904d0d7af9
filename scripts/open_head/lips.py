"""Lips closed at rest: MakeHuman's stay a little apart, and every identity target changes by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mesh import HeadMesh, edge_loops
from .source import BaseMesh

LOOP_STARTS = (491, 5337, 492, 496, 495, 513, 494, 493, 523, 540, 557)
"""Mid-line vertices of the lower lip from the skin under it to its inside; each starts an edge loop of 20 vertices
around the left half of the mouth that ends on the upper lip."""
CONTACT = LOOP_STARTS.index(523)
"""The loop on which closed lips touch."""
SHARE = {495: 0.12, 513: 0.3, 494: 0.6, 493: 0.9, 523: 1.0, 540: 0.9, 557: 0.5}
"""How much of the closing movement each loop takes part in."""
OVERLAP = 0.003
"""Decimetres that the lips press into each other, so that no light shows between them."""


@dataclass(frozen=True)
class Lips:
    """Head vertices of the lip loops, lower and upper, paired; both sides of the mouth."""

    lower: np.ndarray
    """[loops, 20] from the left mid-line to the left corner, then the right half likewise"""
    upper: np.ndarray


def find_lips(base: BaseMesh, mesh: HeadMesh) -> Lips:
    number = np.full(len(base.vertices), -1)
    known = mesh.source_vertex >= 0
    number[mesh.source_vertex[known]] = np.flatnonzero(known)
    loops = number[np.array(edge_loops(base, LOOP_STARTS))]
    half = loops.shape[1] // 2
    lower, upper = loops[:, :half], loops[:, :half:-1] if loops.shape[1] % 2 else loops[:, half:][:, ::-1]
    return Lips(*(np.concatenate([side, mesh.mirror[side]], 1) for side in (lower, upper)))


def seal(vertices: np.ndarray, lips: Lips) -> np.ndarray:
    """The head with its lips touching: both move half of the gap, their surroundings a share of it."""
    sealed = vertices.copy()
    gap = vertices[lips.upper[CONTACT], 1] - vertices[lips.lower[CONTACT], 1] + OVERLAP
    for row, start in enumerate(LOOP_STARTS):
        share = SHARE.get(start, 0.0)
        half = len(gap) // 2
        for part in (slice(0, half), slice(half, None)):
            # Mid-line vertices stand in both halves with the same gap, so assigning twice is harmless.
            sealed[lips.lower[row, part], 1] = vertices[lips.lower[row, part], 1] + share * gap[part] / 2
            sealed[lips.upper[row, part], 1] = vertices[lips.upper[row, part], 1] - share * gap[part] / 2
    return sealed

"""A uv map as a mesh: one vertex a texel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def grid_faces(rows: int, columns: int) -> Int[np.ndarray, "faces 3"]:
    """Two triangles for each cell of a grid whose vertices are numbered along its rows, [2 (rows-1) (columns-1), 3].

    Counter-clockwise where columns run to the right and rows down seen from outside. The order (column after column)
    is that of the official detail mesh.
    """
    column, row = np.meshgrid(np.arange(columns - 1), np.arange(rows - 1), indexing="ij")
    corner = row * columns + column
    right, below, opposite = corner + 1, corner + columns, corner + columns + 1
    upper, lower = np.stack([corner, below, right], axis=-1), np.stack([right, below, opposite], axis=-1)
    return np.stack([upper, lower], axis=2).reshape(-1, 3).astype(np.int32)

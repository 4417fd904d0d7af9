"""The 68 landmarks of iBUG's markup among the points that our detector finds, as who annotates photos sets them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull

from emoca_jax.mediapipe_points import CHIN, FOREHEAD, INNER_OF_68, JAW_OF_68, MESH_POINTS

JAW = len(JAW_OF_68)
MIDDLE = JAW // 2
"""The chin's place among the jaw's points, which run from the right ear to the left one."""
FLAT = 1e-6
"""Spread across a line, in parts of a face's height, below which points lie on it: rounding."""


def as_68(points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "68 2"]:
    """x and y of the points nearest to the 68, the jaw on the outline of what is seen of the face.

    points: in a picture's pixels, y down. MediaPipe's jaw line stays on the skin when a head turns and comes to lie
    within the face on the far side, where the markup (and FLAME's contour, which is compared with it) follows the
    outline: each of its points is moved level with the eyes to where the convex hull of all points ends. NaN where
    points are no numbers, or all on a line.
    """
    seen = points[:MESH_POINTS, :2].astype(np.float64)
    up = seen[FOREHEAD] - seen[CHIN]
    length = np.linalg.norm(up)
    away = seen - seen.mean(axis=0)
    if not np.isfinite(seen).all() or length == 0 or np.linalg.matrix_rank(away, FLAT * length) < 2:
        return np.full((JAW + len(INNER_OF_68), 2), np.nan, np.float32)
    up /= length
    # To the right in the picture, where the person's left is.
    axes = np.stack([[-up[1], up[0]], up])
    level = seen @ axes.T
    jaw = level[list(JAW_OF_68)]
    hull = level[ConvexHull(level).vertices]
    across = np.stack([_ends(hull, height) for height in jaw[:, 1]])
    jaw[:MIDDLE, 0], jaw[MIDDLE + 1 :, 0] = across[:MIDDLE, 0], across[MIDDLE + 1 :, 1]
    return np.concatenate([jaw @ axes, seen[list(INNER_OF_68)]]).astype(np.float32)


def _ends(hull: Float[np.ndarray, "corners 2"], height: float) -> tuple[float, float]:
    """Where a convex polygon begins and ends at a height that it reaches."""
    (x, y), (next_x, next_y) = hull.T, np.roll(hull, -1, axis=0).T
    met = (np.minimum(y, next_y) <= height) & (height <= np.maximum(y, next_y)) & (y != next_y)
    part = (height - y[met]) / (next_y - y)[met]
    crossed = x[met] + part * (next_x - x)[met]
    return float(crossed.min()), float(crossed.max())

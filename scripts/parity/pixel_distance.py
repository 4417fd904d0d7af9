"""What pixel centres see of the face they show, in float64: pytorch3d's `dists`, and ties in depth."""

from __future__ import annotations

import numpy as np

EQUAL_DEPTH = 1e-6
"""Depths, around 1, that differ by less are equal but for float32's rounding."""


def signed_squared_distance(vertices: np.ndarray, faces: np.ndarray, face_index: np.ndarray) -> np.ndarray:
    """[H, W] from the face's outline, negative inside, in the image plane [-1, 1]^2, at pixels whose face_index is not
    negative; they are inside their face."""
    pixel = _pixels(face_index)
    triangle = vertices.astype(np.float64)[faces[np.maximum(face_index, 0)], :2]
    distances = []
    for corner in range(3):
        start, end = triangle[..., corner, :], triangle[..., (corner + 1) % 3, :]
        along = end - start
        length = np.maximum(np.sum(along**2, axis=-1), np.finfo(np.float64).tiny)
        part = np.clip(np.sum((pixel - start) * along, axis=-1) / length, 0, 1)
        distances.append(np.sum((pixel - start - part[..., None] * along) ** 2, axis=-1))
    return -np.min(distances, axis=0)


def equally_deep(vertices: np.ndarray, faces: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[H, W] where two pictures of face indices show two faces between which float32's depths do not decide."""
    both = (first != second) & (first >= 0) & (second >= 0)
    one, other = (_plane_depth(vertices, faces, index) for index in (first, second))
    return both & (np.abs(one - other) < EQUAL_DEPTH)


def _plane_depth(vertices: np.ndarray, faces: np.ndarray, face_index: np.ndarray) -> np.ndarray:
    """[H, W] depth of the plane of each pixel's face, at pixels whose face_index is not negative."""
    corner, *others = np.moveaxis(vertices.astype(np.float64)[faces[np.maximum(face_index, 0)]], -2, 0)
    normal = np.cross(others[0] - corner, others[1] - corner)
    across = np.sum((_pixels(face_index) - corner[..., :2]) * normal[..., :2], axis=-1)
    return corner[..., 2] - across / np.where(normal[..., 2] == 0, 1, normal[..., 2])


def _pixels(face_index: np.ndarray) -> np.ndarray:
    """[H, W, 2] centres in the image plane."""
    height, width = face_index.shape
    x = (2 * np.arange(width) + 1) / width - 1
    y = (2 * np.arange(height) + 1) / height - 1
    return np.stack(np.meshgrid(x, y), axis=-1)

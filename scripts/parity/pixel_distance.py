"""pytorch3d's `dists`: how far each pixel centre is from the outline of the face it shows, squared, negative inside."""

from __future__ import annotations

import numpy as np


def signed_squared_distance(vertices: np.ndarray, faces: np.ndarray, face_index: np.ndarray) -> np.ndarray:
    """[H, W] in the image plane [-1, 1]^2, at pixels whose face_index is not negative; they are inside their face."""
    height, width = face_index.shape
    x = (2 * np.arange(width) + 1) / width - 1
    y = (2 * np.arange(height) + 1) / height - 1
    pixel = np.stack(np.meshgrid(x, y), axis=-1)
    triangle = vertices.astype(np.float64)[faces[np.maximum(face_index, 0)], :2]
    distances = []
    for corner in range(3):
        start, end = triangle[..., corner, :], triangle[..., (corner + 1) % 3, :]
        along = end - start
        length = np.maximum(np.sum(along**2, axis=-1), np.finfo(np.float64).tiny)
        part = np.clip(np.sum((pixel - start) * along, axis=-1) / length, 0, 1)
        distances.append(np.sum((pixel - start - part[..., None] * along) ** 2, axis=-1))
    return -np.min(distances, axis=0)

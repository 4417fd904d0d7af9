"""Points on the surface of a mesh: a triangle and barycentric weights each, found from pixels or places in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from .ties import first_smallest, first_smallest_of_each


@dataclass(frozen=True)
class Embedding:
    face_index: np.ndarray
    barycentric: np.ndarray

    def positions(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        return np.einsum("...lck,...lc->...lk", vertices[faces[self.face_index]], self.barycentric)


def back_project(
    vertices: np.ndarray, face_index: np.ndarray, faces: np.ndarray, allowed: np.ndarray, points: np.ndarray
) -> Embedding:
    """The front-most allowed triangle under each pixel position [L, 2], or the nearest one beside it."""
    seen = (face_index >= 0) & allowed[face_index]
    nearest = np.asarray(distance_transform_edt(~seen, return_distances=False, return_indices=True))
    size = np.array(seen.shape[::-1])
    cell = np.clip(np.floor(points).astype(int), 0, size - 1)
    rows, columns = nearest[:, cell[:, 1], cell[:, 0]]
    index = face_index[rows, columns]
    corners = vertices[faces[index]][..., :2]
    return Embedding(index, _clamped_barycentric(points, corners))


def _clamped_barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)
    safe = np.where(np.abs(area) < 1e-12, 1e-12, area)
    second, third = _cross(points - a, c - a) / safe, _cross(b - a, points - a) / safe
    weights = np.clip(np.stack([1 - second - third, second, third], -1), 0, None)
    return weights / weights.sum(-1, keepdims=True)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def closest_on_surface(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, allowed: np.ndarray) -> Embedding:
    """The nearest point of the allowed triangles to each point [L, 3] (Ericson 2004, closest point on a triangle)."""
    index = np.flatnonzero(allowed)
    corners = vertices[faces[index]]
    found, weights = [], []
    for point in points:
        barycentric = closest_barycentric(point, corners)
        distance = np.linalg.norm(np.einsum("fck,fc->fk", corners, barycentric) - point, axis=1)
        # A point on an edge is as near to both of its faces.
        best = first_smallest(distance)
        found.append(index[best])
        weights.append(barycentric[best])
    return Embedding(np.array(found), np.array(weights))


def closest_barycentric(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Weights [F, 3] of the point of each triangle [F, 3, 3] that lies nearest to `point`."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    scale = np.maximum(d00 * d11 - d01**2, 1e-30)
    second, third = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    inside = np.stack([1 - second - third, second, third], 1)
    candidates = [inside]
    for first, last in ((0, 1), (1, 2), (2, 0)):
        start, end = corners[:, first], corners[:, last]
        along = ((point - start) * (end - start)).sum(1) / np.maximum(((end - start) ** 2).sum(1), 1e-30)
        share = np.clip(along, 0, 1)
        weights = np.zeros((len(corners), 3))
        weights[:, first], weights[:, last] = 1 - share, share
        candidates.append(weights)
    stacked = np.stack(candidates)
    distance = np.linalg.norm(np.einsum("fck,nfc->nfk", corners, stacked) - point, axis=-1)
    distance[0, (inside < 0).any(1)] = np.inf
    return stacked[first_smallest_of_each(distance.T), np.arange(len(corners))]


def mirrored(embedding: Embedding, faces: np.ndarray, mirror: np.ndarray, partner: np.ndarray) -> Embedding:
    """The same with the right side replaced by the mirror image of the left, bit for bit."""
    number = {frozenset(face): k for k, face in enumerate(faces.tolist())}
    face_index, barycentric = embedding.face_index.copy(), embedding.barycentric.copy()
    for point, other in enumerate(partner):
        if other < point:
            continue
        face = faces[face_index[point]]
        image = mirror[face]
        index = number[frozenset(image.tolist())]
        order = [image.tolist().index(corner) for corner in faces[index]]
        if other != point:
            face_index[other], barycentric[other] = index, barycentric[point][order]
        else:
            _onto_midline(face_index, barycentric, point, faces, mirror)
    return Embedding(face_index, barycentric)


def _onto_midline(face_index, barycentric, point, faces, mirror) -> None:
    """A point of the mid-line loses its weight on vertices beside it."""
    own = mirror[faces[face_index[point]]] == faces[face_index[point]]
    weights = barycentric[point] * own
    if weights.sum() > 0:
        barycentric[point] = weights / weights.sum()

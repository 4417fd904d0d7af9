"""The NoW challenge's error: from every point of a scan's face to the nearest one of a predicted surface.

Source: Sanyal et al., "Learning to Regress 3D Face Shape and Expression from an Image without 3D Supervision", CVPR
2019, section 5: a similarity from seven landmarks, refined on the whole face, scale included; then distances, scan to
mesh. The refinement here is iterated closest points (Besl and McKay 1992), not the challenge's own optimiser.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from emoca_jax.evaluation.now import face_sphere, similarity_alignment
from emoca_jax.similarity import Similarity

ROUNDS = 30
"""Of closest points; errors of drawn faces change by less than .01 mm after them."""
CANDIDATES = 12
"""Faces, by their centres, that are looked at for a nearest point: on a mesh of even triangles it is on one of them."""


class ScanErrors(NamedTuple):
    """A prediction laid over a scan, and what is left."""

    distance: Float[np.ndarray, "points"]
    """From each point of the scan to the predicted surface, in the scan's unit."""
    face: Bool[np.ndarray, "points"]
    """Which of them the challenge counts (`face_sphere`)."""
    similarity: Similarity
    """Prediction to scan."""


def scan_to_mesh(
    scan: Float[np.ndarray, "points 3"],
    scan_landmarks: Float[np.ndarray, "7 3"],
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    landmarks: Float[np.ndarray, "7 3"],
) -> ScanErrors:
    """Lay a predicted mesh over a scan and measure all of the scan's points, those beyond the face too.

    scan_landmarks, landmarks: the seven of both (`STATIC_LANDMARKS`). scan and mesh: each in a unit and frame of its
    own. Only points of the face move the prediction.
    """
    scan, vertices = np.asarray(scan, np.float64), np.asarray(vertices, np.float64)
    sphere = face_sphere(scan_landmarks)
    face = np.linalg.norm(scan - sphere.centre, axis=1) < sphere.radius
    found = similarity_alignment(scan_landmarks, landmarks, reflection=False).similarity
    surface = _Surface(vertices, np.asarray(faces))
    for _ in range(ROUNDS):
        nearest = surface.nearest(_undone(found, scan[face]))
        found = similarity_alignment(scan[face], nearest, reflection=False).similarity
    back = _undone(found, scan)
    distance = np.linalg.norm(back - surface.nearest(back), axis=1) * float(found.scale)
    return ScanErrors(distance, face, found)


def _undone(similarity: Similarity, points: np.ndarray) -> np.ndarray:
    return (points - similarity.translation) @ similarity.rotation / similarity.scale


class _Surface:
    """A mesh that is asked for nearest points again and again."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        self.triangles = vertices[faces]
        self.tree = KDTree(self.triangles.mean(axis=1))

    def nearest(self, points: np.ndarray) -> np.ndarray:
        count = min(CANDIDATES, len(self.triangles))
        near = np.asarray(self.tree.query(points, k=count)[1]).reshape(len(points), count)
        corners = self.triangles[near.reshape(-1)]
        closest = trimesh.triangles.closest_point(corners, np.repeat(points, count, axis=0)).reshape(*near.shape, 3)
        best = np.argmin(np.linalg.norm(closest - points[:, None], axis=-1), axis=1)
        return closest[np.arange(len(points)), best]

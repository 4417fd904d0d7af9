"""The NoW challenge's alignment: which part of a scan counts, and the similarity that lays a prediction over it.

Source: Sanyal et al., "Learning to Regress 3D Face Shape and Expression from an Image without 3D Supervision", CVPR
2019, section 5, and the challenge's published protocol. The scan-to-mesh refinement is not part of this file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

STATIC_LANDMARKS = (19, 22, 25, 28, 16, 31, 37)
"""Of the 51 static ones: outer and inner corner of the right eye, inner and outer of the left, nose, mouth corners."""
OUTER_RIGHT, INNER_RIGHT, INNER_LEFT, OUTER_LEFT, NOSE = range(5)
CENTRE_ABOVE_NOSE = 0.3
"""Part of the way from below the nose to the point between the inner eye corners."""
RADIUS = 1.4
"""Times the mean of eye distance and nose length."""


class FaceSphere(NamedTuple):
    """Points of a scan within it belong to the face."""

    centre: np.ndarray
    radius: float


class Similarity(NamedTuple):
    """x -> scale * x @ rotation + translation, for row vectors."""

    scale: float
    rotation: np.ndarray
    """Orthogonal; a reflection where that fits better and is allowed."""
    translation: np.ndarray
    residual: float
    """Sum of squared distances left, as a part of the target's spread about its mean."""

    def apply(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points moved over the target, in its unit."""
        return self.scale * points @ self.rotation + self.translation


def face_sphere(landmarks: Float[np.ndarray, "7 3"]) -> FaceSphere:
    """The part of a scan that counts, from its seven landmarks (STATIC_LANDMARKS' order), in their unit."""
    points = np.asarray(landmarks, np.float64)
    bridge = (points[INNER_RIGHT] + points[INNER_LEFT]) / 2
    along_nose = bridge - points[NOSE]
    eyes = float(np.linalg.norm(points[OUTER_RIGHT] - points[OUTER_LEFT]))
    radius = RADIUS * (eyes + float(np.linalg.norm(along_nose))) / 2
    return FaceSphere(points[NOSE] + CENTRE_ABOVE_NOSE * along_nose, radius)


def similarity_alignment(
    target: Float[np.ndarray, "n 3"], points: Float[np.ndarray, "n 3"], *, reflection: bool = True
) -> Similarity:
    """The similarity that brings `points` nearest to `target` (least squares, closed form by SVD).

    reflection: let it mirror, as the challenge's code does; False keeps a rotation.
    """
    target, points = np.asarray(target, np.float64), np.asarray(points, np.float64)
    target_mean, mean = target.mean(0), points.mean(0)
    target_spread, spread = np.linalg.norm(target - target_mean), np.linalg.norm(points - mean)
    left, stretch, right = np.linalg.svd((target - target_mean).T @ (points - mean) / (target_spread * spread))
    if not reflection and np.linalg.det(right.T @ left.T) < 0:
        right[-1], stretch[-1] = -right[-1], -stretch[-1]
    rotation = right.T @ left.T
    trace = float(stretch.sum())
    scale = float(trace * target_spread / spread)
    return Similarity(scale, rotation, target_mean - scale * mean @ rotation, 1 - trace**2)

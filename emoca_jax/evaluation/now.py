"""The NoW challenge's alignment: which part of a scan counts, and the similarity that lays a prediction over it.

Source: Sanyal et al., "Learning to Regress 3D Face Shape and Expression from an Image without 3D Supervision", CVPR
2019, section 5, and the challenge's published protocol. The scan-to-mesh refinement is not part of this file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from emoca_jax.similarity import Similarity, align_similarity

STATIC_LANDMARKS = (19, 22, 25, 28, 16, 31, 37)
"""Of the 51 static ones: outer and inner corner of the right eye, inner and outer of the left, nose, mouth corners."""
OUTER_RIGHT, INNER_RIGHT, INNER_LEFT, OUTER_LEFT, NOSE = range(5)
CENTRE_ABOVE_NOSE = 0.3
"""Part of the way from below the nose to the point between the inner eye corners."""
RADIUS = 1.4
"""Times the mean of eye distance and nose length."""


class FaceSphere(NamedTuple):
    """Points of a scan within it belong to the face."""

    centre: Float[np.ndarray, "3"]
    radius: float


class Alignment(NamedTuple):
    """A prediction laid over a scan."""

    similarity: Similarity
    residual: float
    """Sum of squared distances left, as a part of the target's spread about its mean."""


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
) -> Alignment:
    """The similarity that brings `points` nearest to `target` (least squares), in float64.

    reflection: let it mirror, as the challenge's code does; False keeps a rotation.
    """
    target, points = np.asarray(target, np.float64), np.asarray(points, np.float64)
    found = align_similarity(points, target, reflection=reflection)
    left = np.sum((found.apply(points) - target) ** 2)
    return Alignment(found, float(left / np.sum((target - target.mean(0)) ** 2)))

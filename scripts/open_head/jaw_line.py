"""The jaw line of the 68 landmarks: for each yaw of the head the visible outline of the face."""

from __future__ import annotations

import numpy as np

from .surface_points import Embedding, closest_on_surface
from .ties import first_largest

LARGEST_YAW = 39
"""Degrees, as in FLAME's table: row 0 to the front, 39 to either side."""


def contour(
    template: np.ndarray, faces: np.ndarray, allowed: np.ndarray, jaw: np.ndarray, centre: np.ndarray
) -> Embedding:
    """[79, 17] the jaw line for each yaw: every point slides along its own meridian to the visible outline.

    `jaw`: positions [17, 3] of the fixed jaw line, right ear to left ear. The meridian of a point is the plane through
    it and the front-back axis through `centre`. On it the point moves forward, never back, to where it stands out
    furthest in the picture: far side points go to the outline, near side points stay (as the 68 are labelled).
    Rows 0..39: the head turned to its left by 0..39 degrees, 40..78: to its right by 1..39.
    """
    yaws = np.radians([*range(LARGEST_YAW + 1), *(-k for k in range(1, LARGEST_YAW + 1))])
    face_index, barycentric = np.zeros((len(yaws), len(jaw)), int), np.zeros((len(yaws), len(jaw), 3))
    for column, point in enumerate(jaw):
        index, weights = _meridian(template, faces, allowed, point, centre)
        places = np.einsum("nck,nc->nk", template[faces[index]], weights)
        outwards = (point - centre)[:2] / np.linalg.norm((point - centre)[:2])
        for row, yaw in enumerate(yaws):
            across = places[:, 0] * np.cos(yaw) + places[:, 2] * np.sin(yaw)
            best = first_largest(outwards[0] * across + outwards[1] * places[:, 1])
            face_index[row, column], barycentric[row, column] = index[best], weights[best]
    return Embedding(face_index, barycentric)


def _meridian(template, faces, allowed, point, centre) -> tuple[np.ndarray, np.ndarray]:
    """Points (faces, weights) along the half-plane through `point` and the z axis at `centre`, from `point` forward."""
    radial = point - centre
    normal = np.array([-radial[1], radial[0], 0]) / np.hypot(radial[0], radial[1])
    height = (template - centre) @ normal
    found, weights = [], []
    for index in np.flatnonzero(allowed & (np.ptp(np.sign(height[faces]), axis=1) > 0)):
        ends = []
        for first, last in ((0, 1), (1, 2), (2, 0)):
            h0, h1 = height[faces[index][[first, last]]]
            if (h0 > 0) != (h1 > 0):
                end = np.zeros(3)
                end[first], end[last] = h1 / (h1 - h0), -h0 / (h1 - h0)
                ends.append(end)
        for share in np.linspace(0, 1, 4) if len(ends) == 2 else ():
            found.append(index)
            weights.append((1 - share) * ends[0] + share * ends[1])
    start = closest_on_surface(point[None], template, faces, allowed)
    index, weights = np.array([start.face_index[0], *found]), np.array([start.barycentric[0], *weights])
    places = np.einsum("nck,nc->nk", template[faces[index]], weights)
    ahead = ((places - centre) @ radial > 0) & (places[:, 2] >= places[0, 2])
    ahead[0] = True
    return index[ahead], weights[ahead]

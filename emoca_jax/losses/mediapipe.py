"""The landmark losses on MediaPipe's face mesh, for a head that knows some of its 478 points.

Predictions are [*B, P, 2 or more] in the order of the head's `mediapipe_index` [P] (105 points for FLAME, 468 for the
open head); targets are the detector's [*B, 478, 2 or more]; x and y count. Pairs below carry MediaPipe's own numbers.
Source: EMOCA v2's MediaPipe losses; pairs read off MediaPipe's canonical face mesh.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.losses.landmarks import Pairs, landmark_distance, pair_distance

MESH_POINTS = 478

UPPER_EYELIDS = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
LOWER_EYELIDS = (7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382)
"""Right eye then left, each from its outer to its inner corner: the n-th of one list faces the n-th of the other."""
UPPER_LIPS = (185, 40, 39, 37, 0, 267, 269, 270, 409, 191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_LIPS = (146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324)
"""Outer line then inner line, each from the right corner to the left."""

EYELID_PAIRS: Pairs = tuple(zip(UPPER_EYELIDS, LOWER_EYELIDS, strict=True))
OFFICIAL_EYELID_PAIRS: Pairs = tuple(zip(sorted(UPPER_EYELIDS), sorted(LOWER_EYELIDS), strict=True))
"""The official code sorts both lists by number, after which 4 of the 14 pairs still face each other."""
LIP_PAIRS: Pairs = tuple(zip(UPPER_LIPS, LOWER_LIPS, strict=True))
MOUTH_CORNER_PAIRS: Pairs = ((78, 308), (61, 291))
"""Inner and outer corners, right and left."""


def mediapipe_landmark_distance(
    predicted: Float[Array, "*batch points _"],
    target: Float[Array, "*batch 478 _"],
    mediapipe_index: Int[Array, "points"],
) -> Float[Array, ""]:
    """Mean absolute difference of the coordinates of the points that the head knows."""
    return landmark_distance(predicted, target[..., mediapipe_index, :])


def mediapipe_eye_distance(
    predicted: Float[Array, "*batch points _"],
    target: Float[Array, "*batch 478 _"],
    mediapipe_index: Int[Array, "points"],
    *,
    official: bool = False,
) -> Float[Array, ""]:
    """How much eyes are open, over 14 pairs of lid points; `official` pairs them as the released models saw them."""
    pairs = OFFICIAL_EYELID_PAIRS if official else EYELID_PAIRS
    return pair_distance(on_mesh(predicted, mediapipe_index), target, pairs)


def mediapipe_lip_distance(
    predicted: Float[Array, "*batch points _"],
    target: Float[Array, "*batch 478 _"],
    mediapipe_index: Int[Array, "points"],
) -> Float[Array, ""]:
    """How far upper and lower lip are apart, over 18 pairs of the outer and inner lip lines."""
    return pair_distance(on_mesh(predicted, mediapipe_index), target, LIP_PAIRS)


def mediapipe_mouth_corner_distance(
    predicted: Float[Array, "*batch points _"],
    target: Float[Array, "*batch 478 _"],
    mediapipe_index: Int[Array, "points"],
) -> Float[Array, ""]:
    """How wide the mouth is, over its inner and outer corners."""
    return pair_distance(on_mesh(predicted, mediapipe_index), target, MOUTH_CORNER_PAIRS)


def on_mesh(
    points: Float[Array, "*batch points width"], mediapipe_index: Int[Array, "points"]
) -> Float[Array, "*batch 478 width"]:
    """Points at their MediaPipe numbers, zeros elsewhere."""
    mesh = jnp.zeros((*points.shape[:-2], MESH_POINTS, points.shape[-1]), points.dtype)
    return mesh.at[..., mediapipe_index, :].set(points)

"""The landmark losses on MediaPipe's face mesh, for a head that knows some of its 478 points.

Predictions are [*B, P, 2 or more] in the order of the head's `mediapipe_index` [P] (105 points for FLAME, 468 for the
open head); targets are the detector's [*B, 478, 2 or more]; x and y count. Pairs below carry MediaPipe's own numbers.
Source: EMOCA v2's MediaPipe losses; pairs read off MediaPipe's canonical face mesh.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.arrays import checks_arguments
from emoca_jax.losses.landmarks import Pairs, landmark_distance, pair_distance
from emoca_jax.mediapipe_points import (
    ALL_POINTS,
    INNER_MOUTH_CORNERS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_LINES,
    OUTER_MOUTH_CORNERS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_LINES,
)

UPPER_EYELIDS = (*RIGHT_UPPER_LID, *LEFT_UPPER_LID)
LOWER_EYELIDS = (*RIGHT_LOWER_LID, *LEFT_LOWER_LID)
"""The n-th of one list faces the n-th of the other."""
UPPER_LIPS = (*UPPER_LIP_LINES[0], *UPPER_LIP_LINES[-1])
LOWER_LIPS = (*LOWER_LIP_LINES[0], *LOWER_LIP_LINES[-1])
"""Outer line then inner line, each from the right corner to the left."""

EYELID_PAIRS: Pairs = tuple(zip(UPPER_EYELIDS, LOWER_EYELIDS, strict=True))
OFFICIAL_EYELID_PAIRS: Pairs = tuple(zip(sorted(UPPER_EYELIDS), sorted(LOWER_EYELIDS), strict=True))
"""The official code sorts both lists by number, after which 4 of the 14 pairs still face each other."""
LIP_PAIRS: Pairs = tuple(zip(UPPER_LIPS, LOWER_LIPS, strict=True))
MOUTH_CORNER_PAIRS: Pairs = (INNER_MOUTH_CORNERS, OUTER_MOUTH_CORNERS)


@checks_arguments
def mediapipe_landmark_distance(
    predicted: Float[Array, "*batch points _"],
    target: Float[Array, "*batch 478 _"],
    mediapipe_index: Int[Array, "points"],
) -> Float[Array, ""]:
    """Mean absolute difference of the coordinates of the points that the head knows."""
    return landmark_distance(predicted, target[..., mediapipe_index, :])


@checks_arguments
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


@checks_arguments
def mediapipe_lip_distance(
    predicted: Float[Array, "*batch points _"],
    target: Float[Array, "*batch 478 _"],
    mediapipe_index: Int[Array, "points"],
) -> Float[Array, ""]:
    """How far upper and lower lip are apart, over 18 pairs of the outer and inner lip lines."""
    return pair_distance(on_mesh(predicted, mediapipe_index), target, LIP_PAIRS)


@checks_arguments
def mediapipe_mouth_corner_distance(
    predicted: Float[Array, "*batch points _"],
    target: Float[Array, "*batch 478 _"],
    mediapipe_index: Int[Array, "points"],
) -> Float[Array, ""]:
    """How wide the mouth is, over its inner and outer corners."""
    return pair_distance(on_mesh(predicted, mediapipe_index), target, MOUTH_CORNER_PAIRS)


@checks_arguments
def on_mesh(
    points: Float[Array, "*batch points width"], mediapipe_index: Int[Array, "points"]
) -> Float[Array, "*batch 478 width"]:
    """Points at their MediaPipe numbers, zeros elsewhere."""
    mesh = jnp.zeros((*points.shape[:-2], ALL_POINTS, points.shape[-1]), points.dtype)
    return mesh.at[..., mediapipe_index, :].set(points)

"""What found landmarks say of eyes and mouths that are shut."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.mediapipe_points import (
    INNER_MOUTH_CORNERS,
    LEFT_EYE_RING,
    LEFT_IRIS,
    LOWER_LIP_LINES,
    RIGHT_EYE_RING,
    RIGHT_IRIS,
    UPPER_LIP_LINES,
)

IRIS_CENTRES = (RIGHT_IRIS[0], LEFT_IRIS[0])
IRIS_HIDDEN, IRIS_SHOWN = 0.11, 0.16
"""Height of the opening between the lids, in its widths, below which the network only guesses where the iris is, and
from which it sees it: drawn shut eyes are found as .08 to .13, open ones of photos as .14 (up) to .34 (surprised)."""
INNER_LIPS = (UPPER_LIP_LINES[-1], LOWER_LIP_LINES[-1])
"""Points above each other on the line between the lips."""
LIPS_CLOSED, LIPS_PARTED = 0.035, 0.07
"""Opening between the lips, in widths of the mouth, up to which they are closed, and from which they are not: closed
lips of photos are found as .00 to .03, smiles that show teeth as .12 and more."""
MOUTH_WIDE = 0.5
"""Opening from which on a mouth is wide open: drawn jaws opened by .9 are found as .43 to .77, a shout and a surprise
of photos as .6 and .8, laughs and talking mouths as .12 to .3."""


def iris_weight(index: Int[Array, "points"], landmarks: Float[Array, "478 3"]) -> Float[Array, "points"]:
    """0 for the iris of an eye that is shut: its gaze would be taken from its lids. 1 for all other points.

    index: which of the 478 each point is. landmarks: in any unit.
    """
    weight = jnp.ones(index.shape)
    for iris, outline in zip(IRIS_CENTRES, (RIGHT_EYE_RING, LEFT_EYE_RING), strict=True):
        half = len(outline) // 2
        ring = landmarks[jnp.array(outline)]
        height = jnp.mean(jnp.linalg.norm(ring[1:half] - ring[half + 1 :], axis=-1))
        opening = height / jnp.linalg.norm(ring[0] - ring[half])
        share = jnp.clip((opening - IRIS_HIDDEN) / (IRIS_SHOWN - IRIS_HIDDEN), 0.0, 1.0)
        weight = jnp.where(index == iris, share, weight)
    return weight


def lips_closed(landmarks: Float[Array, "478 3"]) -> Float[Array, ""]:
    """1 for a closed mouth, 0 for one that is open. landmarks: in any unit."""
    return jnp.clip((LIPS_PARTED - _mouth_opening(landmarks)) / (LIPS_PARTED - LIPS_CLOSED), 0.0, 1.0)


def mouth_wide(landmarks: Float[Array, "478 3"]) -> Float[Array, ""]:
    """1 for a mouth that is wide open, 0 for one whose lips have hardly parted. landmarks: in any unit."""
    return jnp.clip((_mouth_opening(landmarks) - LIPS_PARTED) / (MOUTH_WIDE - LIPS_PARTED), 0.0, 1.0)


def _mouth_opening(landmarks: Float[Array, "478 3"]) -> Float[Array, ""]:
    """Between the lips, in widths of the mouth."""
    upper, lower, corners = (landmarks[jnp.array(line)] for line in (*INNER_LIPS, INNER_MOUTH_CORNERS))
    return jnp.mean(jnp.linalg.norm(upper - lower, axis=-1)) / jnp.linalg.norm(corners[0] - corners[1])

"""The 52 expression units that the network which ships reads off landmarks.

It knows no side: an answer is the mean of the face's and of its mirror image's. Made by scripts/train_unit_reader.py.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emoca_jax.arrays import to_rank
from emoca_jax.emotion.units import ARKIT_UNITS, MIRRORED, knows_units
from emoca_jax.files.kept_programs import kept
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.nets.unit_reader import UnitReader
from emoca_jax.nets.weights import Parameters, load_shipped_weights

ASSET = "unit_reader"


@functools.cache
def load_unit_reader() -> Parameters:
    """The weights that ship."""
    return load_shipped_weights(ASSET)


def mirror_points(mean: Float[np.ndarray, "points 2"]) -> Int[np.ndarray, "points"]:
    """Each point's partner on a symmetric face's other side, or itself."""
    other_side = mean * [-1.0, 1.0]
    return np.argmin(np.sum((other_side[:, None] - mean[None]) ** 2, axis=-1), axis=1)


@kept()
def landmark_units(network: Parameters, landmarks: Float[Array, "*batch 478 _axes"]) -> Float[Array, "*batch 52"]:
    """Strengths of `ARKIT_UNITS`, 0 to 1, of faces whose landmarks were found.

    landmarks: MediaPipe's, x right, y down, in one unit for both; further axes are not looked at. Differentiable.
    """
    points = landmarks[..., jnp.array(EXPRESSION_POINTS), :2]
    return mirrored_mean(network, points)


def mirrored_mean(network: Parameters, points: Float[Array, "*batch 146 2"]) -> Float[Array, "*batch 52"]:
    """`landmark_units` of its points alone."""
    mean = network["params"]["mean"]
    swap = jnp.array([-1.0, 1.0])
    distance = jnp.sum(((mean * swap[None])[:, None] - mean[None]) ** 2, axis=-1)
    partner = jnp.argmin(distance, axis=1)
    other_side = points[..., partner, :] * to_rank(swap, points.ndim)
    told = UnitReader().apply(network, jnp.stack([points, other_side]))
    assert isinstance(told, jax.Array)
    return 0.5 * (told[0] + told[1][..., jnp.asarray(MIRRORED)])


def read_head_units(landmarks: Float[Array, "478 _axes"], names: tuple[str, ...]) -> Float[np.ndarray, "units"] | None:
    """What the network that ships reads, in the order of a head's units; None for a head that names none of ARKit's.

    NaN for units that the network does not know.
    """
    if not knows_units(names):
        return None
    return in_head_order(np.asarray(landmark_units(load_unit_reader(), landmarks)), names)


def in_head_order(units: Float[np.ndarray, "52"], names: tuple[str, ...]) -> Float[np.ndarray, "units"]:
    """Strengths of `ARKIT_UNITS` in the order of a head's units, NaN for units that are none of them."""
    strength: dict[str, float] = dict(zip(ARKIT_UNITS, units.tolist(), strict=True))
    return np.array([strength.get(name, np.nan) for name in names], np.float32)

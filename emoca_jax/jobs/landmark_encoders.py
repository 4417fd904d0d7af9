"""The encoders of the open head that a coarse stage trains: the encoder that ships, and what it cannot tell, beside it.

The one that ships reads landmarks (`fit/one_pass.py`) and stays as it is; light, albedo and what expression lacks are
read off the picture.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.codes import Codes
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader
from emoca_jax.emotion.units import ARKIT_UNITS
from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import LandmarkModel, project
from emoca_jax.fit.one_pass import codes_at_steps, load_code_reader
from emoca_jax.flame.head import FaceHead
from emoca_jax.render.backends.per_image import on_own_devices
from emoca_jax.training.stages.encoders import OpenEncoders


def landmark_encoders(head: FaceHead, landmarks: LandmarkModel, *, seed: int = 0, level: bool = False) -> OpenEncoders:
    """Encoders of the head that ships. landmarks: its `landmark_model`. seed, level: of what E_expression begins with.

    Errors: InputError for a head that the encoder which ships does not know.
    """
    unknown = sorted(set(head.expression_names) ^ set(ARKIT_UNITS))
    if unknown:
        raise InputError(f"the encoder that ships is of another head: units {', '.join(unknown)} differ")
    order = np.array([ARKIT_UNITS.index(name) for name in head.expression_names])

    def of_batch(found: Float[Array, "batch 478 3"], networks: Any) -> Codes:
        units = landmark_units(networks["units"], found)[:, jax.numpy.asarray(order)]
        return jax.vmap(lambda *face: codes_at_steps(landmarks, networks["codes"], *face)[-1])(found, units)

    def off_landmarks(networks: Any, found: Float[Array, "batch 478 3"]) -> Codes:
        # For TPUs XLA finds the singular values of a whole batch (of `closed_form`) on every chip.
        return on_own_devices(of_batch, found, networks)

    return OpenEncoders(head, off_landmarks, shipped_networks(), seed, level)


def found_at(head: FaceHead, landmarks: LandmarkModel, codes: Codes) -> Float[Array, "batch points 3"]:
    """Where the detector would find the head's `mediapipe_index` points, in the image plane. Differentiable.

    A network that follows faces part of the way finds lids and mouth corners beside where they are: points where they
    lie, held to those that it found, would pull units off.
    """
    # The pupils, which `LandmarkModel` knows besides, come last.
    return jax.vmap(lambda one: project(landmarks, one))(codes)[:, : head.mediapipe_index.shape[0]]


def shipped_networks() -> dict[str, Any]:
    """What reads units off landmarks, and codes off both."""
    return {"codes": load_code_reader(), "units": load_unit_reader()}

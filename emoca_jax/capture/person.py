"""Which pixels around a face show a person, hair and clothes included, and which what is behind."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from emoca_jax.capture.crop import cut
from emoca_jax.files.kept_programs import kept
from emoca_jax.nets.mediapipe.selfie_segmentation import SEGMENTATION_SIZE, SelfieSegmentation
from emoca_jax.nets.weights import Parameters, load_shipped_weights
from emoca_jax.products import CUBLAS

PERSON_PIXELS = 172
"""Of the network's 256 that lie across the crop of the face. Of crops 1 to 3.5 times as wide, tried on eleven photos,
those around 1.5 have head and shoulders whole and outlines sharp; in some of the widest the person is lost."""
BESIDE = (SEGMENTATION_SIZE - PERSON_PIXELS) // 2


def load_person_network() -> Parameters:
    """Parameters of the shipped segmentation network."""
    return load_shipped_weights("selfie_segmentation")


def person_in_crop(
    parameters: Parameters, photo: UInt8[np.ndarray, "height width 3"], to_pixels: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "172 172"]:
    """How likely each pixel of a crop's plane shows a person, 0 to 1; by any person, not that of the face alone.

    to_pixels: maps the plane [-1, 1]^2 to pixels of the photo.
    """
    step, first = 2 / PERSON_PIXELS, -SEGMENTATION_SIZE / PERSON_PIXELS
    from_pixels = np.array([[step, 0, first], [0, step, first], [0, 0, 1]], np.float32)
    picture = cut(photo, (to_pixels @ from_pixels)[:2], (SEGMENTATION_SIZE, SEGMENTATION_SIZE))
    return np.asarray(_person(parameters, picture))


@kept(compiler_options=CUBLAS)
def _person(parameters: Parameters, picture: UInt8[Array, "256 256 3"]) -> Float[Array, "172 172"]:
    logits: Any = SelfieSegmentation().apply(parameters, picture[None].astype(np.float32) / 255)
    within = slice(BESIDE, BESIDE + PERSON_PIXELS)
    return jax.nn.sigmoid(logits[0, within, within])

"""What one pass of an encoder tells of a face, without drawing or texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.codes import Codes
from emoca_jax.emotion.reading import EmotionReading, units_reading
from emoca_jax.flame.head import FaceHead


@dataclass(frozen=True, kw_only=True)
class EncodedFace(PhotoFace):
    """What one pass tells of a face, as NumPy arrays: nothing is drawn, nothing unwrapped."""

    crop: Float[np.ndarray, "3 3"]
    """Maps (x, y, 1) of the encoded crop's plane to pixels of `photo`, as of `FaceResult`."""
    codes: Codes
    """No batch dimensions."""
    vertices: Float[np.ndarray, "vertices 3"]
    """Posed as in the photo, metres, world frame."""
    emotion: EmotionReading
    """What EMO-MLP reads in the expression."""


def encoded_face(
    head: FaceHead,
    found: PhotoFace,
    to_pixels: Float[np.ndarray, "3 3"],
    codes: Codes,
    vertices: Float[np.ndarray, "vertices 3"],
) -> EncodedFace:
    """Of a face that was found, with what EMO-MLP reads in its codes."""
    told = units_reading(head, codes)
    return EncodedFace(**vars(found), crop=to_pixels, codes=codes, vertices=vertices, emotion=told)

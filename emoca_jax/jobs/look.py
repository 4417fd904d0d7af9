"""One face of a photo, cut out and read by the networks that ship."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float, UInt8

from emoca_jax.capture.crop import cut
from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.capture.person import person_in_crop
from emoca_jax.files.kept_programs import kept
from emoca_jax.nets.emotion.crop import expression_crop
from emoca_jax.nets.emotion.open import Parameters, read_expression
from emoca_jax.nets.encoders import CROP_MARGIN, IMAGE_SIZE
from emoca_jax.objectives.photo import SeenFace
from emoca_jax.products import CUBLAS

CROP_SIZE = IMAGE_SIZE
"""Side of the crop that is fitted or encoded, pixels (EMOCA's image size)."""


def look(networks: Parameters, found: PhotoFace, *, person: Parameters | None = None) -> SeenFace:
    """Cut the square that is fitted out of a face's photo, its landmarks with it, and read its expression.

    person: the network that tells people from what is behind them, for whoever fits a head or unwraps its texture.
    """
    to_pixels = fit_crop(found.landmarks)
    image = cut_plane(found.photo, to_pixels, CROP_SIZE)
    plane = to_plane(found.landmarks, to_pixels)
    crop = _expression_crop(plane)
    return SeenFace(
        to_pixels=jax.device_put(to_pixels),
        image=jax.device_put(image),
        landmarks=jax.device_put(plane),
        crop=crop,
        read=read(networks, image, crop),
        person=None if person is None else jax.device_put(person_in_crop(person, found.photo, to_pixels)),
    )


def fit_crop(landmarks: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "3 3"]:
    """Plane [-1, 1]^2 to photo pixels, for the upright square around all landmarks."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    half = CROP_MARGIN * np.mean(high - low) / 2
    centre = (low + high) / 2
    return np.array([[half, 0, centre[0]], [0, half, centre[1]], [0, 0, 1]], np.float32)


def to_plane(landmarks: Float[np.ndarray, "478 3"], to_pixels: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "478 3"]:
    """Photo pixels to the crop's plane; depth in the plane's unit."""
    return ((landmarks - [*to_pixels[:2, 2], 0.0]) / to_pixels[0, 0]).astype(np.float32)


def cut_plane(
    pixels: UInt8[np.ndarray, "height width 3"], to_pixels: Float[np.ndarray, "3 3"], size: int
) -> Float[np.ndarray, "size size 3"]:
    """The photo as seen by the crop's plane, at `size` pixels a side, RGB in [0, 1]."""
    from_crop_pixels = np.array([[2 / size, 0, -1], [0, 2 / size, -1], [0, 0, 1]], np.float32)
    return cut(pixels, (to_pixels @ from_crop_pixels)[:2], (size, size)) / np.float32(255)


# Photo and rendering are read by one program.
read = kept(compiler_options=CUBLAS)(read_expression)
_expression_crop = kept()(expression_crop)

"""The faces of a photo, one by one: where every way from pixels to codes or emotions begins."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from emoca_jax.capture.detect import DetectedFace, detect_faces, detect_largest, largest_face
from emoca_jax.capture.images import Photo
from emoca_jax.errors import InputError
from emoca_jax.nets.emotion.open import Parameters


@dataclass(frozen=True, kw_only=True)
class PhotoFace:
    """One face of one photo, as found.

    Pixel coordinates are x right, y down, with the centre of the first pixel at (0.5, 0.5); they refer to `photo`.
    A photo too large to work on is `photo_scale` times larger in its file: coordinate in the file = photo_scale *
    coordinate here. Tables (.npz, .json) hold coordinates in the file.
    """

    photo: UInt8[np.ndarray, "height width 3"]
    photo_scale: Float[np.ndarray, "2"]
    """Pixels of the file per pixel of `photo`, x and y."""
    source: Path | None
    """File the photo came from, None for an array."""
    face: int
    """Index within the photo, 0 for the largest face."""
    box: Float[np.ndarray, "4"]
    """x0, y0, x1, y1 in pixels of `photo`."""
    score: float
    """Confidence of the detector in [0, 1]."""
    landmarks: Float[np.ndarray, "478 3"]
    """Detected points, pixels of `photo`; z in the same unit, negative towards the viewer; 468-477 are the irises."""

    @property
    def source_name(self) -> str:
        """Name of the photo's file as it can be printed, "photo" for an array."""
        # Bytes of a name that are no UTF-8 would break whoever prints or stores it.
        return os.fsencode(self.source.name).decode(errors="replace") if self.source else "photo"


def found_faces(detector: Parameters, photo: Photo, faces: Literal["all", "largest"]) -> Iterator[PhotoFace]:
    """Every face of a photo, largest first, or only the largest that is no doubtful one (see `largest_face`).

    Errors: InputError where the photo shows no face, or `faces` is neither.
    """
    if faces not in ("all", "largest"):
        raise InputError(f"faces must be 'all' or 'largest', not {faces!r}.")
    if faces == "largest":
        largest = detect_largest(detector, photo.pixels)
        found = [] if largest is None else [largest]
    else:
        found = detect_faces(detector, photo.pixels)
    _check_found(found, photo)
    for index, face in enumerate(found):
        yield _of_photo(face, photo, index)


def largest_and_others(detector: Parameters, photo: Photo) -> tuple[PhotoFace, int]:
    """The largest face of a photo that is no doubtful one, and how many others it shows.

    Errors: InputError where the photo shows no face.
    """
    found = detect_faces(detector, photo.pixels)
    _check_found(found, photo)
    return _of_photo(largest_face(found), photo, 0), len(found) - 1


def _check_found(found: Sequence[DetectedFace], photo: Photo) -> None:
    """Errors: InputError where there is none."""
    if not found:
        raise InputError(
            f"{photo.source or 'This image'} shows no face that can be found: use a photo in which a face is at least "
            "5 % of the image's height and not covered."
        )


def _of_photo(face: DetectedFace, photo: Photo, index: int) -> PhotoFace:
    return PhotoFace(
        photo=photo.pixels,
        photo_scale=photo.scale,
        source=photo.source,
        face=index,
        box=face.box,
        score=float(face.score),
        landmarks=face.landmarks,
    )

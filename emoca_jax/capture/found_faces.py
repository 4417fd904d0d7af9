"""The faces of a photo, one by one: where every way from pixels to codes or emotions begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from emoca_jax.capture.detect import DetectedFace, detect_faces
from emoca_jax.capture.images import Photo
from emoca_jax.errors import InputError
from emoca_jax.nets.emotion.open import Parameters


class FoundFace(NamedTuple):
    """One face of a photo, and when work on it began."""

    photo: Photo
    face: DetectedFace
    index: int
    """Within the photo, 0 for the largest face."""
    began: float
    """`time.perf_counter()`."""


def found_faces(detector: Parameters, photo: Photo, faces: Literal["all", "largest"]) -> Iterator[FoundFace]:
    """Every face of a photo, largest first, or only the largest; time starts when a face is asked for.

    Errors: InputError where the photo shows no face.
    """
    found = detect_faces(detector, photo.pixels)
    if not found:
        raise InputError(
            f"{photo.source or 'This image'} shows no face that can be found: use a photo in which a face is at least "
            "5 % of the image's height and not covered."
        )
    for index, face in enumerate(found[:1] if faces == "largest" else found):
        yield FoundFace(photo, face, index, time.perf_counter())

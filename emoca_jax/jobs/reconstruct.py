"""Photo in, faces out: detect, then fit (the open model) or encode (a converted one)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from emoca_jax.capture.found_faces import PhotoFace, found_faces
from emoca_jax.capture.images import Photo, as_photo
from emoca_jax.errors import InputError, checked_path
from emoca_jax.jobs.open_encoder import (
    EncodedFace,
    OpenEncoderModel,
    encode_open,
    encode_quickly,
    is_open_encoder,
    load_open_encoder,
)
from emoca_jax.jobs.open_model import OPEN_MODEL, OpenModel, fitted_face, load_open_model
from emoca_jax.jobs.result import FaceResult
from emoca_jax.jobs.trained_model import TrainedModel, encode_photo, load_trained_model
from emoca_jax.objectives.photo import FitWeights


def load_model(
    name: str | Path = OPEN_MODEL, *, head: str | Path | None = None, official: bool = False
) -> OpenModel | OpenEncoderModel | TrainedModel:
    """What `reconstruct` needs: "open", a folder made by `emoca convert` (FOLDER/NAME for one of its models), or one
    that a training run left (FOLDER/model).

    head: for the open model, "open" (default) or a converted FLAME head from a file or folder; a converted model has
    its own. official: a converted model follows the reference's bugs too, for numbers equal to its.
    Errors: InputError where something cannot be read, or head or official do not go with the model.
    """
    if checked_path("name", name) != OPEN_MODEL:
        if head is not None:
            raise InputError("A converted model brings its own head: leave out `head` (--head), or the model.")
        if not is_open_encoder(name):
            return load_trained_model(name, official=official)
    if official:
        raise InputError("The open head has no official counterpart: `official` (--official) needs a converted model.")
    return load_open_model(head or OPEN_MODEL) if name == OPEN_MODEL else load_open_encoder(name)


def reconstruct(
    model: OpenModel | OpenEncoderModel | TrainedModel,
    image: str | Path | Image.Image | UInt8[np.ndarray, "height width 3"] | Photo,
    *,
    faces: Literal["all", "largest"] = "all",
    weights: FitWeights | None = None,
) -> list[FaceResult]:
    """Every face of a photo as an animatable head, largest first.

    image: a file, a PIL image (the same as its file), or an array as `images.check_array` takes it. weights: of the
    open model's fit. Errors: InputError where the photo cannot be read or shows no face.
    """
    photo = image if isinstance(image, Photo) else as_photo(image)
    weights = weights or FitWeights()

    def face_of(face: PhotoFace) -> FaceResult:
        if isinstance(model, TrainedModel):
            return encode_photo(model, face)
        return encode_open(model, face) if isinstance(model, OpenEncoderModel) else fitted_face(model, face, weights)

    return [face_of(face) for face in found_faces(model.detector, photo, faces)]


def encode_faces(
    model: OpenEncoderModel,
    image: str | Path | Image.Image | UInt8[np.ndarray, "height width 3"] | Photo,
    *,
    faces: Literal["all", "largest"] = "all",
) -> list[EncodedFace]:
    """Every face of a photo as codes, posed vertices and emotion, in one pass, without drawing or texture.

    For an encoder of the open head (FOLDER/model of a training run). image, faces, errors: as of `reconstruct`, which
    gives what can be saved.
    """
    if not isinstance(model, OpenEncoderModel):
        raise InputError("One pass needs an encoder of the open head: load_model(FOLDER/model of a training run).")
    photo = image if isinstance(image, Photo) else as_photo(image)
    return [encode_quickly(model, face) for face in found_faces(model.detector, photo, faces)]

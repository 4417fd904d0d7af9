"""Photo in, faces out: detect, then fit (the open model) or encode (a converted or trained one)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from emoca_jax.capture.found_faces import PhotoFace, found_faces
from emoca_jax.capture.images import Photo, as_photo
from emoca_jax.errors import InputError
from emoca_jax.jobs.choice import METHODS, NO_ENCODER, NOT_OFFICIAL, OPEN_MODEL, Method, check_choice, only_encodes
from emoca_jax.jobs.encoded_face import EncodedFace
from emoca_jax.jobs.face_model import checked_model
from emoca_jax.jobs.open_encoder import (
    OpenEncoderModel,
    encode_open,
    encode_quickly,
    is_open_encoder,
    load_open_encoder,
)
from emoca_jax.jobs.open_model import OpenModel, encode_face, fitted_face, load_open_model
from emoca_jax.jobs.result import FaceResult
from emoca_jax.jobs.trained_model import TrainedModel, encode_photo, load_trained_model
from emoca_jax.objectives.photo import FitWeights

NOT_QUICK = "`encode_faces` needs an encoder of the open head: the open model, or RUN/model; others: `reconstruct`."
AnyModel = OpenModel | OpenEncoderModel | TrainedModel


def load_model(name: str | Path = OPEN_MODEL, *, head: str | Path | None = None, official: bool = False) -> AnyModel:
    """What `reconstruct` needs: "open", a folder made by `emoca convert` (FOLDER/NAME for one of its models), or one
    that a training run left (FOLDER/model).

    head: for the open model, "open" (default) or a converted FLAME head from a file or folder; a converted model has
    its own. official: a converted model follows the reference's bugs too, for numbers equal to its.
    Errors: InputError where something cannot be read, or head or official do not go with the model.
    """
    check_choice(name, head=head, official=official)
    if str(name) == OPEN_MODEL:
        return load_open_model(head or OPEN_MODEL)
    if not is_open_encoder(name):
        return load_trained_model(name, official=official)
    if official:
        raise InputError(NOT_OFFICIAL)
    return load_open_encoder(name)


def reconstruct(
    model: AnyModel,
    image: str | Path | Image.Image | UInt8[np.ndarray, "height width 3"] | Photo,
    *,
    faces: Literal["all", "largest"] = "all",
    weights: FitWeights | None = None,
    method: Method | None = None,
) -> list[FaceResult]:
    """Every face of a photo as an animatable head, largest first.

    image: a file, a PIL image (the same as its file), or an array as `images.check_array` takes it. weights: of the
    open model's fit. method: "fit" (by landmarks, then through the renderer), "landmarks" (by them alone) or "encoder"
    (one pass) with the open model; a converted or trained one encodes; None: what the model is for.
    Errors: InputError where the photo cannot be read or shows no face, or the method is not one of the model's.
    """
    check_method(checked_model(model), method)
    photo = image if isinstance(image, Photo) else as_photo(image)
    weights = weights or FitWeights()

    def face_of(face: PhotoFace) -> FaceResult:
        if isinstance(model, TrainedModel):
            return encode_photo(model, face)
        if isinstance(model, OpenEncoderModel):
            return encode_open(model, face)
        return fitted_face(model, face, weights, method=method or "fit")

    return [face_of(face) for face in found_faces(model.detector, photo, faces)]


def check_method(model: AnyModel, method: str | None) -> None:
    """Errors: InputError where a model does not go from photo to codes in that way."""
    if method is None:
        return
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, not {method!r}.")
    if method == "encoder" and isinstance(model, OpenModel) and model.encoder is None:
        raise InputError(NO_ENCODER)
    if method != "encoder" and not isinstance(model, OpenModel):
        raise InputError(only_encodes(method))


def encode_faces(
    model: OpenModel | OpenEncoderModel,
    image: str | Path | Image.Image | UInt8[np.ndarray, "height width 3"] | Photo,
    *,
    faces: Literal["all", "largest"] = "all",
) -> list[EncodedFace]:
    """Every face of a photo as codes, posed vertices and emotion, in one pass, without drawing or texture.

    For the open model, or an encoder that was trained for the open head (FOLDER/model of a run). image, faces, errors:
    as of `reconstruct`, which gives what can be saved.
    """
    if not isinstance(model, OpenModel | OpenEncoderModel):
        raise InputError(NOT_QUICK)
    photo = image if isinstance(image, Photo) else as_photo(image)
    found = found_faces(model.detector, photo, faces)
    if isinstance(model, OpenEncoderModel):
        return [encode_quickly(model, face) for face in found]
    return [encode_face(model, face) for face in found]

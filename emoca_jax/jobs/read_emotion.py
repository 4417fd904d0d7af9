"""Photo in, emotion out: networks read every face off its photo, and off its 3D face where that is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from emoca_jax.capture.detect import load_networks
from emoca_jax.capture.found_faces import PhotoFace, found_faces
from emoca_jax.capture.images import Photo, as_photo
from emoca_jax.emotion.networks import (
    CODES_NETWORK,
    CODES_NETWORK_NAME,
    IMAGE_NETWORKS,
    load_image_networks,
    read_codes,
    read_crop,
    takes_detail,
)
from emoca_jax.emotion.pictures import picture_networks
from emoca_jax.emotion.reading import EmotionReading, photo_reading, picture_reading, reading_of, units_reading
from emoca_jax.errors import InputError
from emoca_jax.faces import EmotionResult
from emoca_jax.jobs.choice import OPEN_MODEL, check_drawn
from emoca_jax.jobs.face_model import checked_model
from emoca_jax.jobs.look import look
from emoca_jax.jobs.open_model import OpenModel, fitted_face, load_open_model
from emoca_jax.jobs.trained_model import load_encoders
from emoca_jax.model import EncoderVariables, encode
from emoca_jax.model_folder import ModelFolder, read_model_folder
from emoca_jax.nets.emotion.open import Parameters, load_expression_networks
from emoca_jax.objectives.photo import FitWeights


@dataclass(frozen=True)
class EmotionModel:
    """What finds a face, brings it before emotion networks, and reads it."""

    detector: Parameters
    expression: Parameters
    reads_open: bool
    """Whether the networks that ship read the photo."""
    drawn: bool
    """Whether pictures are drawn ones, which of those the picture reader alone reads."""
    images: dict[str, Parameters]
    """Image networks by part of a converted folder."""
    encoders: EncoderVariables | None
    """Give the codes that `codes` reads; None where the 3D face is not read by a network."""
    codes: Parameters | None
    fitted: OpenModel | None
    """Fits the head whose units are read; None where that was not asked for."""


def load_emotion_model(name: str | Path, *, from_3d: bool = False, drawn: bool = False) -> EmotionModel:
    """What `read_emotion` needs: "open", or a folder made by `emoca convert` (FOLDER/NAME for one of its models).

    from_3d: read the 3D face, too, which takes a fit (open) or the encoders (a folder). drawn: pictures are renderings,
    no photos; what ships then reads them by the one network that has learned from drawn faces. Errors: InputError where
    the folder cannot be read or holds no network that can do what is asked.
    """
    check_drawn(name, drawn=drawn)
    if str(name) == OPEN_MODEL:
        return EmotionModel(
            detector=load_networks(),
            expression=load_expression_networks(),
            reads_open=True,
            drawn=drawn,
            images={},
            encoders=None,
            codes=None,
            fitted=load_open_model(OPEN_MODEL) if from_3d else None,
        )
    folder = read_model_folder(name)
    codes = folder.variables(CODES_NETWORK) if from_3d and _reads_codes(folder) else None
    images = load_image_networks(folder)
    if (from_3d or not images) and codes is None:
        _tell_what_is_missing(folder, images=bool(images))
    return EmotionModel(
        detector=load_networks(),
        expression=load_expression_networks(),
        reads_open=False,
        drawn=False,
        images=images,
        encoders=None if codes is None else load_encoders(folder, detail=takes_detail(codes)),
        codes=jax.device_put(codes),
        fitted=None,
    )


def _tell_what_is_missing(folder: ModelFolder, *, images: bool) -> NoReturn:
    where = "(`emoca fetch-help` says where they come from)."
    if _reads_codes(folder):
        raise InputError(
            f"{folder.path} holds no network that reads photos, but EMO-MLP: add --from-3d, "
            f"or convert a run folder of EMOCA's EmotionRecognition or emonet_8.pth into it {where}"
        )
    if folder.has(CODES_NETWORK):
        raise InputError(
            f"{folder.path} holds EMO-MLP, which reads the codes of a model: convert an EMOCA run folder or "
            f"deca_model.tar into it {where}"
        )
    if images:
        raise InputError(
            f"{folder.path} holds no EMO-MLP, which reads the 3D face: leave --from-3d out, or convert the run folder "
            f"EMO-MLP of EMOCA's EmotionRecognition into it {where}"
        )
    raise InputError(
        f"{folder.path} holds no emotion network: convert a run folder of EMOCA's EmotionRecognition or "
        f"emonet_8.pth into it {where}"
    )


def read_emotion(
    model: EmotionModel,
    image: str | Path | Image.Image | UInt8[np.ndarray, "height width 3"] | Photo,
    *,
    faces: Literal["all", "largest"] = "all",
) -> list[EmotionResult]:
    """What every network of the model reads in every face of a photo, largest face first; networks on photos first.

    image: a file, a PIL image (the same as its file), or an array as `images.check_array` takes it. Errors: InputError
    where the photo cannot be read or shows no face.
    """
    photo = image if isinstance(image, Photo) else as_photo(image)
    results = []
    for found in found_faces(checked_model(model, part="fitted", loader="load_emotion_model").detector, photo, faces):
        began = time.perf_counter()
        readings = tuple(_off_the_photo(model, found)) if model.fitted is None else _fitted(model, model.fitted, found)
        results.append(EmotionResult(**vars(found), readings=readings, seconds=time.perf_counter() - began))
    return results


def _fitted(model: EmotionModel, fitted: OpenModel, found: PhotoFace) -> tuple[EmotionReading, ...]:
    """Off the photo, as without a fit, and off the head fitted to it."""
    result = fitted_face(fitted, found, FitWeights())
    return (*_off_the_photo(model, found), units_reading(result.head, result.codes))


def _off_the_photo(model: EmotionModel, found: PhotoFace) -> Iterator[EmotionReading]:
    """Off the crop that EMOCA encodes, and off its codes."""
    seen = look(model.expression, found)
    if model.reads_open:
        networks = picture_networks(model.expression, model.detector["mesh"])
        yield picture_reading(networks, seen.image, seen.crop) if model.drawn else photo_reading(networks, seen)
    crop = np.asarray(seen.image)
    for part, variables in model.images.items():
        yield reading_of(IMAGE_NETWORKS[part], read_crop(part, variables, crop, seen.crop))
    if model.encoders is not None and model.codes is not None:
        codes = jax.tree.map(lambda leaf: leaf[0], encode(model.encoders, jnp.asarray(crop)[None]))
        yield reading_of(CODES_NETWORK_NAME, read_codes(model.codes, codes))


def _reads_codes(folder: ModelFolder) -> bool:
    """Whether the folder can bring a face's codes before EMO-MLP; without a model there are no encoders."""
    return folder.has(CODES_NETWORK) and folder.name is not None and folder.has("flame_encoder")

"""Photo in, emotion out: every network there is reads every face."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
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
from emoca_jax.emotion.reading import EmotionReading, reading_of
from emoca_jax.emotion.rule import action_units, affect_from_classes, emotion_intensities
from emoca_jax.errors import InputError, checked_path
from emoca_jax.faces import EmotionResult, ReconstructedFace
from emoca_jax.jobs.look import look
from emoca_jax.jobs.open_model import OPEN_MODEL, OpenModel, fitted_face, load_open_model
from emoca_jax.jobs.trained_model import load_encoders
from emoca_jax.model import EncoderVariables, encode
from emoca_jax.model_folder import ModelFolder, read_model_folder
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES
from emoca_jax.nets.emotion.open import Parameters, load_expression_networks
from emoca_jax.objectives.photo import FitWeights

OPEN_HEAD_NAME = "open head (3D)"
"""All by rule from the fitted head's expression units: no network that ships reads codes."""


@dataclass(frozen=True)
class EmotionModel:
    """The emotion networks of a converted folder, and what brings a face before them."""

    detector: Parameters
    expression: Parameters
    images: dict[str, Parameters]
    """Image networks by part of the folder."""
    encoders: EncoderVariables | None
    """Give the codes that `codes` reads; None where the 3D face cannot be read."""
    codes: Parameters | None


def load_emotion_model(name: str | Path) -> EmotionModel | OpenModel:
    """What `read_emotion` needs: "open", or a folder made by `emoca convert` (FOLDER/NAME for one of its models).

    Errors: InputError where the folder cannot be read or holds no emotion network.
    """
    if checked_path("name", name) == OPEN_MODEL:
        return load_open_model(OPEN_MODEL)
    folder = read_model_folder(name)
    codes = folder.variables(CODES_NETWORK) if _reads_codes(folder) else None
    images = load_image_networks(folder)
    if not images and codes is None and folder.has(CODES_NETWORK):
        raise InputError(
            f"{folder.path} holds EMO-MLP, which reads the codes of a model: convert an EMOCA run folder or "
            "deca_model.tar into it (`emoca fetch-help` says where they come from)."
        )
    if not images and codes is None:
        raise InputError(
            f"{folder.path} holds no emotion network: convert a run folder of EMOCA's EmotionRecognition or "
            "emonet_8.pth into it (`emoca fetch-help` says where they come from)."
        )
    return EmotionModel(
        detector=load_networks(),
        expression=load_expression_networks(),
        images=images,
        encoders=None if codes is None else load_encoders(folder, detail=takes_detail(codes)),
        codes=jax.device_put(codes),
    )


def read_emotion(
    model: EmotionModel | OpenModel,
    image: str | Path | Image.Image | UInt8[np.ndarray, "height width 3"] | Photo,
    *,
    faces: Literal["all", "largest"] = "all",
) -> list[EmotionResult]:
    """What every network reads in every face of a photo, largest face first.

    image: a file, a PIL image (the same as its file), or an array as `images.check_array` takes it. Errors: InputError
    where the photo cannot be read or shows no face.
    """
    photo = image if isinstance(image, Photo) else as_photo(image)
    results = []
    for found in found_faces(model.detector, photo, faces):
        began = time.perf_counter()
        readings = _fitted(model, found) if isinstance(model, OpenModel) else _trained(model, found)
        results.append(EmotionResult(**vars(found), readings=readings, seconds=time.perf_counter() - began))
    return results


def _fitted(model: OpenModel, found: PhotoFace) -> tuple[EmotionReading, ...]:
    """Off the photo, and off the head fitted to it."""
    result = fitted_face(model, found, FitWeights())
    emotion = result.emotion
    return (
        EmotionReading(emotion.classes_by, emotion.photo, *affect_from_classes(emotion.photo)),
        EmotionReading(OPEN_HEAD_NAME, shares_of_units(result), emotion.valence, emotion.arousal),
    )


def shares_of_units(result: ReconstructedFace) -> dict[str, float]:
    """Share of each class in what a head with named expression units shows; they sum to 1.

    Basic emotions by their intensity (see `emotion.rule`), neutral by what the strongest of them leaves of 1.
    """
    shown = _intensities(result.codes.expression, result.head.expression_names)
    intensity = {name: float(value) for name, value in shown.items()}
    intensity = {"neutral": 1 - max(intensity.values())} | intensity
    total = sum(intensity.values())
    return {name: intensity[name] / total for name in AFFECTNET_CLASSES}


@functools.partial(jax.jit, static_argnames="names")
def _intensities(expression: Float[Array, "units"], names: tuple[str, ...]) -> dict[str, Float[Array, ""]]:
    return emotion_intensities(action_units(expression, names))


def _trained(model: EmotionModel, found: PhotoFace) -> tuple[EmotionReading, ...]:
    """Off the crop that EMOCA encodes, and off its codes."""
    crop = np.asarray(look(model.expression, found).image)
    readings = [
        reading_of(IMAGE_NETWORKS[part], read_crop(part, variables, crop)) for part, variables in model.images.items()
    ]
    if model.encoders is not None and model.codes is not None:
        codes = jax.tree.map(lambda leaf: leaf[0], encode(model.encoders, jnp.asarray(crop)[None]))
        readings.append(reading_of(CODES_NETWORK_NAME, read_codes(model.codes, codes)))
    return tuple(readings)


def _reads_codes(folder: ModelFolder) -> bool:
    """Whether the folder can bring a face's codes before EMO-MLP; without a model there are no encoders."""
    return folder.has(CODES_NETWORK) and folder.name is not None and folder.has("flame_encoder")

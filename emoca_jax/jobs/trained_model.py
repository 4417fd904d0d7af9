"""Codes by converted encoders: what EMOCA and DECA do with a photo, from the folder that `emoca convert` made."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.capture.detect import load_networks
from emoca_jax.capture.found_faces import FoundFace
from emoca_jax.capture.look import CROP_SIZE, OPEN_NETWORKS, SeenFace, cut_plane, look, probabilities_by_name, read
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel, detail_model
from emoca_jax.emotion.networks import (
    CODES_NETWORK,
    CODES_NETWORK_NAME,
    IMAGE_NETWORKS,
    probabilities,
    read_codes,
    read_photo,
)
from emoca_jax.fit.inner_landmarks import with_landmarks
from emoca_jax.fit.landmarks import LandmarkModel, landmark_model
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.assemble import Affect, ReadClasses, assemble
from emoca_jax.jobs.result import FaceResult
from emoca_jax.model import EncoderVariables, decode, encode
from emoca_jax.model_folder import ModelFolder, read_model_folder
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.detail_decoder import INNER_EPSILON
from emoca_jax.nets.emotion.open import Parameters, load_expression_networks
from emoca_jax.nets.encoders import inference_variables
from emoca_jax.texture.layout import TEXTURE_SIZE, TextureLayout, texture_layout
from emoca_jax.texture.unwrap import unwrap

EMOTION_NETWORK = "emotion_resnet50"
"""The one of EMOCA's loss, which sees photo and rendering."""


@dataclass(frozen=True)
class TrainedModel:
    """Encoders, head and detail stage of one converted model, and the networks around them."""

    name: str
    """Its name and variant."""
    head: FaceHead
    encoders: EncoderVariables
    detail: DetailModel | None
    emotion: Parameters | None
    """The emotion ResNet-50, which reads photo and rendering; the open networks do where it was not converted."""
    emotion_from_codes: Parameters | None
    """EMO-MLP, which tells valence and arousal of the 3D face."""
    landmarks: LandmarkModel
    layout: TextureLayout
    detector: Parameters
    expression: Parameters
    official: bool


def load_trained_model(path: str | Path, *, official: bool = False) -> TrainedModel:
    """One model of a converted folder, its batch norms folded into the convolutions.

    official: follow the reference's bugs. Errors: InputError where the folder lacks a part that the model needs.
    """
    folder = read_model_folder(path)
    head = jax.device_put(with_landmarks(folder.head))
    return TrainedModel(
        name=f"{folder.name} ({folder.variant})",
        head=head,
        encoders=load_encoders(folder, detail=folder.has("detail_encoder")),
        detail=_detail(folder, head, official),
        emotion=_folded(folder, EMOTION_NETWORK) if folder.has(EMOTION_NETWORK) else None,
        emotion_from_codes=_optional(folder, CODES_NETWORK),
        landmarks=landmark_model(head),
        layout=texture_layout(head, TEXTURE_SIZE),
        detector=load_networks(),
        expression=load_expression_networks(),
        official=official,
    )


def load_encoders(folder: ModelFolder, *, detail: bool) -> EncoderVariables:
    """The encoders of a converted model in their fastest form for this machine. detail: E_detail as well.

    Errors: InputError where one is missing.
    """

    def load(part: str) -> dict:
        winograd = jax.default_backend() == "cpu"
        return jax.device_put(inference_variables(folder.variables(part), winograd=winograd))

    return EncoderVariables(
        flame=load("flame_encoder"),
        expression=None if folder.variant == "deca" else load("expression_encoder"),
        detail=load("detail_encoder") if detail else None,
    )


def _folded(folder: ModelFolder, part: str) -> dict:
    return jax.device_put(fold_batch_norms(folder.variables(part)))


def _optional(folder: ModelFolder, part: str) -> dict | None:
    return jax.device_put(folder.variables(part)) if folder.has(part) else None


def _detail(folder: ModelFolder, head: FaceHead, official: bool) -> DetailModel | None:
    """The detail stage; DECA shows coarse normals outside the face, EMOCA the dense ones everywhere."""
    if not (folder.has("detail_encoder") and folder.has("detail_decoder")):
        return None
    mask, fixed = folder.map("face_eye_mask"), folder.map("fixed_displacement")
    decoder = jax.device_put(fold_batch_norms(folder.variables("detail_decoder"), INNER_EPSILON))
    return jax.device_put(detail_model(head, decoder, mask, fixed, blend=folder.variant == "deca", official=official))


def encode_photo(model: TrainedModel, found: FoundFace) -> FaceResult:
    """One face of a photo, encoded."""
    pixels = found.photo.pixels
    seen = look(model.expression, found.photo, found.face.landmarks)
    codes = jax.tree.map(lambda leaf: leaf[0], encode(model.encoders, jnp.asarray(seen.image)[None]))
    picture = _over_photo(model.head, codes, seen.image, model.official)
    classes, affect = _read_emotion(model, codes, seen, picture)
    sharp = cut_plane(pixels, seen.to_pixels, TEXTURE_SIZE)
    texture = np.asarray(unwrap(model.head, model.layout, codes, sharp).albedo)
    return assemble(
        model.head,
        model.landmarks,
        found,
        seen,
        codes,
        classes,
        texture,
        affect=affect,
        detail_model=model.detail,
        model=model.name,
        official=model.official,
    )


@functools.partial(jax.jit, static_argnames="official")
def _over_photo(head: FaceHead, codes: Codes, photo: Array, official: bool) -> Float[Array, "size size 3"]:
    """The model's own rendering, albedo times shading, in its place in the crop."""
    decoded = decode(head, codes, (CROP_SIZE, CROP_SIZE), official=official)
    alpha = decoded.alpha[..., None]
    return jnp.clip(decoded.rendering + (1 - alpha) * photo, 0.0, 1.0)


def _read_emotion(
    model: TrainedModel, codes: Codes, seen: SeenFace, picture: Array
) -> tuple[ReadClasses, Affect | None]:
    """Classes on photo and rendering, and valence and arousal: of the 3D face where EMO-MLP is there, else of the
    photo, else None."""
    affect = None
    if model.emotion is not None:
        photo, rendering = (read_photo(EMOTION_NETWORK, model.emotion, np.asarray(x)) for x in (seen.image, picture))
        by = IMAGE_NETWORKS[EMOTION_NETWORK]
        classes = ReadClasses(dict(probabilities(photo)), dict(probabilities(rendering)), by)
        affect = Affect(float(photo.valence), float(photo.arousal), by)
    else:
        rendered = read(model.expression, picture, seen.crop)
        classes = ReadClasses(probabilities_by_name(seen.read), probabilities_by_name(rendered), OPEN_NETWORKS)
    if model.emotion_from_codes is not None:
        told = read_codes(model.emotion_from_codes, codes)
        affect = Affect(float(told.valence), float(told.arousal), CODES_NETWORK_NAME)
    return classes, affect

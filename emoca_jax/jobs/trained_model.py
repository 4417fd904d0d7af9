"""Codes by converted encoders: what EMOCA and DECA do with a photo, from the folder that `emoca convert` made."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax import render
from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel, detail_model
from emoca_jax.emotion.networks import CODES_NETWORK, CODES_NETWORK_NAME, IMAGE_NETWORKS, read_codes, read_crop
from emoca_jax.emotion.pictures import picture_networks
from emoca_jax.emotion.reading import EmotionReading, compared_readings, reading_of
from emoca_jax.fit.inner_landmarks import with_landmarks
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.assemble import assemble
from emoca_jax.jobs.face_model import FaceModel
from emoca_jax.jobs.look import CROP_SIZE, look, read
from emoca_jax.jobs.result import FaceResult
from emoca_jax.model import EncoderVariables, decode, encode
from emoca_jax.model_folder import ModelFolder, read_model_folder
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.detail_decoder import INNER_EPSILON
from emoca_jax.nets.emotion.open import Parameters
from emoca_jax.nets.encoders import inference_variables
from emoca_jax.objectives.photo import SeenFace
from emoca_jax.running_on import backend
from emoca_jax.texture.layout import TEXTURE_SIZE, texture_layout
from emoca_jax.texture.surface import skin_surface

EMOTION_NETWORK = "emotion_resnet50"
"""The one of EMOCA's loss, which sees photo and rendering."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel(FaceModel):
    """Encoders of one converted model, and the emotion networks beside them."""

    encoders: EncoderVariables
    emotion: Parameters | None
    """The emotion ResNet-50, which reads photo and rendering; the open networks do where it was not converted."""
    emotion_from_codes: Parameters | None
    """EMO-MLP, which tells valence and arousal of the 3D face."""


def load_trained_model(path: str | Path, *, official: bool = False) -> TrainedModel:
    """One model of a converted folder, its batch norms folded into the convolutions.

    official: follow the reference's bugs. Errors: InputError where the folder lacks a part that the model needs.
    """
    folder = read_model_folder(path)
    head = jax.device_put(with_landmarks(folder.head))
    layout = texture_layout(head, size=TEXTURE_SIZE)
    return TrainedModel(
        name=f"{folder.name} ({folder.variant})",
        head=head,
        encoders=load_encoders(folder, detail=folder.has("detail_encoder")),
        detail=_detail(folder, head, official),
        emotion=_folded(folder, EMOTION_NETWORK) if folder.has(EMOTION_NETWORK) else None,
        emotion_from_codes=_optional(folder, CODES_NETWORK),
        landmarks=landmark_model(head),
        layout=layout,
        surface=skin_surface(head, layout),
        official=official,
    )


def load_encoders(folder: ModelFolder, *, detail: bool) -> EncoderVariables:
    """The encoders of a converted model in their fastest form for this machine. detail: E_detail as well.

    Errors: InputError where one is missing.
    """

    def load(part: str) -> dict:
        winograd = backend() == "cpu"
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
    decoder = jax.device_put(fold_batch_norms(folder.variables("detail_decoder"), epsilon=INNER_EPSILON))
    return jax.device_put(detail_model(head, decoder, mask, fixed, blend=folder.variant == "deca", official=official))


def encode_photo(model: TrainedModel, found: PhotoFace) -> FaceResult:
    """One face of a photo, encoded."""
    began = time.perf_counter()
    seen = look(model.expression, found, person=model.person)
    codes = jax.tree.map(lambda leaf: leaf[0], encode(model.encoders, jnp.asarray(np.asarray(seen.image)[None])))
    picture = _over_photo(model.head, codes, seen.image, model.official)
    readings, affect = _read_emotion(model, codes, seen, picture)
    return assemble(model, found, seen, codes, readings, affect, began=began)


@functools.partial(jax.jit, static_argnames="official")
def _over_photo(head: FaceHead, codes: Codes, photo: Array, official: bool) -> Float[Array, "size size 3"]:
    """The model's own rendering, albedo times shading, in its place in the crop."""
    decoded = decode(head, codes, (CROP_SIZE, CROP_SIZE), official=official)
    return jnp.clip(render.over(photo, decoded.rendering, decoded.alpha), 0.0, 1.0)


def _read_emotion(
    model: TrainedModel, codes: Codes, seen: SeenFace, picture: Array
) -> tuple[tuple[EmotionReading, EmotionReading], EmotionReading | None]:
    """Readings of photo and rendering, and what tells valence and arousal: EMO-MLP of the 3D face where it is there,
    else the emotion ResNet-50 of the photo, else None."""
    affect = None
    if model.emotion is not None:
        name, pictures = IMAGE_NETWORKS[EMOTION_NETWORK], (seen.image, picture)
        reads = [read_crop(EMOTION_NETWORK, model.emotion, np.asarray(x), seen.crop) for x in pictures]
        photo, rendering = (reading_of(name, x) for x in reads)
        affect = photo
    else:
        drawn = read(model.expression, picture, seen.crop)
        looks = picture_networks(model.expression, model.detector["mesh"])
        photo, rendering = compared_readings(looks, model.head, codes, seen, picture, drawn)
    if model.emotion_from_codes is not None:
        affect = reading_of(CODES_NETWORK_NAME, read_codes(model.emotion_from_codes, codes))
    return (photo, rendering), affect

"""A photo to what `emoca` finds in it: faces, landmarks, emotions, and codes where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from emoca_jax.capture.images import Photo
from emoca_jax.errors import InputError, surprise
from emoca_jax.export.emotion_files import emotion_summary
from emoca_jax.export.tables import photo_summary
from emoca_jax.faces import EmotionResult, ReconstructedFace
from emoca_jax.jobs.choice import OPEN_MODEL
from emoca_jax.jobs.open_encoder import OpenEncoderModel
from emoca_jax.jobs.open_model import OpenModel
from emoca_jax.jobs.read_emotion import EmotionModel, load_emotion_model, read_emotion
from emoca_jax.jobs.reconstruct import load_model, reconstruct
from emoca_jax.jobs.trained_model import TrainedModel

Failure = Literal["no face", "not readable", "not foreseen"]


class Wanted(NamedTuple):
    """Which labels; small and plain, as it goes to every worker."""

    model: str = OPEN_MODEL
    """ "open", or a folder made by `emoca convert`."""
    codes: bool = False
    """3D codes, too: a fit of seconds a face (open), or the folder's encoders."""


class Labeller(NamedTuple):
    """The networks that label photos."""

    emotion: EmotionModel
    codes: OpenModel | OpenEncoderModel | TrainedModel | None


class LabelledFace(NamedTuple):
    """One face of a photo."""

    told: dict[str, Any]
    """Plain numbers and texts."""
    arrays: dict[str, np.ndarray]


class Labelled(NamedTuple):
    """What became of a photo: faces, or why there are none."""

    photo: str
    faces: tuple[LabelledFace, ...] = ()
    failure: Failure | None = None
    why: str = ""


def load_labeller(wanted: Wanted) -> Labeller:
    """Every network that the labels take. Errors: InputError where a folder lacks one."""
    return Labeller(load_emotion_model(wanted.model), load_model(wanted.model) if wanted.codes else None)


def label(labeller: Labeller, name: str, read: Callable[[str], Photo]) -> Labelled:
    """The labels of one photo, by name; whatever is wrong with it is told and raises nothing.

    read: gives the photo, or raises InputError.
    """
    failure: Failure = "not readable"
    try:
        photo = read(name)
        failure = "no face"
        faces = read_emotion(labeller.emotion, photo)
        bodies = [None] * len(faces) if labeller.codes is None else reconstruct(labeller.codes, photo)
        pairs = zip(faces, bodies, strict=True)
        return Labelled(name, tuple(_labelled_face(name, face, body) for face, body in pairs))
    except InputError as error:
        # A path has one slash where an address has two.
        return Labelled(name, failure=failure, why=str(error).replace(str(Path(name)), name))
    # One photo in a million must not end the others' labels.
    except Exception as error:
        return Labelled(name, failure="not foreseen", why=surprise(error))


def _labelled_face(name: str, face: EmotionResult, body: ReconstructedFace | None) -> LabelledFace:
    scale = face.photo_scale.astype(np.float32)
    told = {"photo": name, **photo_summary(face), "networks": emotion_summary(face)["networks"]}
    del told["source"]
    arrays = {
        "landmarks": (face.landmarks * [*scale, scale.mean()]).astype(np.float32),
        "box": (face.box * np.tile(scale, 2)).astype(np.float32),
    }
    if body is not None:
        affect = {"valence": round(body.emotion.valence, 4), "arousal": round(body.emotion.arousal, 4)}
        told["codes"] = {"model": body.model, "affect_by": body.emotion.affect_by, **affect}
        arrays["crop"] = (np.diag([*scale, 1.0]) @ body.crop).astype(np.float32)
        arrays |= {part: np.asarray(value) for part, value in vars(body.codes).items() if value is not None}
    return LabelledFace(told, arrays)

"""Codes without any trained encoder: fitted to landmarks, then through the renderer, with the networks that ship."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from emoca_jax import flame
from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.emotion.landmark_units import read_head_units
from emoca_jax.emotion.pictures import picture_networks
from emoca_jax.emotion.reading import compared_readings
from emoca_jax.fit.inner_landmarks import with_landmarks
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.fit.landmarks import fit_landmarks
from emoca_jax.fit.photo import ADAM_STEPS, PhotoFit, fit_photo
from emoca_jax.jobs.assemble import assemble
from emoca_jax.jobs.face_model import FaceModel
from emoca_jax.jobs.look import look, read
from emoca_jax.jobs.result import FaceResult
from emoca_jax.objectives.photo import FitWeights, SeenFace
from emoca_jax.texture.layout import TEXTURE_SIZE, texture_layout
from emoca_jax.texture.surface import skin_surface

OPEN_MODEL = "open"


@dataclass(frozen=True, kw_only=True)
class OpenModel(FaceModel):
    """A head fitted with the networks that ship."""


def load_open_model(head: str | Path) -> OpenModel:
    """The networks that ship, with a head. Errors: InputError where the head cannot be read."""
    loaded = with_landmarks(flame.load_head(head))
    layout = texture_layout(loaded, size=TEXTURE_SIZE)
    return OpenModel(
        name=OPEN_MODEL,
        head=loaded,
        landmarks=landmark_model(loaded),
        layout=layout,
        surface=skin_surface(loaded, layout),
    )


def fitted_face(model: OpenModel, found: PhotoFace, weights: FitWeights, *, steps: int = ADAM_STEPS) -> FaceResult:
    """One face of a photo, fitted; steps: through the renderer."""
    began = time.perf_counter()
    seen = look(model.expression, found, person=model.person)
    fit = fit_face(model, seen, weights, steps=steps)
    drawn = read(model.expression, fit.picture, seen.crop)
    looks = picture_networks(model.expression, model.detector["mesh"])
    readings = compared_readings(looks, model.head, fit.codes, seen, fit.picture, drawn)
    return assemble(model, found, seen, fit.codes, readings, None, began=began)


def fit_face(model: OpenModel, seen: SeenFace, weights: FitWeights, *, steps: int = ADAM_STEPS) -> PhotoFit:
    """One face's codes, from landmarks first and then through the renderer, and its rendering in the photo's place.

    steps: through the renderer; with 0 of them the codes are those of the landmarks, with light and albedo beside.
    """
    # Between programs all is NumPy: each step on the device would be one more program to compile.
    expected = weights.emotion * np.asarray(seen.read.probabilities)
    landmarks, units = np.asarray(seen.landmarks), read_head_units(seen.landmarks, model.head.expression_names)
    at_once = None if units is None else units[None]
    start = fit_landmarks(model.landmarks, landmarks[None], expected[None], at_once).codes
    start = jax.tree.map(lambda leaf: np.asarray(leaf)[0], start)
    return fit_photo(model.head, model.landmarks, model.expression, seen, start, weights, units, steps=steps)

"""Codes without any trained encoder: fitted to landmarks, then through the renderer, with the networks that ship."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from emoca_jax import flame
from emoca_jax.capture.detect import load_networks
from emoca_jax.capture.found_faces import FoundFace
from emoca_jax.capture.look import OPEN_NETWORKS, SeenFace, cut_plane, look, probabilities_by_name, read
from emoca_jax.codes import Codes
from emoca_jax.fit.inner_landmarks import with_landmarks
from emoca_jax.fit.landmarks import LandmarkModel, fit_landmarks, landmark_model
from emoca_jax.fit.photo import FitWeights, fit_photo
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.assemble import ReadClasses, assemble
from emoca_jax.jobs.result import FaceResult
from emoca_jax.nets.emotion.open import ExpressionRead, Parameters, load_expression_networks
from emoca_jax.texture.layout import TEXTURE_SIZE, TextureLayout, texture_layout
from emoca_jax.texture.unwrap import unwrap


@dataclass(frozen=True)
class OpenModel:
    """A head and the networks that see the photo."""

    head: FaceHead
    landmarks: LandmarkModel
    layout: TextureLayout
    detector: Parameters
    expression: Parameters


def load_open_model(head: str | Path = "open") -> OpenModel:
    """The networks that ship, with a head. Errors: InputError where the head cannot be read."""
    loaded = with_landmarks(flame.load_head(head))
    return OpenModel(
        loaded,
        landmark_model(loaded),
        texture_layout(loaded, TEXTURE_SIZE),
        load_networks(),
        load_expression_networks(),
    )


def fit_to_photo(model: OpenModel, found: FoundFace, weights: FitWeights) -> FaceResult:
    """One face of a photo, fitted."""
    photo = found.photo
    seen = look(model.expression, photo, found.face.landmarks)
    codes, rendered = fit_face(model, seen, weights)
    sharp = cut_plane(photo.pixels, seen.to_pixels, TEXTURE_SIZE)
    texture = np.asarray(unwrap(model.head, model.layout, codes, sharp).albedo)
    classes = ReadClasses(probabilities_by_name(seen.read), probabilities_by_name(rendered), OPEN_NETWORKS)
    return assemble(model.head, model.landmarks, found, seen, codes, classes, texture)


def fit_face(model: OpenModel, seen: SeenFace, weights: FitWeights) -> tuple[Codes, ExpressionRead]:
    """Codes of one face, from landmarks first and then through the renderer, and the expression on its rendering."""
    # Between programs all is NumPy: each step on the device would be one more program to compile.
    expected = weights.emotion * np.asarray(seen.read.probabilities)
    start = fit_landmarks(model.landmarks, seen.landmarks[None], expected[None]).codes
    start = jax.tree.map(lambda leaf: np.asarray(leaf)[0], start)
    codes, picture = fit_photo(
        model.head, model.landmarks, model.expression, start, seen.landmarks, seen.image, seen.crop, seen.read, weights
    )
    return codes, read(model.expression, picture, seen.crop)

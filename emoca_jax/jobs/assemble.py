"""What is known about a face, gathered in NumPy and in the photo's pixels."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emoca_jax import flame
from emoca_jax.capture.found_faces import FoundFace
from emoca_jax.capture.look import SeenFace
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel
from emoca_jax.emotion.rule import affect_from_classes, affect_from_units
from emoca_jax.faces import Emotion
from emoca_jax.fit.landmarks import LandmarkModel, face_width, project, visible_points
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.result import FaceResult
from emoca_jax.model import full_pose


class ReadClasses(NamedTuple):
    """Probability of each expression class by name, on the photo and on the rendering."""

    photo: dict[str, float]
    rendering: dict[str, float]
    by: str
    """What read them."""


class Affect(NamedTuple):
    """Valence and arousal as a network told them."""

    valence: float
    arousal: float
    by: str


def assemble(
    head: FaceHead,
    landmarks: LandmarkModel,
    found: FoundFace,
    seen: SeenFace,
    codes: Codes,
    classes: ReadClasses,
    texture: Float[np.ndarray, "size size 3"],
    *,
    affect: Affect | None = None,
    model: str = "open",
    detail_model: DetailModel | None = None,
    official: bool = False,
) -> FaceResult:
    """The result for one face.

    texture: unwrapped albedo in [0, 1], row 0 at v = 1. affect: valence and arousal where a network tells them; else
    they follow from the expression units by rule, or from the classes for a head whose units have no names.
    """
    photo, face, to_pixels = found.photo, found.face, seen.to_pixels
    codes = jax.tree.map(np.asarray, codes)
    points = len(head.mediapipe_index)
    fit = jax.tree.map(np.asarray, measure(head, landmarks, codes, face.landmarks))
    fitted = fit.points[:points, :2] * to_pixels[0, 0] + to_pixels[:2, 2]
    visible = fit.visible[:points]
    # A head turned away altogether is judged by all its points, badly as it will be.
    visible = visible if visible.any() else np.ones_like(visible)
    if affect is None and head.expression_names:
        affect = Affect(fit.valence, fit.arousal, "rule on expression units")
    elif affect is None:
        affect = Affect(*affect_from_classes(classes.photo), "rule on classes")
    missed = np.linalg.norm(fitted - face.landmarks[np.asarray(head.mediapipe_index), :2], axis=1)[visible]
    return FaceResult(
        photo=photo.pixels,
        photo_scale=photo.scale,
        source=photo.source,
        face=found.index,
        box=face.box,
        score=float(face.score),
        landmarks=face.landmarks,
        fitted_landmarks=fitted,
        landmark_visible=visible,
        crop=to_pixels,
        head=head,
        codes=codes,
        vertices=fit.posed,
        neutral_vertices=fit.neutral,
        texture=np.round(np.clip(texture, 0, 1) * 255).astype(np.uint8),
        emotion=Emotion(
            classes.photo, classes.rendering, float(affect.valence), float(affect.arousal), classes.by, affect.by
        ),
        fit_error=float(100 * np.sqrt(np.mean(missed**2)) / fit.width),
        seconds=time.perf_counter() - found.began,
        detail_model=detail_model,
        model=model,
        official=official,
    )


class Measures(NamedTuple):
    """Of a fitted face; points and visibility in the order of the landmark model."""

    points: Any
    visible: Any
    posed: Any
    neutral: Any
    width: Any
    """Of the face, in the unit of its landmarks."""
    valence: Any
    arousal: Any


@jax.jit
def measure(head: FaceHead, model: LandmarkModel, codes: Codes, landmarks: jax.Array) -> Measures:
    """landmarks: the 478 detected, in any unit."""
    valence, arousal = affect_from_units(codes.expression, head.expression_names)
    return Measures(
        points=project(model, codes),
        visible=visible_points(model, codes),
        posed=flame.forward(head, codes.shape, codes.expression, full_pose(codes)).vertices,
        neutral=flame.unposed_vertices(head, codes.shape, jnp.zeros_like(codes.expression)),
        width=face_width(landmarks),
        valence=valence,
        arousal=arousal,
    )

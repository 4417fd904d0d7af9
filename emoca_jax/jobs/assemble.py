"""What is known about a face, gathered in NumPy and in the photo's pixels."""

from __future__ import annotations

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from emoca_jax import flame
from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.codes import Codes
from emoca_jax.emotion.reading import EmotionReading, units_reading
from emoca_jax.emotion.units import knows_units
from emoca_jax.faces import Emotion
from emoca_jax.files.kept_programs import kept
from emoca_jax.fit.landmark_model import LandmarkModel, face_width, facing, project, visible_points
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.face_model import FaceModel
from emoca_jax.jobs.look import cut_plane
from emoca_jax.jobs.result import FaceResult
from emoca_jax.model import decode
from emoca_jax.objectives.photo import SeenFace
from emoca_jax.products import CUBLAS
from emoca_jax.texture.layout import TEXTURE_SIZE, TextureLayout
from emoca_jax.texture.openings import shown_points
from emoca_jax.texture.refine import refined, texture_size
from emoca_jax.texture.unwrap import Observed, completed, observed


class Measures(NamedTuple):
    """Of a fitted face; points and visibility in the order of `head.mediapipe_index`."""

    points: Float[Array, "points 2"]
    """In the crop's plane."""
    visible: Bool[Array, "points"]
    posed: Float[Array, "vertices 3"]
    neutral: Float[Array, "vertices 3"]
    width: Float[Array, ""]
    """Of the face, in the crop's plane."""
    texture: Observed
    """The photo at each texel."""


def assemble(
    model: FaceModel,
    found: PhotoFace,
    seen: SeenFace,
    codes: Codes,
    readings: tuple[EmotionReading, EmotionReading],
    affect: EmotionReading | None,
    *,
    began: float,
) -> FaceResult:
    """The result for one face.

    readings: of the photo and of the rendering, by the same network. affect: what tells valence and arousal; None where
    no network of the model does: then EMO-MLP reads them off the expression units, or they follow from the photo's
    classes for a head whose units have no names. began: `time.perf_counter()` when work on the face began.
    """
    head, to_pixels = model.head, np.asarray(seen.to_pixels)
    codes = jax.tree.map(np.asarray, codes)
    sharp = cut_plane(found.photo, to_pixels, TEXTURE_SIZE)
    fit = measured(model, found, seen, codes, sharp)
    albedo, lit = _textures(model, fit.texture, found, to_pixels, sharp)
    fitted = fit.points * to_pixels[0, 0] + to_pixels[:2, 2]
    # A head turned away altogether is judged by all its points, badly as it will be.
    visible = np.asarray(fit.visible) if fit.visible.any() else np.ones(len(fit.visible), bool)
    missed = np.linalg.norm(fitted - found.landmarks[np.asarray(head.mediapipe_index), :2], axis=1)[visible]
    photo, rendering = readings
    if affect is None and knows_units(head.expression_names):
        affect = units_reading(head, codes)
    if affect is not None:
        valence, arousal, by = affect.valence, affect.arousal, affect.network
    else:
        valence, arousal, by = photo.valence, photo.arousal, "classes on the photo"
    return FaceResult(
        **vars(found),
        fitted_landmarks=fitted,
        landmark_visible=visible,
        crop=to_pixels,
        head=head,
        codes=codes,
        vertices=np.asarray(fit.posed),
        neutral_vertices=np.asarray(fit.neutral),
        texture=albedo,
        photo_texture=lit,
        emotion=Emotion(photo.probabilities, rendering.probabilities, valence, arousal, photo.network, by),
        fit_error=float(100 * np.sqrt(np.mean(missed**2)) / (fit.width * to_pixels[0, 0])),
        seconds=time.perf_counter() - began,
        detail_model=model.detail,
        model=model.name,
        official=model.official,
    )


def measured(
    model: FaceModel, found: PhotoFace, seen: SeenFace, codes: Codes, sharp: Float[np.ndarray, "side side 3"]
) -> Measures:
    """`measure` of a face in its photo, in NumPy. sharp: the crop, as large as the texture; RGB in [0, 1]."""
    frame = _frame(found, np.asarray(seen.to_pixels))
    landmarks, person = np.asarray(seen.landmarks), None if seen.person is None else np.asarray(seen.person)
    told = measure(model.head, model.landmarks, model.layout, codes, landmarks, sharp, frame, person)
    return jax.tree.map(np.asarray, told)


def _frame(found: PhotoFace, to_pixels: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "2 2"]:
    """Corners of the photo in the crop's plane."""
    rows, columns = found.photo.shape[:2]
    corners = np.array([[0, 0], [columns, rows]], np.float32)
    return ((corners - to_pixels[:2, 2]) / to_pixels[0, 0]).astype(np.float32)


def _textures(
    model: FaceModel,
    seen: Observed,
    found: PhotoFace,
    to_pixels: Float[np.ndarray, "3 3"],
    sharp: Float[np.ndarray, "side side 3"],
) -> tuple[UInt8[np.ndarray, "rows columns 3"], UInt8[np.ndarray, "rows columns 3"]]:
    """Albedo and lit texture, as large as the photo gives reason to."""
    texture = completed(model.layout, model.surface, seen)
    size = texture_size(2 * float(to_pixels[0, 0]))
    if size > TEXTURE_SIZE:
        place, nearest = np.asarray(seen.place), np.asarray(model.layout.nearest)
        return refined(texture, place, nearest, sharp, cut_plane(found.photo, to_pixels, size))
    albedo, lit = (np.round(x * 255).astype(np.uint8) for x in (texture.albedo, texture.lit))
    return albedo, lit


@kept(compiler_options=CUBLAS)
def measure(
    head: FaceHead,
    model: LandmarkModel,
    layout: TextureLayout,
    codes: Codes,
    landmarks: Float[Array, "478 3"],
    image: Float[Array, "side side 3"],
    frame: Float[Array, "2 2"],
    person: Float[Array, "pixels pixels"] | None,
) -> Measures:
    """Decode the fitted head once more, as large as its texture, and take everything off it.

    landmarks: as detected, in the crop's plane. image: the crop, RGB in [0, 1]. frame: of the photo, in that plane.
    person: as `SeenFace` has it.
    """
    decoded = decode(head, codes, (image.shape[0], image.shape[1]))
    count, width = head.mediapipe_index.shape[0], face_width(landmarks)
    found_at = project(model, codes)[:count, :2]
    facing_us = facing(model, flame.rotation_matrix(codes.pose[0]))[:count]
    fitted = decoded.landmarks_mediapipe[:, :2]
    points = shown_points(fitted, found_at, head.mediapipe_index, facing_us, landmarks, width)
    return Measures(
        points=found_at,
        visible=visible_points(model, codes)[:count],
        posed=decoded.vertices,
        neutral=flame.unposed_vertices(head, codes.shape, jnp.zeros_like(codes.expression)),
        width=width,
        texture=observed(head, layout, codes, decoded, image, points=points, frame=frame, person=person),
    )

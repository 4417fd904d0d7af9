"""Photo in, faces out: detect, fit, decode and unwrap, in the order they happen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from emoca_jax import flame
from emoca_jax.capture.crop import cut
from emoca_jax.capture.detect import DetectedFace, detect_faces, load_networks
from emoca_jax.capture.emotion_rule import affect_from_units
from emoca_jax.capture.fit_landmarks import (
    LandmarkModel,
    face_width,
    fit_landmarks,
    landmark_model,
    project,
    visible_points,
)
from emoca_jax.capture.fit_photo import FIT_SIZE, FitWeights, fit_photo
from emoca_jax.capture.images import Photo, as_photo
from emoca_jax.capture.result import Emotion, FaceResult
from emoca_jax.capture.texture import unwrap
from emoca_jax.capture.texture_layout import TextureLayout, texture_layout
from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import full_pose
from emoca_jax.nets.emotion_open import (
    EXPRESSION_CLASSES,
    ExpressionRead,
    Parameters,
    load_expression_networks,
    read_expression,
)
from emoca_jax.nets.expression_crop import ExpressionCrop, expression_crop

TEXTURE_SIZE = 512
"""Side of the unwrapped texture, and of the crop it is taken from."""
CROP_MARGIN = 1.1 * 1.25
"""Side of the fitted square over the mean of the landmark box's sides: EMOCA's two enlargements."""


@dataclass(frozen=True)
class OpenModel:
    """Everything `reconstruct` needs: a head and the networks that see the photo."""

    head: FaceHead
    landmarks: LandmarkModel
    layout: TextureLayout
    detector: Parameters
    expression: Parameters


def load_model(name: str | Path = "open", *, head: str | Path = "open") -> OpenModel:
    """The open networks with the open head, or with a converted FLAME head from a file or folder.

    Errors: InputError where the head cannot be read or the model is not "open".
    """
    if str(name) != "open":
        raise InputError(
            f"No model {name!s}: this version has the model 'open' only; give a head of your own by `head=`."
        )
    loaded = flame.load_head(head)
    return OpenModel(
        loaded,
        landmark_model(loaded),
        texture_layout(loaded, TEXTURE_SIZE),
        load_networks(),
        load_expression_networks(),
    )


def reconstruct(
    model: OpenModel,
    image: str | Path | UInt8[np.ndarray, "height width 3"] | Photo,
    *,
    faces: Literal["all", "largest"] = "all",
    weights: FitWeights | None = None,
) -> list[FaceResult]:
    """Every face of a photo as an animatable head, largest first.

    image: a file, or an array as `images.check_array` takes it. Errors: InputError where the photo cannot be read or
    shows no face.
    """
    photo = image if isinstance(image, Photo) else as_photo(image)
    found = detect_faces(model.detector, photo.pixels)
    if not found:
        raise InputError(
            f"{photo.source or 'This image'} shows no face that can be found: use a photo in which a face is at least "
            "5 % of the image's height and not covered."
        )
    return [
        _reconstruct_face(model, photo, face, index, weights or FitWeights())
        for index, face in enumerate(found[:1] if faces == "largest" else found)
    ]


def _reconstruct_face(
    model: OpenModel, photo: Photo, face: DetectedFace, index: int, weights: FitWeights
) -> FaceResult:
    began = time.perf_counter()
    seen = look(model.expression, photo, face.landmarks)
    codes, rendered = fit_face(model, seen, weights)
    sharp = _cut_plane(photo.pixels, seen.to_pixels, TEXTURE_SIZE)
    texture = np.asarray(unwrap(model.head, model.layout, codes, sharp).albedo)
    return _result(model, photo, face, index, codes, seen, rendered, texture, began)


class SeenFace(NamedTuple):
    """One face of a photo, cut out and read: what a fit starts from."""

    to_pixels: Float[np.ndarray, "3 3"]
    """Maps the crop's plane [-1, 1]^2 to photo pixels."""
    image: Float[np.ndarray, "size size 3"]
    landmarks: Float[np.ndarray, "478 3"]
    """In the crop's plane; depth in its unit, growing away."""
    crop: ExpressionCrop
    read: ExpressionRead


def look(networks: Parameters, photo: Photo, landmarks: Float[np.ndarray, "478 3"]) -> SeenFace:
    """Cut the square that is fitted out of a photo, landmarks (in photo pixels) with it, and read its expression."""
    to_pixels = _fit_crop(landmarks)
    image = _cut_plane(photo.pixels, to_pixels, FIT_SIZE)
    plane = _to_plane(landmarks, to_pixels)
    crop = _expression_crop(plane)
    return SeenFace(to_pixels, image, plane, crop, _read(networks, image, crop))


def fit_face(model: OpenModel, seen: SeenFace, weights: FitWeights) -> tuple[Codes, ExpressionRead]:
    """Codes of one face, from landmarks first and then through the renderer, and the expression on its rendering."""
    # Between programs all is NumPy: each step on the device would be one more program to compile.
    expected = weights.emotion * np.asarray(seen.read.probabilities)
    start = fit_landmarks(model.landmarks, seen.landmarks[None], expected[None]).codes
    start = jax.tree.map(lambda leaf: np.asarray(leaf)[0], start)
    codes, picture = fit_photo(
        model.head, model.landmarks, model.expression, start, seen.landmarks, seen.image, seen.crop, seen.read, weights
    )
    return codes, _read(model.expression, picture, seen.crop)


def _fit_crop(landmarks: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "3 3"]:
    """Plane [-1, 1]^2 to photo pixels, for the upright square around all landmarks."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    half = CROP_MARGIN * np.mean(high - low) / 2
    centre = (low + high) / 2
    return np.array([[half, 0, centre[0]], [0, half, centre[1]], [0, 0, 1]], np.float32)


def _to_plane(landmarks: Float[np.ndarray, "478 3"], to_pixels: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "478 3"]:
    """Photo pixels to the crop's plane; depth in the plane's unit."""
    return ((landmarks - [*to_pixels[:2, 2], 0.0]) / to_pixels[0, 0]).astype(np.float32)


def _cut_plane(
    pixels: UInt8[np.ndarray, "height width 3"], to_pixels: Float[np.ndarray, "3 3"], size: int
) -> Float[np.ndarray, "size size 3"]:
    """The photo as seen by the crop's plane, at `size` pixels a side, RGB in [0, 1]."""
    from_crop_pixels = np.array([[2 / size, 0, -1], [0, 2 / size, -1], [0, 0, 1]], np.float32)
    return cut(pixels, (to_pixels @ from_crop_pixels)[:2], (size, size)) / np.float32(255)


# Photo and rendering are read by one program.
_read = jax.jit(read_expression)
_expression_crop = jax.jit(expression_crop)


def _result(
    model: OpenModel,
    photo: Photo,
    face: DetectedFace,
    index: int,
    codes: Codes,
    seen: SeenFace,
    rendered: ExpressionRead,
    texture: Float[np.ndarray, "size size 3"],
    began: float,
) -> FaceResult:
    """Gather what is known, in NumPy and in the photo's pixels."""
    head, to_pixels = model.head, seen.to_pixels
    codes = jax.tree.map(np.asarray, codes)
    points = len(head.mediapipe_index)
    fit = jax.tree.map(np.asarray, _measure(head, model.landmarks, codes, face.landmarks))
    fitted = fit.points[:points, :2] * to_pixels[0, 0] + to_pixels[:2, 2]
    visible = fit.visible[:points]
    missed = np.linalg.norm(fitted - face.landmarks[np.asarray(head.mediapipe_index), :2], axis=1)[visible]
    return FaceResult(
        photo=photo.pixels,
        photo_scale=photo.scale,
        source=photo.source,
        face=index,
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
            photo=_by_name(seen.read),
            rendering=_by_name(rendered),
            valence=float(fit.valence),
            arousal=float(fit.arousal),
        ),
        fit_error=float(100 * np.sqrt(np.mean(missed**2)) / fit.width),
        seconds=time.perf_counter() - began,
    )


class _Measures(NamedTuple):
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
def _measure(head: FaceHead, model: LandmarkModel, codes: Codes, landmarks: jax.Array) -> _Measures:
    valence, arousal = affect_from_units(codes.expression, head.expression_names)
    return _Measures(
        points=project(model, codes),
        visible=visible_points(model, codes),
        posed=flame.forward(head, codes.shape, codes.expression, full_pose(codes)).vertices,
        neutral=flame.unposed_vertices(head, codes.shape, jnp.zeros_like(codes.expression)),
        width=face_width(landmarks),
        valence=valence,
        arousal=arousal,
    )


def _by_name(read: ExpressionRead) -> dict[str, float]:
    return {name: float(p) for name, p in zip(EXPRESSION_CLASSES, np.asarray(read.probabilities), strict=True)}

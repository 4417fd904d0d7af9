"""Codes with the networks that ship: in one pass off the landmarks, by a fit to them, and through the renderer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float

from emoca_jax import flame
from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.codes import Codes
from emoca_jax.emotion.landmark_units import in_head_order, landmark_units, load_unit_reader, read_head_units
from emoca_jax.emotion.pictures import picture_networks, read_picture
from emoca_jax.emotion.reading import compared_readings
from emoca_jax.emotion.told_units import told_units
from emoca_jax.emotion.units import knows_units
from emoca_jax.errors import InputError
from emoca_jax.files.kept_programs import kept
from emoca_jax.fit.inner_landmarks import with_landmarks
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.fit.landmarks import LM_STEPS, fit_landmarks
from emoca_jax.fit.one_pass import encode_landmarks, load_code_reader
from emoca_jax.fit.photo import ADAM_STEPS, PhotoFit, fit_photo
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.assemble import assemble
from emoca_jax.jobs.choice import NO_ENCODER, OPEN_MODEL, Method
from emoca_jax.jobs.encoded_face import EncodedFace, encoded_face
from emoca_jax.jobs.face_model import FaceModel
from emoca_jax.jobs.look import fit_crop, look, read, to_plane
from emoca_jax.jobs.result import FaceResult
from emoca_jax.model import pose
from emoca_jax.nets.emotion.affect import AffectRead
from emoca_jax.nets.weights import Parameters
from emoca_jax.objectives.photo import FitWeights, SeenFace
from emoca_jax.products import CUBLAS
from emoca_jax.texture.layout import TEXTURE_SIZE, texture_layout
from emoca_jax.texture.surface import skin_surface

STEPS_ONCE_ENCODED = 6
"""Of the landmark fit, where it begins with what the encoder says: half of what the closed form needs. That is for
method landmarks, which is there to be fast: nine photos' landmarks were off by .454 % of the face's width (median) if
the whole fit began so, by .442 from the closed form (docs/training.md)."""


@dataclass(frozen=True, kw_only=True)
class OpenModel(FaceModel):
    """A head fitted with the networks that ship."""

    encoder: Parameters | None
    """Codes off landmarks (`one_pass.load_code_reader`); None for a head that it does not know."""


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
        encoder=load_code_reader() if head == OPEN_MODEL else None,
    )


def fitted_face(model: OpenModel, found: PhotoFace, weights: FitWeights, *, method: Method = "fit") -> FaceResult:
    """One face of a photo. Errors: InputError where the head has no encoder, and the method is that."""
    began = time.perf_counter()
    seen = look(model.expression, found, person=model.person)
    told = picture_of(model, seen)
    fit = fit_face(model, seen, weights, told, method=method)
    return finished_face(model, found, seen, fit, told, began=began)


def finished_face(
    model: OpenModel, found: PhotoFace, seen: SeenFace, fit: PhotoFit, told: AffectRead | None, *, began: float
) -> FaceResult:
    """All that is told of a fitted face. told: of `picture_of`. began: as `assemble` takes it."""
    drawn = read(model.expression, fit.picture, seen.crop)
    looks = picture_networks(model.expression, model.detector["mesh"])
    readings = compared_readings(looks, model.head, fit.codes, seen, fit.picture, drawn, told=told)
    return assemble(model, found, seen, fit.codes, readings, None, began=began)


def picture_of(model: OpenModel, seen: SeenFace) -> AffectRead | None:
    """What the picture reader sees in one face; None for a head whose units it does not know."""
    if not knows_units(model.head.expression_names):
        return None
    return read_picture(picture_networks(model.expression, model.detector["mesh"]), seen.image, seen.crop)


def head_units(model: OpenModel, seen: SeenFace, picture: AffectRead | None) -> Float[np.ndarray, "units"] | None:
    """Units that the fit begins with, in the head's order, NaN where nobody tells; None for a head that names none.

    picture: of `picture_of`.
    """
    if picture is None:
        return None
    told = told_units(np.asarray(landmark_units(load_unit_reader(), seen.landmarks)), picture)
    return in_head_order(told, model.head.expression_names)


def fit_face(
    model: OpenModel,
    seen: SeenFace,
    weights: FitWeights,
    picture: AffectRead | None,
    *,
    method: Method = "fit",
    steps: int = ADAM_STEPS,
) -> PhotoFit:
    """One face's codes, and its rendering in the photo's place.

    picture: of `picture_of`.
    method: "encoder" for codes in one pass, "landmarks" for those that explain the landmarks, "fit" to go on from these
    through the renderer, for so many steps. Light and albedo are the photo's in all of them.
    Errors: InputError where the head has no encoder, and the method is that.
    """
    units = head_units(model, seen, picture)
    start = codes_by_landmarks(model, seen, weights, units, method=method)
    steps = steps if method == "fit" else 0
    return fit_photo(model.head, model.landmarks, model.expression, seen, start, weights, units, steps=steps)


def codes_by_landmarks(
    model: OpenModel,
    seen: SeenFace,
    weights: FitWeights,
    units: Float[np.ndarray, "units"] | None,
    *,
    method: Method,
) -> Codes:
    """One face's codes (light and albedo left at zero), as far as its landmarks and its units tell.

    units: of `head_units`; the encoder takes what is read off landmarks alone. method, errors: as of `fit_face`, which
    goes on from here.
    """
    # Between programs all is NumPy: each step on the device would be one more program to compile.
    landmarks, at_once = np.asarray(seen.landmarks)[None], None if units is None else units[None]
    begun = None
    if method != "fit" and model.encoder is not None:
        off_landmarks = read_head_units(seen.landmarks, model.head.expression_names)
        if off_landmarks is not None:
            begun = encode_landmarks(model.landmarks, model.encoder, landmarks, off_landmarks[None])
    if method == "encoder":
        if begun is None:
            raise InputError(NO_ENCODER)
        codes = begun
    else:
        expected = weights.emotion * np.asarray(seen.read.probabilities)[None]
        steps = LM_STEPS if begun is None else STEPS_ONCE_ENCODED
        codes = fit_landmarks(model.landmarks, landmarks, expected, at_once, begun, steps=steps).codes
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], codes)


def encode_face(model: OpenModel, found: PhotoFace) -> EncodedFace:
    """One face of a photo in one pass, without drawing or texture.

    Errors: InputError where the head has no encoder.
    """
    to_pixels = fit_crop(found.landmarks)
    landmarks = to_plane(found.landmarks, to_pixels)
    units = read_head_units(jax.device_put(landmarks), model.head.expression_names)
    if model.encoder is None or units is None:
        raise InputError(NO_ENCODER)
    codes = encode_landmarks(model.landmarks, model.encoder, landmarks[None], units[None])
    codes = jax.tree.map(lambda leaf: np.asarray(leaf)[0], codes)
    return encoded_face(model.head, found, to_pixels, codes, np.asarray(_posed(model.head, codes)))


@kept(compiler_options=CUBLAS)
def _posed(head: FaceHead, codes: Codes) -> Float[Array, "vertices 3"]:
    return pose(head, codes).vertices

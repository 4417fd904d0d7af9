"""Several photos of one person: one identity, and for each photo its own expression, pose, camera, light and texture.

The landmark fit is of all photos together (`fit/one_person.py`); what follows, through the renderer, is each photo's
own, with the identity held.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from emoca_jax.capture.found_faces import PhotoFace, largest_and_others
from emoca_jax.capture.images import Photo, as_photo
from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.fit.one_person import fit_person
from emoca_jax.fit.photo import ADAM_STEPS, fit_photo
from emoca_jax.jobs.choice import NO_FIT, Method
from emoca_jax.jobs.face_model import checked_model
from emoca_jax.jobs.look import look
from emoca_jax.jobs.open_model import OpenModel, finished_face, head_units, picture_of
from emoca_jax.jobs.reconstruct import AnyModel, check_method
from emoca_jax.jobs.result import FaceResult
from emoca_jax.nets.emotion.affect import AffectRead
from emoca_jax.objectives.photo import FitWeights, SeenFace

LEAST_PHOTOS = 2
MOST_PHOTOS = 24
"""All are solved for at once, in a time that grows with the cube of their number, and kept in memory."""
HOW_MANY = f"One identity wants two to {MOST_PHOTOS} photos of the person in which a face is found, not"


@dataclass(frozen=True)
class PersonPhoto:
    """A photo of the person, looked at."""

    found: PhotoFace
    seen: SeenFace
    told: AffectRead | None
    """What the picture reader sees (`picture_of`)."""
    units: Float[np.ndarray, "units"] | None
    """What the fit begins with (`head_units`)."""
    others: int
    """Faces in the photo beside the person's."""
    seconds: float
    """Time it took."""


def reconstruct_person(
    model: AnyModel,
    images: Sequence[str | Path | Image.Image | UInt8[np.ndarray, "_height _width 3"] | Photo],
    *,
    weights: FitWeights | None = None,
    method: Method | None = None,
) -> list[FaceResult]:
    """Photos of one person as animatable heads of one identity (`codes.shape`), in the photos' order.

    images: each as `reconstruct` takes it; of several faces in one the largest counts. weights: of the fit. method:
    "fit" or "landmarks" of the open model, as of `reconstruct`; None: fit.
    Errors: InputError where a photo cannot be read or shows no face, there are too few or too many, or the model
    encodes.
    """
    if not isinstance(images, list | tuple):
        raise InputError(f"images must be a list of photos, not {type(images).__name__}.")
    check_person(checked_model(model), method)
    assert isinstance(model, OpenModel)
    if not LEAST_PHOTOS <= len(images) <= MOST_PHOTOS:
        raise InputError(f"{HOW_MANY} {len(images)}.")
    weights = weights or FitWeights()
    photos = [look_for_person(model, image if isinstance(image, Photo) else as_photo(image)) for image in images]
    told = codes_of_person(model, photos, weights)
    return [face_of_person(model, *one, weights, method=method or "fit") for one in zip(photos, told, strict=True)]


def check_person(model: AnyModel, method: str | None) -> None:
    """Errors: InputError where a model does not give several photos one identity in that way."""
    check_method(model, method)
    if not isinstance(model, OpenModel) or method == "encoder":
        raise InputError(NO_FIT)


def look_for_person(model: OpenModel, photo: Photo) -> PersonPhoto:
    """The largest face of a photo, cut out and read. Errors: InputError where the photo shows no face."""
    began = time.perf_counter()
    found, others = largest_and_others(model.detector, photo)
    seen = look(model.expression, found, person=model.person)
    told = picture_of(model, seen)
    return PersonPhoto(found, seen, told, head_units(model, seen, told), others, time.perf_counter() - began)


def codes_of_person(model: OpenModel, photos: Sequence[PersonPhoto], weights: FitWeights) -> list[Codes]:
    """Codes (light and albedo left at zero) of each photo, all of the same identity, as far as landmarks tell.

    Errors: InputError where there are too few photos or too many.
    """
    if not LEAST_PHOTOS <= len(photos) <= MOST_PHOTOS:
        raise InputError(f"{HOW_MANY} {len(photos)}.")
    landmarks = np.stack([np.asarray(photo.seen.landmarks) for photo in photos])
    read = np.stack([np.asarray(photo.seen.read.probabilities) for photo in photos])
    known = [photo.units for photo in photos if photo.units is not None]
    units = np.stack(known) if known else None
    codes = jax.device_get(fit_person(model.landmarks, landmarks, weights.emotion * read, units).codes)
    return [jax.tree.map(lambda leaf, place=place: leaf[place], codes) for place in range(len(photos))]


def face_of_person(
    model: OpenModel, photo: PersonPhoto, codes: Codes, weights: FitWeights, *, method: Method
) -> FaceResult:
    """A photo's head, from the codes that `codes_of_person` gives it."""
    began = time.perf_counter() - photo.seconds
    steps = ADAM_STEPS if method == "fit" else 0
    given = model.head, model.landmarks, model.expression, photo.seen, codes, weights, photo.units
    fit = fit_photo(*given, steps=steps, identity_held=True)
    return finished_face(model, photo.found, photo.seen, fit, photo.told, began=began)

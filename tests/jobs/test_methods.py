"""How a photo becomes codes: by landmarks alone, through the renderer, or by an encoder that the model must have."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.capture.found_faces import found_faces
from emoca_jax.capture.images import as_photo
from emoca_jax.emotion.landmark_units import read_head_units
from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import face_width, project
from emoca_jax.fit.landmarks import fit_landmarks
from emoca_jax.fit.one_pass import encode_landmarks
from emoca_jax.flame import landmarks_mediapipe
from emoca_jax.flame.rotations import rotation_matrix, yaw_degrees
from emoca_jax.jobs.look import look
from emoca_jax.jobs.one_person import reconstruct_person
from emoca_jax.jobs.open_encoder import OpenEncoderModel
from emoca_jax.jobs.open_model import (
    STEPS_ONCE_ENCODED,
    OpenModel,
    codes_by_landmarks,
    head_units,
    load_open_model,
    picture_of,
)
from emoca_jax.jobs.reconstruct import check_method, encode_faces, reconstruct
from emoca_jax.model import pose
from emoca_jax.objectives.photo import FitWeights

PHOTO = Path(__file__).parents[2] / "examples/grace_hopper.jpg"


@pytest.fixture(scope="module")
def model() -> OpenModel:
    return load_open_model("open")


@pytest.mark.thorough
def test_what_is_to_be_fast_begins_with_the_encoder_and_the_whole_fit_does_not(model: OpenModel) -> None:
    (found,) = found_faces(model.detector, as_photo(PHOTO), "largest")
    seen, weights = look(model.expression, found), FitWeights()
    units = read_head_units(seen.landmarks, model.head.expression_names)
    assert units is not None
    landmarks, expected = np.asarray(seen.landmarks)[None], weights.emotion * np.asarray(seen.read.probabilities)[None]
    begun = encode_landmarks(model.landmarks, model.encoder or {}, landmarks, units[None])
    given = model.landmarks, landmarks, expected, units[None]
    wanted = {
        "encoder": begun,
        "landmarks": fit_landmarks(*given, begun, steps=STEPS_ONCE_ENCODED).codes,
        "fit": fit_landmarks(*given, None).codes,
    }
    shapes = {}
    for method, codes in wanted.items():
        told = codes_by_landmarks(model, seen, weights, units, method=method)
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), told, codes)
        shapes[method] = told.shape
    assert np.abs(shapes["fit"] - shapes["landmarks"]).max() > 0.01 < np.abs(shapes["fit"] - shapes["encoder"]).max()
    with pytest.raises(InputError, match="is of the head that ships"):
        codes_by_landmarks(dataclasses.replace(model, encoder=None), seen, weights, units, method="encoder")


@pytest.mark.slow
def test_by_landmarks_alone_the_codes_are_theirs_and_light_is_the_photos(model: OpenModel) -> None:
    (face,) = reconstruct(model, PHOTO, method="landmarks")
    seen = look(model.expression, face)
    landmarks, probabilities = np.asarray(seen.landmarks), np.asarray(seen.read.probabilities)
    units = read_head_units(seen.landmarks, model.head.expression_names)
    assert units is not None
    begun = encode_landmarks(model.landmarks, model.encoder or {}, landmarks[None], units[None])
    told = head_units(model, seen, picture_of(model, seen))
    assert told is not None and np.abs(told - units).max() > 0.01
    given = model.landmarks, landmarks[None], probabilities[None], told[None], begun
    wanted = fit_landmarks(*given, steps=STEPS_ONCE_ENCODED).codes
    for name in ("shape", "expression", "pose", "camera", "eyes"):
        np.testing.assert_allclose(getattr(face.codes, name), getattr(wanted, name)[0], atol=1e-4, err_msg=name)
    assert np.ptp(np.asarray(face.codes.light)[1:]) > 0.05
    assert face.fit_error < 0.6


@pytest.mark.slow
def test_the_encoders_codes_are_those_of_the_quick_way_and_light_is_the_photos(model: OpenModel) -> None:
    (face,), (quick,) = reconstruct(model, PHOTO, method="encoder"), encode_faces(model, PHOTO)
    for name in ("shape", "expression", "pose", "camera", "eyes"):
        np.testing.assert_allclose(getattr(face.codes, name), getattr(quick.codes, name), atol=1e-5, err_msg=name)
    assert np.ptp(np.asarray(face.codes.light)[1:]) > 0.05


def test_one_pass_finds_the_face_where_it_is(model: OpenModel) -> None:
    """A photo's: landmarks of its codes beside those that were found, its mesh as its codes have it."""
    (face,) = encode_faces(model, PHOTO)
    index = np.asarray(model.landmarks.index)
    found = (face.landmarks[index, :2] - face.crop[:2, 2]) / face.crop[0, 0]
    points = np.asarray(project(model.landmarks, face.codes))[:, :2]
    width = float(face_width(jnp.asarray(face.landmarks))) / face.crop[0, 0]
    assert 100 * np.sqrt(np.square(points - found).sum(1).mean()) / width < 1
    np.testing.assert_allclose(face.vertices, pose(model.head, face.codes).vertices, atol=1e-6)
    assert face.emotion.valence is not None and -1 <= face.emotion.valence <= 1


def test_a_model_is_asked_only_for_what_it_can(model: OpenModel) -> None:
    encoders, bare = OpenEncoderModel.__new__(OpenEncoderModel), dataclasses.replace(model, encoder=None)
    for one, method in (
        *((model, method) for method in (None, "fit", "landmarks", "encoder")),
        (bare, "fit"),
        (encoders, None),
        (encoders, "encoder"),
    ):
        check_method(one, method)
    for one, method, said in (
        (bare, "encoder", "is of the head that ships"),
        (encoders, "landmarks", "is of the open model"),
        (model, "guess", "must be one of fit, landmarks, encoder"),
    ):
        with pytest.raises(InputError, match=said):
            check_method(one, method)


def test_one_person_wants_a_model_that_fits_and_photos_in_the_plural(model: OpenModel) -> None:
    encoders = OpenEncoderModel.__new__(OpenEncoderModel)
    vars(encoders).update(detector=None, person=None)
    for one, method in ((encoders, None), (model, "encoder")):
        with pytest.raises(InputError, match="is fitted, by the open model with method fit or landmarks"):
            reconstruct_person(one, [PHOTO, PHOTO], method=method)
    with pytest.raises(InputError, match="images must be a list of photos, not str"):
        reconstruct_person(model, cast(Any, str(PHOTO)))
    for images in ([PHOTO], [PHOTO] * 25):
        with pytest.raises(InputError, match=r"wants two to 24 photos .* not (1|25)"):
            reconstruct_person(model, images)


@pytest.mark.slow
def test_photo_and_mirror_image_have_one_identity_and_their_own_turn(model: OpenModel) -> None:
    """It is the mirror image of itself, as both photos tell the same of each other's sides."""
    photo = as_photo(PHOTO).pixels
    faces = reconstruct_person(model, [photo, photo[:, ::-1].copy()])
    np.testing.assert_array_equal(faces[0].codes.shape, faces[1].codes.shape)
    turns = [float(yaw_degrees(rotation_matrix(jnp.asarray(face.codes.pose[0])))) for face in faces]
    assert abs(turns[0]) > 1 and abs(turns[0] + turns[1]) < 1
    points = landmarks_mediapipe(model.head, jnp.asarray(faces[0].neutral_vertices))
    # The tip of the nose lies in the middle.
    assert abs(float(points[list(np.asarray(model.head.mediapipe_index)).index(1), 0])) < 5e-4
    assert max(face.fit_error for face in faces) < 1.5


def test_the_quick_way_of_a_head_without_encoder_says_what_to_do(model: OpenModel) -> None:
    with pytest.raises(InputError, match="leave out `head`"):
        encode_faces(dataclasses.replace(model, encoder=None), PHOTO)

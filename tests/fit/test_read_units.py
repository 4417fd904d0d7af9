"""Units read off landmarks as start and prior: what geometry alone cannot tell is found, and landmarks fit as well."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.open_faces.draw import iris_vertices
from emoca_jax import render
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader
from emoca_jax.fit.landmark_model import face_width, project
from emoca_jax.fit.openings import IRIS_CENTRES
from emoca_jax.model import pose
from tests.fit.test_fit import codes_of, detected, fitted, model

SHOWN = (
    {"mouthPucker": 0.9},
    {"browDownLeft": 0.6, "browDownRight": 0.6},
    {"eyeSquintLeft": 0.9, "eyeSquintRight": 0.9},
    {"browInnerUp": 0.7, "browOuterUpLeft": 0.7, "browOuterUpRight": 0.7},
    {"jawOpen": 0.6},
    {"eyeBlinkLeft": 1.0},
    {},
)
BLIND = 3
"""The first of them geometry alone finds too weak; the others it finds."""


@pytest.fixture(scope="module")
def fits():
    """Truths, and their fits with and without what is read; landmarks [*, 478, 3]."""
    head = model().head
    truths = [codes_of(head, **units) for units in SHOWN]
    landmarks = np.concatenate([np.array(detected(codes)) for codes in truths])
    irises = iris_vertices(head)
    for row, codes in zip(landmarks, truths, strict=True):
        vertices = pose(head, codes).vertices
        for centre, vertex in zip(IRIS_CENTRES, irises, strict=True):
            rim = np.asarray(render.weak_perspective(vertices[vertex], codes.camera))
            row[centre : centre + 5] = row[centre] + rim - rim[0]
    units = landmark_units(load_unit_reader(), jnp.asarray(landmarks))
    nothing = np.zeros((len(SHOWN), 7), np.float32)
    return truths, landmarks, fitted(landmarks, nothing, None), fitted(landmarks, nothing, units)


@pytest.mark.thorough
def test_what_geometry_finds_too_weak_is_found_better_and_the_rest_still_is(fits):
    truths, _, without, read = fits
    true = np.stack([np.asarray(codes.expression) for codes in truths])
    before, after = (np.asarray(codes.expression) for codes in (without, read))
    shown = true > 0
    shown[BLIND:] = False
    missed, left = (np.abs(units - true)[shown] for units in (before, after))
    assert left.mean() < 0.85 * missed.mean()
    kept = {name: place for place, name in enumerate(model().head.expression_names)}
    assert min(after[3, kept[name]] for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")) > 0.15
    assert after[4, kept["jawOpen"]] > 0.5
    assert after[5, kept["eyeBlinkLeft"]] > 0.5 and after[5, kept["eyeBlinkRight"]] < 0.25
    assert after[6].max() < 0.2


@pytest.mark.thorough
def test_landmarks_are_explained_as_well(fits):
    _, landmarks, without, read = fits
    errors = []
    for codes in (without, read):
        for row, face in enumerate(landmarks):
            one = jax.tree.map(lambda leaf, row=row: leaf[row], codes)
            missed = np.asarray(project(model().landmarks, one))[:468, :2] - face[:468, :2]
            errors.append(100 * np.sqrt((missed**2).sum(-1).mean()) / float(face_width(jnp.asarray(face))))
    before, after = np.split(np.array(errors), 2)
    assert after.mean() < before.mean() + 0.03


@pytest.mark.slow
def test_units_that_were_not_read_are_fitted_as_if_nothing_was(fits):
    """A head may have units that the network does not know: nothing holds them at rest."""
    _, landmarks, without, _ = fits
    unread = jnp.full(without.expression.shape, jnp.nan)
    codes = fitted(landmarks, np.zeros((len(SHOWN), 7), np.float32), unread)
    np.testing.assert_allclose(codes.expression, without.expression, atol=1e-3)
    np.testing.assert_allclose(codes.shape, without.shape, atol=1e-2)

"""The encoder that ships: codes of known heads, and of photos, beside those of a fit."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.fit.landmark_model import face_width, project
from emoca_jax.fit.landmarks import LM_STEPS, SHAPE_LIMIT, fit_landmarks
from emoca_jax.fit.one_pass import _changed, encode_landmarks, strayed
from emoca_jax.fit.start import closed_form, codes_of, variables_of
from emoca_jax.jobs.open_model import STEPS_ONCE_ENCODED, OpenModel, load_open_model
from emoca_jax.nets.code_reader import CodeStep

PEOPLE = 12


@cache
def model() -> OpenModel:
    return load_open_model("open")


@cache
def people() -> tuple[Codes, np.ndarray]:
    """Codes of people, turned up to 30 degrees, and what the landmark network would find of them."""
    head, random = model().head, np.random.default_rng(5)
    units = np.zeros((PEOPLE, 52), np.float32)
    for row in units:
        row[random.choice(52, 4, replace=False)] = random.uniform(0.2, 0.9, 4)
    codes = Codes(
        shape=jnp.asarray(random.normal(size=(PEOPLE, head.shape_dirs.shape[-1])), jnp.float32),
        expression=jnp.asarray(units),
        pose=jnp.asarray(random.uniform(-0.5, 0.5, (PEOPLE, 2, 3)) * [[1], [0]], jnp.float32),
        jaw=jnp.zeros((PEOPLE, 3)),
        eyes=jnp.zeros((PEOPLE, 2, 3)),
        camera=jnp.tile(jnp.array([6.5, 0.01, 0.02]), (PEOPLE, 1)),
        light=jnp.zeros((PEOPLE, 9, 3)),
        albedo=jnp.zeros((PEOPLE, 0)),
    )
    points = np.zeros((PEOPLE, 478, 3), np.float32)
    points[:, np.asarray(model().landmarks.index)] = jax.vmap(lambda one: project(model().landmarks, one))(codes)
    return codes, points


def off(codes: Codes, landmarks: np.ndarray) -> np.ndarray:
    """Root mean square distance of all points from the landmarks, % of the face's width."""
    points = np.asarray(jax.vmap(lambda one: project(model().landmarks, one))(codes))[..., :2]
    beside = np.square(points - landmarks[:, np.asarray(model().landmarks.index), :2]).sum(-1).mean(-1)
    return 100 * np.sqrt(beside) / np.asarray(face_width(jnp.asarray(landmarks)))


def on_head(landmarks: np.ndarray) -> jax.Array:
    """Those of the landmarks that the head has."""
    return jnp.asarray(landmarks[:, np.asarray(model().landmarks.index)])


def begun() -> Codes:
    truth, landmarks = people()
    return encode_landmarks(model().landmarks, model().encoder or {}, landmarks, truth.expression)


@pytest.mark.thorough
def test_known_heads_are_encoded_where_they_are_and_as_they_look() -> None:
    truth, landmarks = people()
    codes = begun()
    # These people are as random as the head allows, and no network has smoothed their landmarks: photos are nearer.
    begin = jax.vmap(lambda one: codes_of(closed_form(model().landmarks, one).variables))(on_head(landmarks))
    assert (off(codes, landmarks) < 0.7 * off(begin, landmarks)).all() and np.median(off(codes, landmarks)) < 1.4
    turned = jax.vmap(flame.rotation_matrix)(codes.pose[:, 0])
    known = jax.vmap(flame.rotation_matrix)(truth.pose[:, 0])
    cosine = (np.einsum("nij,nij->n", turned, known) - 1) / 2
    off_by = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    assert off_by.max() < 2 and off_by.mean() < 1.1
    # Who they are: nearer to the truth than the average head is.
    told, true = (np.einsum("vcs,ns->nvc", model().landmarks.points.shape_dirs, x.shape) for x in (codes, truth))
    assert np.linalg.norm(told - true) < 0.9 * np.linalg.norm(true)
    assert codes.expression.min() >= 0 and codes.expression.max() <= 1


@pytest.mark.thorough
def test_a_fit_that_begins_with_the_encoder_needs_half_of_the_steps() -> None:
    truth, landmarks = people()
    fits = []
    for start, steps in ((None, LM_STEPS), (begun(), STEPS_ONCE_ENCODED)):
        given = (landmarks[:4], np.zeros((4, 7), np.float32), truth.expression[:4])
        first = None if start is None else jax.tree.map(lambda leaf: leaf[:4], start)
        fits.append(fit_landmarks(model().landmarks, *given, first, steps=steps))
    whole, short = fits
    assert (np.asarray(short.cost) < 1.08 * np.asarray(whole.cost)).all()
    assert np.abs(np.asarray(short.codes.expression) - np.asarray(whole.codes.expression)).max() < 0.05


@pytest.mark.thorough
def test_points_where_they_are_expected_do_not_stray_and_others_stray_as_they_were_moved() -> None:
    """Moved in the head's own frame, by millimetres; depth is compared up to where it begins."""
    truth, landmarks = people()
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), truth)
    rotation, target = flame.rotation_matrix(one.pose[0]), jnp.asarray(landmarks[0, model().landmarks.index])
    np.testing.assert_allclose(strayed(model().landmarks, one, rotation, target), 0, atol=2e-6)
    moved = np.random.default_rng(1).normal(0, 0.003, (len(target), 3)).astype(np.float32)
    world = moved @ np.asarray(rotation).T
    plane = world * np.array([1, -1, -1], np.float32) * float(one.camera[0])
    deep = np.array([0, 0, 5], np.float32)
    found = np.asarray(strayed(model().landmarks, one, rotation, jnp.asarray(np.asarray(target) + plane + deep)))
    level = world[:, 2].mean() * np.asarray(rotation)[2]
    np.testing.assert_allclose(found, moved - level, atol=5e-6)


def test_a_step_turns_the_head_in_its_own_frame_and_keeps_to_its_bounds() -> None:
    turn = jnp.array([0.0, 0.6, 0.0])
    still = jax.tree.map(lambda leaf: leaf[0], people()[0])
    step = CodeStep(jnp.full(still.shape.shape, 9.0), still.expression, turn, jnp.asarray(0.1), jnp.array([0.01, 0.02]))
    rotation = flame.rotation_matrix(still.pose[0])
    after = _changed(variables_of(still), rotation, step)
    wanted = np.asarray(rotation) @ Rotation.from_rotvec(turn).as_matrix()
    np.testing.assert_allclose(flame.rotation_matrix(after.rotation), wanted, atol=1e-5)
    np.testing.assert_allclose(after.camera, [6.5 * np.exp(0.1), 0.02, 0.04], rtol=1e-5)
    assert after.shape.max() == SHAPE_LIMIT


def test_a_start_is_the_average_head_and_survives_as_codes() -> None:
    _, landmarks = people()
    start = closed_form(model().landmarks, jnp.asarray(landmarks[0, model().landmarks.index]))
    jax.tree.map(np.testing.assert_array_equal, variables_of(codes_of(start.variables)), start.variables)
    np.testing.assert_allclose(flame.rotation_matrix(start.variables.rotation), start.rotation, atol=1e-5)
    assert off(jax.tree.map(lambda leaf: leaf[None], codes_of(start.variables)), landmarks[:1])[0] == pytest.approx(
        3, abs=1.5
    )


def test_the_encoder_is_of_the_head_that_ships() -> None:
    assets = resources.files("emoca_jax") / "assets"
    described = json.loads((assets / "code_reader.json").read_text())
    for name, said in (("open_head", described["head"]), ("code_reader", described["sha256"])):
        assert hashlib.sha256((assets / f"{name}.npz").read_bytes()).hexdigest() == said, name

"""The fit: known heads are found again, emotion moves expression, real photos come out as they look."""

import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emoca_jax as ej
from emoca_jax import flame
from emoca_jax.fit import landmarks as fit
from emoca_jax.fit.expression_prior import EMOTION_UNITS, expected_units, expression_prior
from emoca_jax.fit.landmark_model import face_width, project
from emoca_jax.fit.light import EXPOSURE, ambient_light, fit_light_and_albedo
from emoca_jax.fit.photo import inside_oval
from emoca_jax.flame.rotations import yaw_degrees
from emoca_jax.jobs.reconstruct import load_model, reconstruct
from tests.shared_data import SHARED, shared_path

HAPPY, NEUTRAL = jnp.eye(7)[1], jnp.eye(7)[0]


@cache
def model():
    return load_model("open")


@cache
def decode():
    return jax.jit(ej.decode, static_argnums=2)


def codes_of(head, **expression):
    """Codes of the mean person with some units on, turned a little."""
    names = head.expression_names
    units = np.zeros(len(names), np.float32)
    for name, value in expression.items():
        units[names.index(name)] = value
    return ej.Codes(
        shape=jnp.zeros(head.shape_dirs.shape[-1]),
        expression=jnp.asarray(units),
        pose=jnp.array([[0.1, 0.25, -0.05], [0, 0, 0]]),
        jaw=jnp.zeros(3),
        eyes=jnp.zeros((2, 3)),
        camera=jnp.array([6.5, 0.01, 0.02]),
        light=ambient_light(),
        albedo=jnp.zeros(head.albedo.basis.shape[-1]),
    )


def detected(codes):
    """What a perfect landmark network would see of these codes: [1, 478, 3]."""
    found = np.zeros((478, 3), np.float32)
    found[np.asarray(model().landmarks.index)] = project(model().landmarks, codes)
    return jnp.asarray(found)[None]


def fitted(landmarks, probabilities, units):
    """Codes of every row, fitted one by one: the program that one photo takes serves all tests."""
    rows = [
        fit.fit_landmarks(
            model().landmarks,
            jnp.asarray(landmarks[row : row + 1]),
            jnp.asarray(probabilities[row : row + 1]),
            None if units is None else jnp.asarray(units[row : row + 1]),
            None,
        ).codes
        for row in range(len(landmarks))
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)


def test_landmarks_of_a_known_head_are_fitted_and_its_units_found():
    head = model().head
    truth = codes_of(head, jawOpen=0.7, browInnerUp=0.6, eyeBlinkLeft=0.9, eyeBlinkRight=0.9)
    landmarks = detected(truth)
    found = fit.fit_landmarks(model().landmarks, landmarks, jnp.zeros((1, 7)), None, None).codes
    found = jax.tree.map(lambda leaf: leaf[0], found)
    missed = project(model().landmarks, found)[:468, :2] - landmarks[0, :468, :2]
    assert 100 * float(jnp.sqrt(jnp.mean(jnp.sum(missed**2, -1)))) / float(face_width(landmarks[0])) < 0.25
    np.testing.assert_allclose(found.pose[0], truth.pose[0], atol=0.05)
    units = dict(zip(head.expression_names, np.asarray(found.expression), strict=True))
    assert units["jawOpen"] > 0.5 and min(units["eyeBlinkLeft"], units["eyeBlinkRight"]) > 0.6
    others = [value for name, value in units.items() if not name.startswith(("jawOpen", "eyeBlink", "brow"))]
    assert max(others) < 0.35


def test_no_emotion_expects_a_unit_beyond_its_full_strength():
    assert all(0 < strength <= 1 for units in EMOTION_UNITS.values() for strength in units.values())


def test_the_same_landmarks_smile_more_when_the_photo_is_read_as_happy():
    head = model().head
    landmarks = detected(codes_of(head, mouthSmileLeft=0.3, mouthSmileRight=0.3))
    found = fitted(np.concatenate([landmarks, landmarks]), np.stack([NEUTRAL, HAPPY]), None).expression
    left, right = (head.expression_names.index(f"mouthSmile{side}") for side in ("Left", "Right"))
    assert found[1, left] > found[0, left] + 0.05
    assert float(abs(found[1, left] - found[1, right])) < 0.05


def test_expected_units_are_the_weighted_means_of_the_prototypes():
    names = model().head.expression_names
    mean, weight = expected_units(expression_prior(names, len(names)), 0.5 * HAPPY)
    smile, jaw = names.index("mouthSmileLeft"), names.index("jawOpen")
    assert mean[smile] == pytest.approx(0.7) and weight[smile] == pytest.approx(0.5)
    assert weight[jaw] == 0


def test_known_light_and_skin_are_recovered_from_a_rendering():
    head = model().head
    truth = codes_of(head)
    light = truth.light.at[1].set(0.25).at[3].set(0.3)
    albedo = truth.albedo.at[0].set(1.0)
    truth = truth.replace(light=light, albedo=albedo)
    size = (112, 112)
    image = decode()(head, truth, size).rendering
    plain = decode()(head, truth.replace(light=ambient_light(), albedo=jnp.zeros_like(albedo)), size)
    found_light, found_albedo = jax.jit(fit_light_and_albedo)(head.albedo, plain, image, plain.alpha)
    again = decode()(head, truth.replace(light=found_light, albedo=found_albedo), size).rendering
    before = float(jnp.sqrt(jnp.mean((plain.rendering - image)[plain.alpha > 0] ** 2)))
    after = float(jnp.sqrt(jnp.mean((again - image)[plain.alpha > 0] ** 2)))
    assert before > 0.05 and after < 0.02
    assert found_light[1, 0] > 0.1 and found_light[3, 0] > 0.1


def test_pale_and_dark_skin_are_told_apart_in_well_exposed_photos():
    """Known skins under lamps from all over the front, each exposed as a photographer would: the colour of skin is
    nearer than the average person's, which is what comes out where light may be as bright as it likes."""
    head, rng, size = model().head, np.random.default_rng(1), (112, 112)
    errors = []
    for melanin in (-2.0, -1.0, 1.0, 2.0):
        truth = codes_of(head)
        light = truth.light.at[0].multiply(0.5).at[1:4].set(rng.uniform([-0.7, -0.3, 0.3], [0.7, 1.0, 1.0])[:, None])
        truth = truth.replace(light=light, albedo=truth.albedo.at[0].set(melanin))
        drawn = decode()(head, truth, size)
        exposed = truth.replace(light=light * EXPOSURE / drawn.shading[drawn.alpha > 0].mean())
        plain = decode()(head, truth.replace(light=ambient_light(), albedo=jnp.zeros_like(truth.albedo)), size)
        image = jnp.clip(decode()(head, exposed, size).rendering, 0, 1)
        _, found = jax.jit(fit_light_and_albedo)(head.albedo, plain, image, plain.alpha)
        skins = [flame.albedo_map(head.albedo, code)[150, 128].mean() for code in (truth.albedo, found, 0 * found)]
        errors.append([abs(float(skin - skins[0])) for skin in skins[1:]])
    errors = np.array(errors)
    assert errors[:, 1].mean() > 0.08 and errors[:, 0].mean() < 0.5 * errors[:, 1].mean()


def test_the_face_oval_mask_matches_scikit_image():
    from skimage.draw import polygon2mask

    from emoca_jax.mediapipe_points import FACE_OVAL

    landmarks = detected(codes_of(model().head))[0]
    corners = np.asarray(landmarks)[list(FACE_OVAL), :2]
    ours = np.asarray(inside_oval(landmarks, 96)) > 0
    pixels = (corners[:, ::-1] + 1) * 48 - 0.5
    oracle = polygon2mask((96, 96), pixels)
    assert 0.1 < oracle.mean() < 0.6
    assert np.mean(ours != oracle) < 0.003


@pytest.mark.thorough
def test_the_astronaut_smiles():
    face = reconstruct(model(), ej_example("astronaut.jpg"), faces="largest")[0]
    units = unit_values(face)
    assert face.fit_error < 0.55
    assert face.emotion.label == "happy" and face.emotion.rendering["happy"] > 0.5 and face.emotion.valence > 0
    assert_smiles(units)


@pytest.mark.thorough
@pytest.mark.skipif(not (SHARED / "photos").exists(), reason="the labelled photos are not beside the repository")
def test_labelled_photos_come_out_as_they_look():
    labels = json.loads(shared_path("photos/labels.json").read_text())
    errors = []
    for name in (name for name in labels if name != "about"):
        face = reconstruct(model(), SHARED / "photos" / name, faces="largest")[0]
        units, errors = unit_values(face), [*errors, face.fit_error]
        assert np.isfinite(face.vertices).all()
        if name == "profile.jpg":
            # A true profile, which the landmark network draws turned by 65 degrees.
            assert 75 < -yaw_degrees(flame.rotation_matrix(face.codes.pose[0])) < 95
        if "happy" in labels[name]["expression"]:
            assert_smiles(units)
        if name in ("shout.jpg", "surprise.png"):
            mouth = mouth_units(units)
            assert max(mouth, key=mouth.__getitem__) == "jawOpen"
    assert np.median(errors) <= 0.5 and np.percentile(errors, 90) <= 0.95


def ej_example(name):
    from pathlib import Path

    return Path(__file__).parents[2] / "examples" / name


def unit_values(face):
    return dict(zip(face.head.expression_names, np.asarray(face.codes.expression), strict=True))


def mouth_units(units):
    return {name: value for name, value in units.items() if name.startswith(("mouth", "jaw"))}


def assert_smiles(units):
    smile = (units["mouthSmileLeft"] + units["mouthSmileRight"]) / 2
    others = [v for name, v in mouth_units(units).items() if not name.startswith("mouthSmile")]
    # One of them smiles with closed lips; the judge of benchmarks/units.py says .1 of it.
    assert smile >= 0.25 and smile > max(others)

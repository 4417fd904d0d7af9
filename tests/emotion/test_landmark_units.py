"""Units read off landmarks: the network's arithmetic and symmetries, and the truth of faces it has not learned from."""

from functools import cache
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from data_pipelines.open_faces.landmark_sets import projected_faces
from emoca_jax import flame
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader, read_head_units
from emoca_jax.emotion.units import ARKIT_UNITS, MIRRORED
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.nets.unit_reader import laid_over

PEOPLE = 40


@cache
def others():
    """Faces of a seed that training did not use, some 40 % of the people turned away from the viewer left out."""
    faces = projected_faces(flame.load_head("open"), 77, PEOPLE)
    width = np.ptp(faces.points[:, :468, 0], axis=1) / np.ptp(faces.points[:, :468, 1], axis=1)
    seen = width > np.quantile(width, 0.4)
    return faces.points[seen], faces.units[seen]


def read(points):
    return np.asarray(landmark_units(load_unit_reader(), jnp.asarray(points, jnp.float32)))


def test_it_is_a_mean_of_two_plain_networks():
    weights = {
        name: array.astype(float)
        for name, array in np.load(str(resources.files("emoca_jax") / "assets" / "unit_reader.npz")).items()
    }
    points = others()[0][:3, list(EXPRESSION_POINTS)].astype(float)
    partner = [int(np.argmin(((weights["mean"] * [-1, 1] - row) ** 2).sum(1))) for row in weights["mean"]]
    told = []
    for side in (points, points[:, partner] * [-1, 1]):
        centred = side - side.mean(1, keepdims=True)
        # Procrustes by singular values; the network has it in closed form.
        over = []
        for face in centred:
            u, stretch, vt = np.linalg.svd(face.T @ weights["mean"])
            turn = np.diag([1, np.sign(np.linalg.det(u @ vt))])
            over.append(face @ (u @ turn @ vt) * (stretch * np.diag(turn)).sum() / (face**2).sum())
        x = ((np.array(over) - weights["mean"]) / 0.05).reshape(3, -1)
        x = x @ weights["bottleneck/kernel"] + weights["bottleneck/bias"]
        for layer in ("hidden0", "hidden1"):
            x = x @ weights[f"{layer}/kernel"] + weights[f"{layer}/bias"]
            # GELU's usual approximation (Hendrycks and Gimpel 2016) is within 5e-4 of x Phi(x).
            x = x * (1 + erf(x / np.sqrt(2))) / 2
        told.append(1 / (1 + np.exp(-(x @ weights["output/kernel"] + weights["output/bias"]))))
    np.testing.assert_allclose(read(others()[0][:3]), (told[0] + told[1][:, MIRRORED]) / 2, atol=5e-3)


@settings(max_examples=20, deadline=None)
@given(st.floats(-3, 3), st.floats(1e-2, 1e3), st.tuples(st.floats(-5, 5), st.floats(-5, 5)), st.booleans())
def test_where_how_large_and_how_turned_a_face_is_tells_nothing_and_mirrors_mirror(roll, scale, shift, mirrored):
    points, _ = others()
    turn = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    moved = points[:4] @ turn.T + scale * np.array(shift)
    expected = read(points[:4])
    if mirrored:
        # The numbers of the points swap sides, too: on the mean head, whose sides are alike.
        head = flame.load_head("open")
        template = np.asarray(flame.landmarks_mediapipe(head, head.template))
        partner = [int(np.argmin(((template * [-1, 1, 1] - row) ** 2).sum(1))) for row in template]
        # Middle, right, top, left and bottom of the right iris, then of the left one, as the viewer sees them.
        irises = [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]
        moved, expected = moved[:, [*partner, *irises]] * [-1, 1], expected[:, MIRRORED]
    np.testing.assert_allclose(read(moved), expected, atol=2e-3)


def test_points_laid_over_themselves_moved_come_back():
    mean = np.asarray(load_unit_reader()["params"]["mean"])
    # Half floats are not quite centred.
    mean = mean - mean.mean(0)
    moved = mean @ np.array([[0.0, -7.0], [7.0, 0.0]]) + 3.0
    np.testing.assert_allclose(laid_over(jnp.asarray(moved, jnp.float32), jnp.asarray(mean)), mean, atol=1e-6)


def test_no_face_and_a_face_in_one_place_are_answered():
    assert read(np.zeros((0, 478, 3))).shape == (0, len(ARKIT_UNITS))
    slope = jax.grad(lambda points: landmark_units(load_unit_reader(), points).sum())(jnp.ones((478, 3)))
    assert np.isfinite(np.asarray(slope)).all()


@pytest.mark.parametrize(
    ("unit", "least"),
    [("jawOpen", 0.7), ("mouthSmileLeft", 0.7), ("browInnerUp", 0.5), ("eyeBlinkLeft", 0.7), ("eyeLookOutLeft", 0.6)],
)
def test_true_units_of_other_faces_are_told(unit, least):
    points, units = others()
    place = ARKIT_UNITS.index(unit)
    assert np.corrcoef(read(points)[:, place], units[:, place])[0, 1] >= least


def test_a_head_gets_its_own_order_and_nothing_for_what_the_network_does_not_know():
    face = jnp.asarray(others()[0][0], jnp.float32)
    told = read_head_units(face, ("tail", "jawOpen"))
    assert told is not None
    np.testing.assert_allclose(told, [np.nan, read(face[None])[0, ARKIT_UNITS.index("jawOpen")]], atol=1e-6)
    assert read_head_units(face, ()) is None

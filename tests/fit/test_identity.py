"""What landmarks say of a turned head, and what they may not make of a person."""

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from emoca_jax import flame
from emoca_jax.fit import landmarks as fit
from emoca_jax.fit.identity_prior import (
    BROW,
    MOUTH,
    NOSE_WEIGHT,
    POINTS_WEIGHT,
    SHAPE_WEIGHT,
    SURFACE_WEIGHT,
    identity_prior,
    part_prior,
)
from emoca_jax.fit.lag import turned_lag
from emoca_jax.fit.landmark_model import landmark_model, project
from emoca_jax.flame.head import TURN_KNOTS
from emoca_jax.flame.rotations import yaw_degrees
from emoca_jax.mediapipe_points import (
    BROWS,
    CHEEKS,
    CHIN,
    CHIN_SKIN,
    FOREHEAD_SKIN,
    LIP_RINGS,
    LOWER_LIP_LINES,
    NOSE,
    UPPER_LIP_LINES,
)
from tests.fit.test_fit import codes_of


@cache
def head():
    return flame.load_head("open")


def about_y(degrees):
    return jnp.asarray(Rotation.from_euler("y", degrees, degrees=True).as_matrix(), jnp.float32)


def test_the_lag_of_a_turn_is_interpolated_and_mirrors():
    turn = np.random.default_rng(0).normal(size=(len(TURN_KNOTS), 4, 3)).astype(np.float32)
    yaws = [-89.0, -75.0, -70.0, -1.0, 0.0, 20.0, 63.0, 88.0]
    found = turned_lag(jnp.asarray(turn), jnp.stack([about_y(yaw) for yaw in yaws]))
    wanted = [[[np.interp(yaw, TURN_KNOTS, turn[:, p, c]) for c in range(3)] for p in range(4)] for yaw in yaws]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    measured = head().landmark_lag
    assert measured is not None and measured.turn is not None
    lag = measured.turn
    assert not np.asarray(lag[len(TURN_KNOTS) // 2]).any()
    # The chin lies in the middle: both sides say the same of it.
    chin = np.flatnonzero(np.asarray(head().mediapipe_index) == 152)
    np.testing.assert_allclose(lag[:, chin], lag[::-1, chin] * jnp.array([-1.0, 1, 1])[None, None], atol=1e-6)


def test_a_profile_is_found_as_one_from_where_the_network_finds_its_landmarks():
    model = landmark_model(head())
    truth = codes_of(head()).replace(pose=jnp.asarray([[0, np.radians(80), 0], [0, 0, 0]], jnp.float32))
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[np.asarray(model.index)] = project(model, truth)
    found = fit.fit_landmarks(model, landmarks[None], np.zeros((1, 7), np.float32), None, None).codes
    # Laid over the average head as they are, they seem turned by some 60 degrees.
    assert 70 < float(yaw_degrees(flame.rotation_matrix(found.pose[0, 0]))) < 90


def test_identity_costs_what_it_moves_the_skin_along_its_normals_and_its_points():
    """Against trimesh's normals and areas."""
    mesh = head()
    faces = np.asarray(mesh.faces)[np.asarray(mesh.face_part) == 0]
    skin = trimesh.Trimesh(np.asarray(mesh.template), faces, process=False)
    used = np.unique(faces)
    area = np.bincount(faces.ravel(), np.repeat(skin.area_faces, 3), len(mesh.template))[used]
    points = np.asarray(flame.landmarks_mediapipe(mesh, jnp.asarray(mesh.template)))
    face = np.array([np.linalg.norm(points - place, axis=1).min() < 0.012 for place in skin.vertices[used]])
    code = np.random.default_rng(1).normal(size=mesh.shape_dirs.shape[-1])
    moved = np.einsum("vc,vcs,s->v", skin.vertex_normals, np.asarray(mesh.shape_dirs), code)[used] * 1000
    wanted = SHAPE_WEIGHT**2 * code @ code
    for part in (face, ~face):
        wanted += SURFACE_WEIGHT**2 * np.average(moved[part] ** 2, weights=area[part])
    bent = mesh.template + mesh.shape_dirs @ code.astype(np.float32)
    slid = 1000 * (np.asarray(flame.landmarks_mediapipe(mesh, bent)) - points)
    wanted += POINTS_WEIGHT**2 * np.sum(np.var(slid, axis=0))
    nose = np.isin(np.asarray(mesh.mediapipe_index), NOSE)
    wanted += NOSE_WEIGHT**2 * np.mean((slid[nose, 2] - slid[~nose, 2].mean()) ** 2)
    cost = np.sum((identity_prior(mesh) @ code) ** 2)
    # trimesh weighs the faces around a vertex by their angles.
    np.testing.assert_allclose(cost, wanted, rtol=0.03)


@pytest.mark.parametrize(
    ("part", "points"),
    [(MOUTH, [*CHIN_SKIN, *(point for ring in LIP_RINGS for point in ring)]), (BROW, [*BROWS, *FOREHEAD_SKIN])],
)
def test_what_identity_moves_of_a_part_is_told_in_millimetres(part, points):
    """Against the points themselves, laid over each other by the rest of the face."""
    mesh = head()
    inside = np.isin(np.asarray(mesh.mediapipe_index), points)
    code = np.random.default_rng(2).normal(size=mesh.shape_dirs.shape[-1]).astype(np.float32)
    bent = mesh.template + mesh.shape_dirs @ code
    moved = 1000 * np.asarray(flame.landmarks_mediapipe(mesh, bent) - flame.landmarks_mediapipe(mesh, mesh.template))
    moved -= moved[~inside].mean(axis=0)
    wanted = np.mean(np.sum(moved[inside] ** 2, axis=-1))
    # Of all ways in which identity moves them the weakest are left out.
    np.testing.assert_allclose(np.sum((part_prior(mesh, part) @ code) ** 2), wanted, rtol=0.02)


def test_identity_pays_more_for_a_mouth_the_wider_it_is_open():
    model = landmark_model(head())
    prices = []
    for opening in (0.0, 0.3, 0.7):
        truth = codes_of(head(), jawOpen=opening)
        landmarks = np.zeros((478, 3), np.float32)
        landmarks[np.asarray(model.index)] = project(model, truth)
        turn = flame.rotation_matrix(truth.pose[0])
        prices.append(float(fit.landmark_goal(model, jnp.asarray(landmarks), jnp.zeros(7), turn, None).mouth))
    assert prices[0] == fit.MOUTH_AT_REST < prices[1] < prices[2] <= fit.MOUTH_OPEN


def test_a_head_without_points_has_a_prior_and_none_of_its_parts():
    mesh = head()
    points = mesh.landmarks_mediapipe
    bare = mesh.replace(
        landmarks_mediapipe=points.replace(face_index=points.face_index[:0], barycentric=points.barycentric[:0]),
        mediapipe_index=mesh.mediapipe_index[:0],
    )
    assert np.isfinite(identity_prior(bare)).all()
    assert part_prior(bare, MOUTH).shape == part_prior(bare, BROW).shape == (0, mesh.shape_dirs.shape[-1])


def test_thick_lips_of_a_mouth_that_is_wide_open_are_not_the_persons():
    """Lips found 4.5 mm beyond their outer lines. Unless that costs anything they come out 2.7 mm thicker at rest."""
    model, mesh = landmark_model(head()), head()
    truth = codes_of(mesh, jawOpen=0.8)
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[np.asarray(model.index)] = project(model, truth)
    beyond = 0.03 * np.linalg.norm(landmarks[CHEEKS[0]] - landmarks[CHEEKS[1]])
    landmarks[list(UPPER_LIP_LINES[0]), 1] -= beyond
    landmarks[list(LOWER_LIP_LINES[0]), 1] += beyond
    found = fit.fit_landmarks(model, landmarks[None], np.zeros((1, 7), np.float32), None, None).codes

    def heights(vertices):
        points = 1000 * np.asarray(flame.landmarks_mediapipe(mesh, vertices))
        place = {int(point): row for row, point in enumerate(np.asarray(mesh.mediapipe_index))}
        ends = ((0, 13), (17, CHIN))
        return np.array([np.linalg.norm(points[place[above]] - points[place[below]]) for above, below in ends])

    lip, chin = heights(mesh.template + mesh.shape_dirs @ found.shape[0]) - heights(mesh.template)
    assert lip < 1.8
    assert chin > -3.8


RAISED = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")


def brows_read(strength):
    return jnp.asarray([strength if name in RAISED else 0.0 for name in head().expression_names], jnp.float32)


def test_identity_pays_more_for_brows_the_higher_they_were_read():
    model = landmark_model(head())
    landmarks = jnp.asarray(np.random.default_rng(3).uniform(-0.5, 0.5, (478, 3)), jnp.float32)

    def price(units):
        return float(fit.landmark_goal(model, landmarks, jnp.zeros(7), jnp.eye(3), units).brow)

    assert price(None) == price(brows_read(0.0)) == price(brows_read(np.nan)) == 0
    assert price(brows_read(0.5)) == pytest.approx(fit.BROWS_RAISED / 2)
    assert price(brows_read(1.0)) == price(brows_read(1.4)) == pytest.approx(fit.BROWS_RAISED)


def test_raised_brows_found_higher_than_units_go_are_not_the_persons():
    """By 4 % of the face's width. Unless that costs anything brows at rest come out 3.2 mm up, the forehead .7."""
    model, mesh = landmark_model(head()), head()
    truth = codes_of(mesh, **dict.fromkeys(RAISED, 1.0))
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[np.asarray(model.index)] = project(model, truth)
    landmarks[list(BROWS), 1] -= 0.04 * np.linalg.norm(landmarks[CHEEKS[0]] - landmarks[CHEEKS[1]])
    read = brows_read(1.0)[None]
    found = fit.fit_landmarks(model, landmarks[None], np.zeros((1, 7), np.float32), read, None).codes
    bent = mesh.template + mesh.shape_dirs @ found.shape[0]
    moved = 1000 * np.asarray(flame.landmarks_mediapipe(mesh, bent) - flame.landmarks_mediapipe(mesh, mesh.template))
    brow, forehead = (
        moved[np.isin(np.asarray(mesh.mediapipe_index), part), 1].mean() for part in (BROWS, FOREHEAD_SKIN)
    )
    assert brow < 2.3
    assert abs(forehead) < 0.4


def test_a_nose_found_too_far_in_front_is_not_the_persons():
    """By 8 mm, of a head turned by 14 degrees. Where the network's depth weighs four times as much, .6 mm are."""
    model, mesh = landmark_model(head()), head()
    ahead = flame.rotation_matrix(codes_of(mesh).pose[0])[:, 2]
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[np.asarray(model.index)] = project(model, codes_of(mesh))
    width = np.linalg.norm(landmarks[CHEEKS[0]] - landmarks[CHEEKS[1]])
    # World to image: x right, y down, z away.
    landmarks[list(NOSE)] += 0.055 * width * np.asarray(ahead) * [1, -1, -1]
    found = fit.fit_landmarks(model, landmarks[None], np.zeros((1, 7), np.float32), None, None).codes
    bent = mesh.template + mesh.shape_dirs @ found.shape[0]
    moved = 1000 * np.asarray(flame.landmarks_mediapipe(mesh, bent) - flame.landmarks_mediapipe(mesh, mesh.template))
    nose = np.isin(np.asarray(mesh.mediapipe_index), NOSE)
    forward = moved[nose, 2].mean() - moved[~nose, 2].mean()
    assert abs(forward) < 0.4


def test_a_long_nose_seen_from_the_side_stays_in_part():
    """Of 5 mm, in exact landmarks of a head turned by 46 degrees. A price that lets nothing through makes all alike."""
    model, mesh = landmark_model(head()), head()
    nose = np.isin(np.asarray(mesh.mediapipe_index), NOSE)

    def forward(shape):
        bent = mesh.template + mesh.shape_dirs @ np.asarray(shape, np.float32)
        points = 1000 * np.asarray(flame.landmarks_mediapipe(mesh, bent))
        return points[nose, 2].mean() - points[~nose, 2].mean()

    rest = forward(np.zeros(mesh.shape_dirs.shape[-1]))
    slopes = np.array([forward(row) - rest for row in np.eye(mesh.shape_dirs.shape[-1])])
    long = 5 * slopes / (slopes @ slopes)
    truth = codes_of(mesh).replace(shape=jnp.asarray(long, jnp.float32), pose=jnp.array([[0.1, 0.8, -0.05], [0, 0, 0]]))
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[np.asarray(model.index)] = project(model, truth)
    found = fit.fit_landmarks(model, landmarks[None], np.zeros((1, 7), np.float32), None, None).codes
    assert forward(found.shape[0]) - rest > 0.8

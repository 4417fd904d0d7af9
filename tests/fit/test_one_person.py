"""Several photos of a person have one identity, and tell more of it together than one of them alone."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from emoca_jax import flame
from emoca_jax.fit.landmark_model import landmark_model, project
from emoca_jax.fit.landmarks import fit_landmarks
from emoca_jax.fit.least_squares import bounded_minimum, normal_equations
from emoca_jax.fit.one_person import IDENTITY_SHARE, fit_person, sharing_identity, together
from emoca_jax.similarity import align_similarity
from tests.fit.test_fit import codes_of

YAWS = (0, 35, -50)
NO_CLASS = np.zeros((len(YAWS), 7), np.float32)


@cache
def model():
    return landmark_model(flame.load_head("open"))


def seen(shape, yaw, **expression):
    """A person's exact landmarks in a photo."""
    turn = Rotation.from_euler("xyz", [5, yaw, -3], degrees=True).as_rotvec()
    codes = codes_of(flame.load_head("open"), **expression).replace(
        shape=jnp.asarray(shape, jnp.float32), pose=jnp.asarray([turn, np.zeros(3)], jnp.float32)
    )
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[np.asarray(model().index)] = project(model(), codes)
    # A network's depth is rough, and its zero anywhere.
    landmarks[:, 2] = 0.8 * landmarks[:, 2] + 0.1
    return landmarks


def missed(shape, truth):
    """Millimetres between the points of two people at rest, laid over each other."""
    head = model().points
    template, directions = np.asarray(head.template), np.asarray(head.shape_dirs)
    first, second = (
        np.asarray(
            flame.points_on_mesh(jnp.asarray(template + directions @ np.asarray(code)), head.faces, model().embedding)
        )
        for code in (shape, truth)
    )
    laid = align_similarity(jnp.asarray(first), jnp.asarray(second))
    moved = float(laid.scale) * first @ np.asarray(laid.rotation).T + np.asarray(laid.translation)
    return 1000 * np.sqrt(np.mean(np.sum((moved - second) ** 2, axis=-1)))


def test_identity_costs_as_much_in_all_photos_together_as_in_one():
    """But for the share that it costs more."""
    code = np.random.default_rng(5).normal(size=model().points.shape_dirs.shape[-1])

    def costs(of, photos):
        return np.array([photos * np.sum((np.asarray(rows) @ code) ** 2) for rows in (of.identity, of.mouth, of.brow)])

    for photos in (2, 24):
        more = costs(sharing_identity(model(), photos), photos) / costs(model(), 1)
        np.testing.assert_allclose(more, [IDENTITY_SHARE, 1, 1], rtol=1e-5)


@pytest.mark.thorough
def test_one_identity_of_three_views_is_nearer_to_the_person_than_that_of_one():
    truth = np.random.default_rng(4).normal(size=model().points.shape_dirs.shape[-1]).astype(np.float32)
    photos = np.stack(
        [
            seen(truth, yaw, **units)
            for yaw, units in zip(YAWS, ({"jawOpen": 0.4}, {"mouthSmileLeft": 0.6}, {}), strict=True)
        ]
    )
    found = fit_person(model(), photos, NO_CLASS, None).codes
    np.testing.assert_array_equal(found.shape[1:], found.shape[:-1])
    turns = Rotation.from_rotvec(np.asarray(found.pose[:, 0])).as_euler("yxz", degrees=True)[:, 0]
    np.testing.assert_allclose(turns, YAWS, atol=6)
    jaw = np.asarray(found.expression)[:, flame.load_head("open").expression_names.index("jawOpen")]
    assert jaw[0] > 0.25 and max(jaw[1:]) < 0.1
    alone = fit_landmarks(model(), photos[:1], NO_CLASS[:1], None, None).codes.shape[0]
    nothing = missed(0 * truth, truth)
    assert missed(found.shape[0], truth) < missed(alone, truth) < nothing


def test_what_photos_share_and_what_is_their_own_is_solved_for_as_if_all_were_one_problem():
    """Against SciPy, without knowing which residual depends on what."""
    rng = np.random.default_rng(0)
    by_shared, by_own, target = (rng.normal(size=size).astype(np.float32) for size in ((3, 9, 4), (3, 9, 2), (3, 9)))

    def of_one(part, x):
        by_shared, by_own, target = part
        return jnp.tanh(by_shared @ x[:4]) + by_own @ x[4:] - target

    def each(x):
        return jnp.concatenate([jnp.broadcast_to(x[:4], (3, 4)), x[4:].reshape(3, 2)], axis=1)

    def everything(x):
        return jax.vmap(of_one)((by_shared, by_own, target), each(x)).ravel()

    def equations(x):
        parts = jax.vmap(lambda part, y: normal_equations(lambda z: of_one(part, z), y))(
            (by_shared, by_own, target), each(x)
        )
        return together(parts, 4)

    place = jnp.asarray(rng.normal(size=10), jnp.float32)
    for mine, plain in zip(equations(place), normal_equations(everything, place), strict=True):
        np.testing.assert_allclose(mine, plain, atol=1e-4)
    box = jnp.full(10, 0.4)
    cost = lambda x: 0.5 * jnp.sum(everything(x) ** 2)  # noqa: E731
    found = bounded_minimum(equations, cost, jnp.zeros(10), -box, box, jnp.zeros(10), 40)
    oracle = least_squares(
        lambda x: np.asarray(everything(jnp.asarray(x, jnp.float32))), np.zeros(10), bounds=(-0.4, 0.4)
    )
    np.testing.assert_allclose(found.cost, oracle.cost, rtol=1e-3)
    np.testing.assert_allclose(found.parameters, oracle.x, atol=5e-3)

"""The mesh networks against LiteRT (plain) and MediaPipe's own runtime (attention), which alone has its operations.

golden_open_networks.npz: recorded by scripts/record_network_goldens.py.
"""

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.mediapipe_points import LEFT_IRIS, RIGHT_IRIS
from emoca_jax.nets.mediapipe.face_mesh import (
    LEFT_EYE,
    LIPS,
    RIGHT_EYE,
    FaceMesh,
    crop_features,
    region_transform,
    with_depth,
)
from emoca_jax.nets.weights import load_shipped_weights
from tests.nets.test_face_detection import GOLDEN, noise_and_face


def test_plain_mesh_answers_as_litert_does():
    points, presence = jax.jit(FaceMesh(attention=False).apply)(load_shipped_weights("face_mesh"), noise_and_face(192))
    with np.load(GOLDEN) as golden:
        expected = golden["mesh_1404"].reshape(2, 468, 3)
        np.testing.assert_allclose(points, expected, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(presence, golden["mesh_1"].reshape(2), atol=1e-4)


def test_attention_mesh_answers_as_mediapipe_does_upright_and_tilted():
    with np.load(GOLDEN) as golden:
        crops, expected = golden["crops"].astype(np.float32) / 255, golden["attention"]
    points, presence = jax.jit(FaceMesh(attention=True).apply)(load_shipped_weights("face_mesh_attention"), crops)
    # Pixels of 192; measured 1.2e-4.
    np.testing.assert_allclose(points, expected, atol=2e-3)
    assert (np.asarray(presence) > 5).all()


def test_regions_share_no_point_and_irises_come_last():
    together = [*LIPS, *RIGHT_EYE, *LEFT_EYE, *RIGHT_IRIS, *LEFT_IRIS]
    assert [len(LIPS), len(RIGHT_EYE), len(LEFT_EYE)] == [80, 71, 71]
    assert len(set(together)) == len(together)
    assert sorted(together)[-10:] == list(range(468, 478))


def test_region_crop_of_a_tilted_square_follows_it():
    angle, centre = np.deg2rad(30), np.array([96.0, 80.0])
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mesh = np.tile(centre, (1, 468, 1))
    corners = np.array([[-20, -10], [20, -10], [20, 10], [-20, 10]]) @ axes.T + centre
    mesh[0, :4] = corners
    linear, offset = region_transform(jnp.asarray(mesh), (0, 1, 2, 3), (0, 1))
    # The grid is 16 wide, the features a quarter of the image, the crop 1.5 times the box.
    grid = np.array([[-20, -10], [20, -10], [20, 10], [-20, 10]]) / 1.5 / [40, 20] * 16 + 8
    np.testing.assert_allclose(grid @ np.asarray(linear[0]).T + offset, corners / 4, atol=1e-4)


def test_feature_crop_samples_a_ramp_exactly_and_is_zero_outside():
    rows, columns = np.mgrid[:48, :48].astype(np.float32)
    ramp = np.stack([columns, rows], axis=-1)[None]
    crop = crop_features(jnp.asarray(ramp), jnp.array([[[2.0, 0.5], [0.0, 3.0]]]), jnp.array([[-4.0, 6.0]]))
    y, x = np.mgrid[:16, :16] + 0.5
    where = np.stack([2 * x + 0.5 * y - 4.5, 3 * y + 5.5], axis=-1)
    inside = ((where >= 0) & (where <= 47)).all(axis=-1, keepdims=True)
    assert 0 < inside.sum() < inside.size
    np.testing.assert_allclose(crop[0], np.where(inside, where, 0), atol=1e-4)


def test_depth_is_the_meshs_and_an_iris_takes_its_eyes():
    rng = np.random.default_rng(1)
    xy, z = rng.normal(size=(2, 478, 2)).astype(np.float32), rng.normal(size=(2, 468)).astype(np.float32)
    merged = np.asarray(with_depth(jnp.asarray(xy), jnp.asarray(z)))
    np.testing.assert_array_equal(merged[..., :2], xy)
    np.testing.assert_array_equal(merged[:, :468, 2], z)
    for iris, eye in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE)):
        contour = z[:, list(eye[:16])].mean(axis=1)
        np.testing.assert_allclose(merged[:, list(iris), 2], np.tile(contour[:, None], 5), rtol=1e-5)

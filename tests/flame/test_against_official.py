"""The made-up FLAME against numbers of the official PyTorch layer (golden/seed0/flame.npz) and against smplx."""

import pickle
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import flame
from tests.flame.made_up_flame import landmark_tables, made_up_head, official_arrays
from tests.shared_data import shared_path

VERTEX_TOLERANCE = 1e-6
"""Metres; the official code's own fp32 error on these inputs is 4e-8."""
GRADIENT_TOLERANCE = 1e-4
"""Of the largest gradient entry."""


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(shared_path("reference/golden/seed0/flame.npz")))


def full_pose(pose, eyes):
    """Official order (global, jaw) + (left eye, right eye) -> our five joints; the neck rests."""
    rest = jnp.zeros_like(pose[..., :3])
    return jnp.stack([pose[..., :3], rest, pose[..., 3:], eyes[..., :3], eyes[..., 3:]], axis=-2)


@pytest.fixture(scope="module")
def posed(golden):
    pose = full_pose(jnp.asarray(golden["pose"]), jnp.asarray(golden["eye_pose"]))
    return jax.jit(flame.forward)(made_up_head(), golden["shape"], golden["exp"], pose)


def test_vertices_and_joints_match_the_official_layer(golden, posed):
    np.testing.assert_allclose(posed.vertices, golden["verts"], rtol=0, atol=VERTEX_TOLERANCE)
    np.testing.assert_allclose(posed.joints, golden["joints"], rtol=0, atol=VERTEX_TOLERANCE)


def test_all_landmark_sets_match_the_official_layer(golden, posed):
    head = made_up_head()
    for found, name in (
        (flame.landmarks68(head, posed), "landmarks2d"),
        (flame.landmarks68_fixed(head, posed.vertices), "landmarks3d"),
        (flame.landmarks_mediapipe(head, posed.vertices), "landmarks_mediapipe"),
    ):
        np.testing.assert_allclose(found, golden[name], rtol=0, atol=VERTEX_TOLERANCE, err_msg=name)


def test_contour_picks_the_official_row_at_every_yaw(golden, posed):
    contour = flame.contour_at(made_up_head(), posed.rotations[:, 1])
    np.testing.assert_array_equal(contour.face_index, golden["dyn_faces_idx"])
    np.testing.assert_allclose(contour.barycentric, golden["dyn_bary"], atol=1e-7)


def test_gradients_match_the_official_layer(golden):
    weights = {
        name: np.random.default_rng([1000, zlib.crc32(name.encode())])
        .normal(0, 1, golden[key].shape)
        .astype(np.float32)
        for name, key in (("flame.W", "verts"), ("flame.W2", "landmarks2d"))
    }

    def weighted_sum(shape, expression, pose, eyes, head):
        output = flame.forward(head, shape, expression, full_pose(pose, eyes))
        landmarks = flame.landmarks68(head, output)
        return jnp.sum(output.vertices * weights["flame.W"]) + jnp.sum(landmarks * weights["flame.W2"])

    gradients = jax.jit(jax.grad(weighted_sum, argnums=(0, 1, 2, 3)))(
        *(jnp.asarray(golden[name]) for name in ("shape", "exp", "pose", "eye_pose")), made_up_head()
    )
    for found, name in zip(gradients, ("shape", "exp", "pose", "eye"), strict=True):
        wanted = golden[f"grad_{name}"]
        assert np.abs(found - wanted).max() <= GRADIENT_TOLERANCE * np.abs(wanted).max(), name


class TestAgainstSmplx:
    """A second implementation, on codes the golden file does not hold (300 + 100 directions would need other files)."""

    @pytest.fixture
    def layer(self, tmp_path_factory):
        smplx = pytest.importorskip("smplx")
        folder = tmp_path_factory.mktemp("smplx")
        tables = landmark_tables()
        model = dict(official_arrays(1))
        with open(folder / "FLAME_NEUTRAL.pkl", "wb") as file:
            pickle.dump(model, file)
        with open(folder / "flame_static_embedding.pkl", "wb") as file:
            static = {
                "lmk_face_idx": tables["static_lmk_faces_idx"],
                "lmk_b_coords": tables["static_lmk_bary_coords"],
            }
            pickle.dump(static, file)
        return smplx.FLAME(str(folder), num_betas=100, num_expression_coeffs=50, batch_size=6)

    def test_random_codes(self, layer):
        torch = pytest.importorskip("torch")
        draw = np.random.default_rng(5)
        shape, expression = (draw.normal(0, 1, (6, n)).astype(np.float32) for n in (100, 50))
        pose = draw.normal(0, 0.4, (6, 5, 3)).astype(np.float32)
        names = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose")
        with torch.no_grad():
            wanted = layer(
                betas=torch.tensor(shape),
                expression=torch.tensor(expression),
                **{name: torch.tensor(pose[:, joint]) for joint, name in enumerate(names)},
            )
        head = made_up_head(1)
        found = jax.jit(flame.forward)(head, shape, expression, pose)
        static = flame.landmarks68(head, found)[:, 17:]
        np.testing.assert_allclose(found.vertices, wanted.vertices, rtol=0, atol=VERTEX_TOLERANCE)
        # smplx puts the 51 static landmarks behind the five joints.
        np.testing.assert_allclose(found.joints, wanted.joints[:, :5], rtol=0, atol=VERTEX_TOLERANCE)
        np.testing.assert_allclose(static, wanted.joints[:, 5:56], rtol=0, atol=VERTEX_TOLERANCE)

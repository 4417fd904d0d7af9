"""Maps and mesh of a displaced surface: against an analytic plane, and as other programs read them."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from PIL import Image

from emoca_jax import render
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel
from emoca_jax.export.detail_maps import LARGEST_DISPLACEMENT, _tangent_space, dense_faces
from emoca_jax.files.whole import is_result
from tests import reference_weights
from tests.export.made_up_face import made_up_face
from tests.export.read_glb import Glb
from tests.export.test_gltf import validate
from tests.flame.small_head import small_head
from tests.test_model import official_codes, painted_head, wrinkles

SIDE = 16


def plane():
    """A head that is a square turned 90 degrees: u grows along -y, v along x, the front is +z."""
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    vertices = np.stack([uv[:, 1], -uv[:, 0], np.zeros(4)], -1).astype(np.float32)
    head = small_head()
    head = head.replace(
        template=vertices,
        faces=faces,
        uv=uv,
        uv_faces=faces,
        face_part=head.face_part[:2],
        joint_regressor=head.joint_regressor[:, :4],
        **{name: getattr(head, name)[:4] for name in ("shape_dirs", "expression_dirs", "pose_dirs", "skin_weights")},
    )
    fragments = render.rasterize_uv(uv, faces, (SIDE, SIDE))
    model = DetailModel({}, fragments, np.ones((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32))
    return head, model, vertices


def test_tangent_space_of_a_plane():
    head, model, vertices = plane()
    along_u, along_v, outward = np.array([0, -1, 0]), np.array([1, 0, 0]), np.array([0, 0, 1])
    wanted = np.array([0.3, -0.2, 0.9]) / np.linalg.norm([0.3, -0.2, 0.9])
    normal = wanted[0] * along_u + wanted[1] * along_v + wanted[2] * outward
    normals = jnp.broadcast_to(jnp.asarray(normal, jnp.float32), (SIDE, SIDE, 3))
    local = np.asarray(_tangent_space(head, model, vertices, normals))
    np.testing.assert_allclose(local, np.broadcast_to(wanted, local.shape), atol=1e-6)


def test_dense_mesh_of_a_plane_is_every_cell():
    head, model, _ = plane()
    texel, faces = dense_faces(model, head)
    assert len(texel) == SIDE**2 and len(faces) == 2 * (SIDE - 1) ** 2
    split = head.replace(uv_faces=np.array([[0, 1, 2], [0, 3, 2]]), uv=head.uv)
    assert len(dense_faces(model, split)[1]) == len(faces)
    apart = head.replace(uv=np.concatenate([head.uv, head.uv[[0, 2, 3]]]), uv_faces=np.array([[0, 1, 2], [4, 5, 6]]))
    _, faces = dense_faces(model, apart)
    assert 0 < len(faces) < 2 * (SIDE - 1) ** 2 - SIDE


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    golden = reference_weights.golden("decode_mesh")
    codes = official_codes(golden)
    first = {name: np.asarray(value)[0] for name, value in vars(codes).items()}
    result = dataclasses.replace(
        made_up_face(painted_head()), codes=Codes(**first), vertices=golden["verts"][0], detail_model=wrinkles()
    )
    folder = tmp_path_factory.mktemp("detail")
    result.save(folder / "face", ("glb", "obj", "npz"))
    return folder, result


@pytest.mark.thorough
def test_every_file_is_there_and_agrees(files):
    folder, result = files
    assert all(map(is_result, folder.iterdir())), "so that a second run may replace them"
    stored = np.load(folder / "face.npz")
    assert stored["detail"].shape == (128,)
    displacement = np.asarray(Image.open(folder / "face_displacement.png")).astype(float) / 65535 * 2 - 1
    np.testing.assert_allclose(displacement * LARGEST_DISPLACEMENT, stored["displacement"], atol=1e-6)
    normals = np.asarray(Image.open(folder / "face_normals.png"))
    assert np.median(normals.reshape(-1, 3), axis=0).tolist() == pytest.approx([128, 128, 255], abs=3)
    mesh = trimesh.load(folder / "face_detail.obj", process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    coarse = trimesh.Trimesh(result.vertices, np.asarray(result.head.faces), process=False)
    _, distance, _ = trimesh.proximity.closest_point(coarse, mesh.vertices[::500])
    assert distance.max() < LARGEST_DISPLACEMENT and np.median(distance) > 1e-5
    # Outside out: the dense mesh faces where the surface below it does.
    facing = np.einsum("vk,vk->v", mesh.vertex_normals, mesh.vertices - mesh.vertices.mean(0))
    assert (facing > 0).mean() > 0.75


@pytest.mark.thorough
def test_glb_carries_the_normal_map_and_is_valid(files):
    folder, _ = files
    document = Glb((folder / "face.glb").read_bytes()).json
    assert [image["name"] for image in document["images"]] == ["albedo", "normals"]
    assert document["materials"][0]["normalTexture"] == {"index": 1}
    corners = Glb((folder / "face.glb").read_bytes())
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    tangent, normal = (corners.accessor(attributes[name]) for name in ("TANGENT", "NORMAL"))
    np.testing.assert_allclose(np.sum(tangent[:, :3] * normal, -1), 0, atol=1e-5)
    issues = validate(folder / "face.glb")
    assert issues["numErrors"] == 0 and issues["numWarnings"] == 0, json.dumps(issues)[:500]

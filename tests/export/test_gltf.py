"""The .glb shows what `flame.forward` computes, in any program that follows the standard."""

import io
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from emoca_jax import flame
from emoca_jax.export.gltf import head_glb
from emoca_jax.export.png import png_bytes
from tests.export.made_up_face import made_up_face, made_up_head
from tests.export.read_glb import Glb

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


def written(face) -> bytes:
    return head_glb(
        face.head, face.codes, face.neutral_vertices, png_bytes(face.texture), name="anna_0", generator="emoca_jax"
    )


HEADS = {
    "plain": made_up_head,
    "correctives": lambda: made_up_head(correctives=True),
    "open": lambda: flame.load_head("open"),
}


@pytest.fixture(scope="module", params=HEADS)
def face(request):
    return made_up_face(HEADS[request.param]())


@pytest.fixture(scope="module")
def glb(face):
    return Glb(written(face))


def by_part(head, vertices):
    """Triangles in the order of the file: part by part."""
    order = np.argsort(head.face_part, kind="stable")
    return np.asarray(vertices)[head.faces[order]]


def test_default_view_is_the_posed_face_with_its_head_upright(face, glb):
    pose = np.concatenate([np.zeros((2, 3)), face.codes.jaw[None], face.codes.eyes]).astype(np.float32)
    expected = flame.forward(face.head, face.codes.shape, face.codes.expression, pose).vertices
    np.testing.assert_allclose(glb.shown(), by_part(face.head, expected), atol=5e-6)


def test_bones_rest_along_themselves_and_leave_the_skin_where_it_was(face, glb):
    nodes, skin = glb.json["nodes"], glb.json["skins"][0]
    rest = np.linalg.inv(glb.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2))
    place = {nodes[joint]["name"]: matrix[:3, 3] for joint, matrix in zip(skin["joints"], rest, strict=True)}
    up = {nodes[joint]["name"]: matrix[:3, 1] for joint, matrix in zip(skin["joints"], rest, strict=True)}
    ends = {"neck": "head", "head": "head_end", "jaw": "jaw_end", "left_eye": "left_eye_end"}
    for bone, end in ends.items():
        way = place[end] - place[bone]
        np.testing.assert_allclose(up[bone], way / np.linalg.norm(way), atol=1e-4)
    np.testing.assert_allclose(place["jaw_end"], landmark(face, 8), atol=1e-6)
    assert up["left_eye"] == pytest.approx([0, 0, 1], abs=1e-6) and up["head"] == pytest.approx([0, 1, 0], abs=1e-6)
    weights = [p for mesh in glb.json["meshes"] for p in mesh["primitives"]]
    assert max(glb.accessor(p["attributes"]["JOINTS_0"]).max() for p in weights) < len(face.head.parents)


def landmark(face, number):
    return np.asarray(flame.landmarks68_fixed(face.head, face.neutral_vertices))[number]


def test_each_named_unit_moves_the_meshes_as_the_head_does(face, glb):
    units = list(face.head.expression_names)
    default = dict(zip(units, face.codes.expression.tolist(), strict=True)) | {"photo_pose_corrective": 1.0}
    default |= dict.fromkeys(flame.VISEMES, 0.0)
    for mesh in glb.json["meshes"]:
        assert mesh.get("weights", []) == pytest.approx([default[name] for name in named(mesh)])
    spoken = set(flame.VISEMES) if flame.has_visemes(face.head) else set()
    assert {name for mesh in glb.json["meshes"] for name in named(mesh)} - {"photo_pose_corrective"} == set(
        units
    ) | spoken
    still = Glb(written(replace(face, codes=face.codes.replace(jaw=0 * face.codes.jaw, eyes=0 * face.codes.eyes))))
    for unit in range(0, len(units), 1 + len(units) // 8):
        weights = np.zeros(len(units), np.float32)
        weights[unit] = 0.7
        expected = flame.unposed_vertices(face.head, face.codes.shape, weights)
        np.testing.assert_allclose(still.shown({units[unit]: 0.7}), by_part(face.head, expected), atol=5e-6)
    for viseme in sorted(spoken)[::4]:
        weights = np.array([0.7 * flame.VISEMES[viseme].get(unit, 0) for unit in units], np.float32)
        expected = flame.unposed_vertices(face.head, face.codes.shape, weights)
        np.testing.assert_allclose(still.shown({viseme: 0.7}), by_part(face.head, expected), atol=5e-6)


def named(mesh):
    """Morph targets of a mesh."""
    return mesh.get("extras", {}).get("targetNames", [])


def test_every_mesh_has_the_name_of_its_part_and_only_targets_that_move_it(face, glb):
    meshes = {mesh["name"]: mesh for mesh in glb.json["meshes"]}
    assert list(meshes) == [node["name"] for node in glb.json["nodes"] if "mesh" in node] == list(face.head.part_names)
    assert not set(meshes) & {skin["name"] for skin in glb.json["skins"]}, "Blender numbers names that come twice"
    for mesh in meshes.values():
        for name, target in zip(named(mesh), mesh["primitives"][0].get("targets", []), strict=True):
            assert (np.abs(glb.accessor(target["POSITION"])).max() > 0) == (name != "viseme_sil")
    if "teeth" in meshes:
        assert "jawOpen" not in named(meshes["eyes"]) and "mouthSmileLeft" in named(meshes["skin"])


def test_every_accessor_stands_on_bytes(glb):
    """Optional in glTF; assimp, VTK, Open3D and others refuse files without."""
    views = glb.json["bufferViews"]
    for entry in glb.json["accessors"]:
        stride = views[entry["bufferView"]].get("byteStride")
        parts = [entry, *(entry.get("sparse", {}).get(part, entry) for part in ("indices", "values"))]
        assert all(part["byteOffset"] == 0 and "bufferView" in part for part in parts)
        assert entry["type"] != "VEC3" or views[entry["bufferView"]]["byteLength"] >= 12 * entry["count"]
        assert stride == 12 or "sparse" not in entry
    assert all("byteOffset" in view for view in views)


def test_skeleton(face, glb):
    nodes = {node["name"]: node for node in glb.json["nodes"]}
    assert {"neck", "head", "jaw", "left_eye", "right_eye"} < set(nodes)
    children = {name: [glb.json["nodes"][i]["name"] for i in nodes[name].get("children", [])] for name in nodes}
    assert children["neck"] == ["head"] and children["head"] == ["face", "head_end"]
    assert children["face"] == ["jaw", "left_eye", "right_eye"] and children["jaw"] == ["jaw_end"]
    # Upright: nothing above the jaw turns.
    moved = dict(zip([node["name"] for node in glb.json["nodes"]], glb.joint_matrices(), strict=False))
    for bone in ("neck", "head", "face"):
        np.testing.assert_allclose(moved[bone], np.eye(4), atol=1e-6)
    # Each eye turns about its own middle, and the subject's left is +x.
    bind = np.linalg.inv(glb.accessor(glb.json["skins"][0]["inverseBindMatrices"]).reshape(-1, 4, 4))
    eyes = face.head.face_part == face.head.part_names.index("eyes")
    points = face.neutral_vertices[np.unique(np.asarray(face.head.faces)[eyes])]
    for joint, side in ((3, points[:, 0] > 0), (4, points[:, 0] < 0)):
        middle = (points[side].min(0) + points[side].max(0)) / 2
        # Not z: an eyeball may be open behind.
        np.testing.assert_allclose(bind[joint, 3, :2], middle[:2], atol=1e-3)
    assert moved["left_eye"][0, 2] > 0, "looks to the subject's left, as the codes say"


def test_normals_are_unit_and_point_out(glb):
    for mesh in glb.json["meshes"]:
        (primitive,) = mesh["primitives"]
        position = glb.accessor(primitive["attributes"]["POSITION"])
        normal = glb.accessor(primitive["attributes"]["NORMAL"])
        np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)
        corners = position[glb.accessor(primitive["indices"]).reshape(-1, 3)]
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        mean = normal[glb.accessor(primitive["indices"]).reshape(-1, 3)].mean(1)
        keep = np.linalg.norm(flat, axis=1) > 1e-8
        assert (np.einsum("fk,fk->f", flat, mean)[keep] > 0).mean() > 0.95, "sharp creases aside"


def test_materials_parts_and_texture(face, glb):
    names = [material["name"] for material in glb.json["materials"]]
    assert names == list(face.head.part_names)
    image = Image.open(io.BytesIO(glb.view(glb.json["images"][0]["bufferView"])))
    np.testing.assert_array_equal(np.asarray(image), face.texture)


def test_trimesh_reads_the_same_surface_and_texture(face, glb):
    scene = trimesh.load(io.BytesIO(written(face)), file_type="glb")
    assert isinstance(scene, trimesh.Scene)
    meshes = [mesh for mesh in scene.dump() if isinstance(mesh, trimesh.Trimesh)]
    triangles = np.concatenate([mesh.triangles for mesh in meshes])
    expected = by_part(face.head, face.neutral_vertices)
    assert triangles.shape == expected.shape
    np.testing.assert_allclose(
        np.sort(triangles.mean(1), axis=0), np.sort(expected.astype(float).mean(1), axis=0), atol=1e-6
    )
    # uv in trimesh, as in OBJ and in a head, has its origin at the bottom left.
    skin = max(meshes, key=lambda mesh: len(mesh.faces))
    assert isinstance(skin.visual, TextureVisuals) and isinstance(skin.visual.material, PBRMaterial)
    corner_uv = np.asarray(skin.visual.uv)[skin.faces]
    np.testing.assert_allclose(corner_uv, face.head.uv[face.head.uv_faces[face.head.face_part == 0]], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(skin.visual.material.baseColorTexture), face.texture)


def test_units_without_names_are_numbered(face):
    nameless = replace(face, head=face.head.replace(expression_names=()))
    names = named(Glb(written(nameless)).json["meshes"][0])
    assert names[:4] == ["expression_000", "expression_001", "expression_002", "expression_003"]


def validator_environment():
    """Where node finds gltf-validator, or None."""
    if shutil.which("node") is None:
        return None
    for folder in (
        REPOSITORY / "node_modules",
        *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep))),
    ):
        if (folder / "gltf-validator").is_dir():
            return os.environ | {"NODE_PATH": str(folder)}
    return None


def validate(path):
    environment = validator_environment()
    if environment is None:
        pytest.skip("the Khronos validator is absent: run `npm install --no-save gltf-validator` in the repository")
    report = subprocess.run(
        ["node", HERE / "gltf_validate.mjs", path], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(report.stdout)


def test_khronos_validator_has_nothing_to_say(face, tmp_path):
    (tmp_path / "face.glb").write_bytes(written(face))
    issues = validate(tmp_path / "face.glb")
    assert issues["messages"] == []


def test_the_validator_is_awake(face, tmp_path):
    broken = bytearray(written(face))
    at = broken.index(b'"count":')
    broken[at + 8 : at + 9] = b"9"
    (tmp_path / "face.glb").write_bytes(broken)
    assert validate(tmp_path / "face.glb")["numErrors"] > 0

"""The .glb in programs of other houses; docs/files.md says how to install them and how to run this."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emoca_jax import flame
from emoca_jax.export.gltf import head_glb
from emoca_jax.export.rig.naming import PLAIN, READY_PLAYER_ME, Naming
from emoca_jax.export.save import png_bytes
from tests.export.made_up_face import made_up_face
from tests.export.read_glb import Glb

pytestmark = pytest.mark.slow

BLENDER = os.environ.get("EMOCA_JAX_TEST_BLENDER")
"""A Python that has Blender: bpy wants NumPy 1, jax NumPy 2, so it is not this one."""

IN_BLENDER = """
import sys, bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[1])
for thing in bpy.data.armatures:
    for bone in thing.bones:
        way = (bone.tail_local - bone.head_local).normalized()
        print("BONE", bone.name, *(f"{x:.5f}" for x in (*way, bone.length)))
for thing in bpy.data.objects:
    keys = thing.data.shape_keys.key_blocks if thing.type == "MESH" and thing.data.shape_keys else []
    print("FOUND", thing.name, thing.type, *(f"{key.name}={key.value:.6f}" for key in keys if key.name != "Basis"))
"""


def written(path: Path, naming: Naming) -> Path:
    face = made_up_face(flame.load_head("open"))
    texture = png_bytes(face.texture)
    path.write_bytes(
        head_glb(face.head, face.codes, face.neutral_vertices, texture, name="anna", generator="-", naming=naming)
    )
    return path


@pytest.fixture(scope="module")
def glb(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("glb") / "anna.glb", PLAIN)


@pytest.fixture(scope="module")
def avatar(tmp_path_factory) -> Path:
    """With Ready Player Me's names: two eyes of one material."""
    return written(tmp_path_factory.mktemp("glb") / "avatar.glb", READY_PLAYER_ME)


def vertices_of(glb: Path) -> list[int]:
    """Of each mesh."""
    read = Glb(glb.read_bytes())
    places = [mesh["primitives"][0]["attributes"]["POSITION"] for mesh in read.json["meshes"]]
    return [read.json["accessors"][place]["count"] for place in places]


def test_assimp(glb):
    assimp = pytest.importorskip("assimp_py")
    scene = assimp.import_file(str(glb), assimp.Process_Triangulate)
    assert [np.asarray(mesh.vertices).size // 3 for mesh in scene.meshes] == vertices_of(glb)


def test_assimp_finds_each_eye_of_an_avatar(avatar):
    assimp = pytest.importorskip("assimp_py")
    scene = assimp.import_file(str(avatar), assimp.Process_Triangulate)
    across = {mesh.name: np.asarray(mesh.vertices).reshape(-1, 3)[:, 0] for mesh in scene.meshes}
    assert across["EyeLeft"].min() > 0 > across["EyeRight"].max(), "the subject's left is +x"
    assert [len(places) for places in across.values()] == vertices_of(avatar)


def test_vtk(glb):
    vtk = pytest.importorskip("vtk")
    reader = vtk.vtkGLTFReader()
    reader.SetFileName(str(glb))
    reader.Update()
    found = reader.GetOutput().NewIterator()
    found.InitTraversal()
    counts, names = [], []
    while not found.IsDoneWithTraversal():
        mesh = found.GetCurrentDataObject()
        counts.append(mesh.GetNumberOfPoints())
        names.append([mesh.GetPointData().GetArrayName(i) for i in range(mesh.GetPointData().GetNumberOfArrays())])
        found.GoToNextItem()
    assert counts == vertices_of(glb) and "target40_position" in names[0]


def test_open3d(glb):
    open3d = pytest.importorskip("open3d")
    model = open3d.io.read_triangle_model(str(glb))
    assert [len(mesh.mesh.vertices) for mesh in model.meshes] == vertices_of(glb)


def test_open3d_joins_the_eyes_of_an_avatar_and_loses_none(avatar):
    """It joins meshes whose materials are the same, and calls them as the last one is called."""
    open3d = pytest.importorskip("open3d")
    model = open3d.io.read_triangle_model(str(avatar))
    found = {mesh.mesh_name: np.asarray(mesh.mesh.vertices)[:, 0] for mesh in model.meshes}
    assert "EyeLeft" not in found and sum(map(len, found.values())) == sum(vertices_of(avatar))
    assert np.count_nonzero(found["EyeRight"] > 0) == np.count_nonzero(found["EyeRight"] < 0) > 0


def in_blender(glb: Path) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    """Kind, and shape keys with their values, of each thing; way (z is up, -y to the front) and length of each bone."""
    if not BLENDER:
        pytest.skip("Blender is absent: EMOCA_JAX_TEST_BLENDER names no Python that has bpy")
    told = subprocess.run([BLENDER, "-I", "-c", IN_BLENDER, str(glb)], capture_output=True, text=True, check=True)
    lines = [line.split() for line in told.stdout.splitlines() if line.startswith(("FOUND", "BONE"))]
    things = {name: words for kind, name, *words in lines if kind == "FOUND"}
    return things, {name: np.array(words, float) for kind, name, *words in lines if kind == "BONE"}


def written_meshes(glb: Path) -> dict[str, list[str]]:
    """As Blender should show them."""
    shown = {}
    for mesh in Glb(glb.read_bytes()).json["meshes"]:
        names = mesh.get("extras", {}).get("targetNames", [])
        values = [f"{key}={value:.6f}" for key, value in zip(names, mesh.get("weights", []), strict=True)]
        shown[mesh["name"]] = ["MESH", *values]
    return shown


def test_blender(glb):
    things, bones = in_blender(glb)
    assert written_meshes(glb).items() <= things.items()
    toward, length = ({name: value[at] for name, value in bones.items()} for at in (slice(3), 3))
    np.testing.assert_allclose([toward["head"], toward["left_eye"]], [[0, 0, 1], [0, -1, 0]], atol=1e-4)
    assert toward["jaw"][1] < -0.3 and toward["jaw"][2] < -0.3, "to the chin"
    assert length["head"] > 0.1 and length["jaw"] > 0.06 and 0.01 < length["left_eye"] < 0.02


def test_blender_finds_each_eye_of_an_avatar(avatar):
    things, bones = in_blender(avatar)
    assert written_meshes(avatar).items() <= things.items() and {"EyeLeft", "EyeRight"} <= things.keys()
    assert set(bones) == {"Neck", "Head", "Jaw", "LeftEye", "RightEye", "HeadTop_End"}

"""The names that code for Ready Player Me's avatars looks for, and that nothing but names is different."""

import numpy as np
import pytest

from emoca_jax import flame
from emoca_jax.errors import InputError
from emoca_jax.export.rig.naming import NAMINGS
from emoca_jax.export.save import save_face
from emoca_jax.files.face_formats import NAME_STYLES
from tests.export.made_up_face import made_up_face
from tests.export.read_glb import Glb
from tests.export.test_gltf import validate

ARKIT_AND_OCULUS = 52 + 15


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    face, folder = made_up_face(flame.load_head("open")), tmp_path_factory.mktemp("names")
    return {style: save_face(face, folder / style, ["glb"], names=style)[0] for style in NAME_STYLES}


@pytest.fixture(scope="module")
def avatar(files):
    return Glb(files["rpm"].read_bytes())


def test_every_style_has_names():
    assert tuple(NAMINGS) == NAME_STYLES


def test_meshes_materials_and_bones_have_the_documented_names(avatar):
    """docs.readyplayer.me: meshes, their materials, the skeleton from the neck up."""
    materials = [material["name"] for material in avatar.json["materials"]]
    meshes = {mesh["name"]: materials[mesh["primitives"][0]["material"]] for mesh in avatar.json["meshes"]}
    documented = {
        "Wolf3D_Head": "Wolf3D_Skin",
        "EyeLeft": "Wolf3D_Eye",
        "EyeRight": "Wolf3D_Eye",
        "Wolf3D_Teeth": "Wolf3D_Teeth",
    }
    assert documented.items() <= meshes.items()
    nodes = avatar.json["nodes"]
    below = {node["name"]: {nodes[child]["name"] for child in node.get("children", [])} for node in nodes}
    assert below["Neck"] == {"Head"} and below["Head"] >= {"LeftEye", "RightEye", "HeadTop_End"}
    assert len(avatar.json["meshes"][0]["extras"]["targetNames"]) >= ARKIT_AND_OCULUS - len("eyeLookInLeft")


def test_each_eye_is_a_mesh_of_its_own_on_its_side(avatar):
    meshes = {mesh["name"]: mesh["primitives"][0]["attributes"]["POSITION"] for mesh in avatar.json["meshes"]}
    left, right = (avatar.accessor(meshes[name])[:, 0] for name in ("EyeLeft", "EyeRight"))
    assert left.min() > 0 > right.max(), "the subject's left is +x"


def test_what_is_shown_is_the_same(files, avatar):
    def triangles(glb):
        shown = glb.shown().reshape(-1, 9)
        return shown[np.lexsort(np.round(shown, 6).T)]

    plain = Glb(files["default"].read_bytes())
    np.testing.assert_allclose(triangles(avatar).mean(0), triangles(plain).mean(0), atol=1e-6)
    assert len(triangles(avatar)) == len(triangles(plain))
    assert validate(files["rpm"])["messages"] == []


@pytest.mark.parametrize(("style", "inside"), [("default", "mouth_interior"), ("rpm", "Wolf3D_Mouth")])
def test_what_light_does_not_reach_mirrors_nothing(files, style, inside):
    """By glTF's specification a surface mirrors 4 % of what falls on it from before, times factor and texture."""
    read = Glb(files[style].read_bytes()).json
    factors = {
        material["name"].lower(): material.get("extensions", {}).get("KHR_materials_specular", {"specularFactor": 1})
        for material in read["materials"]
    }
    # A factor alone: with a texture of it assimp refuses the file.
    assert all(list(factor) == ["specularFactor"] for factor in factors.values())
    skin, eyes, teeth, tongue = (
        next(factors[name]["specularFactor"] for name in factors if part in name)
        for part in ("skin", "eye", "teeth", "tongue")
    )
    assert factors[inside.lower()]["specularFactor"] == 0 < teeth == tongue < 0.5 < skin == eyes == 1
    # A program that does not know the extension has to open the file all the same.
    assert read["extensionsUsed"] == ["KHR_materials_specular"] and "extensionsRequired" not in read


def test_an_unknown_style_is_refused(tmp_path):
    with pytest.raises(InputError, match="default, rpm"):
        save_face(made_up_face(), tmp_path / "anna", ["glb"], names="mixamo")

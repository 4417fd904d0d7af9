"""The .usdz as OpenUSD itself reads it: `pip install usd-core`."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import zipfile

import numpy as np
import pytest

from emoca_jax import flame
from emoca_jax.export.rig.levels import all_triangles
from emoca_jax.export.rig.naming import PLAIN
from emoca_jax.export.rig.shapes import parts_of
from emoca_jax.export.save import save_face
from emoca_jax.files.whole import is_result
from tests.export.made_up_face import made_up_face

pytest.importorskip("pxr", reason="OpenUSD is absent: run `pip install usd-core`")


@pytest.fixture(scope="module")
def face():
    return made_up_face(flame.load_head("open"))


@pytest.fixture(scope="module")
def file(face, tmp_path_factory):
    file, _ = save_face(face, tmp_path_factory.mktemp("usd") / "anna", ["usdz"])
    return file


def opened(file):
    from pxr import Usd

    return Usd.Stage.Open(str(file))


def test_skinned_by_openusd_it_is_the_posed_face(face, file):
    from pxr import UsdGeom, UsdSkel

    stage = opened(file)
    assert UsdSkel.BakeSkinning(UsdSkel.Root(stage.GetDefaultPrim()))
    pose = np.concatenate([np.zeros((2, 3)), face.codes.jaw[None], face.codes.eyes]).astype(np.float32)
    expected = np.asarray(flame.forward(face.head, face.codes.shape, face.codes.expression, pose).vertices)
    for part in parts_of(face.head, all_triangles(face.head), PLAIN):
        mesh = UsdGeom.Mesh(stage.GetPrimAtPath(f"/head/{part.name}"))
        np.testing.assert_allclose(np.array(mesh.GetPointsAttr().Get()), expected[part.vertex], atol=5e-6)


def test_units_visemes_and_bones_are_there_by_name(face, file):
    from pxr import UsdSkel

    stage = opened(file)
    animation = UsdSkel.Animation(stage.GetPrimAtPath("/head/photo"))
    shapes = list(animation.GetBlendShapesAttr().Get())
    assert shapes == [*face.head.expression_names, *flame.VISEMES]
    weights = np.array(animation.GetBlendShapeWeightsAttr().Get())[: len(face.codes.expression)]
    np.testing.assert_allclose(weights, face.codes.expression, atol=1e-6)
    joints = UsdSkel.Skeleton(stage.GetPrimAtPath("/head/skeleton")).GetJointsAttr().Get()
    assert {"neck/head", "neck/head/face/jaw/jaw_end", "neck/head/face/left_eye"} < set(joints)


def test_validators_of_openusd_have_nothing_to_say(file):
    from pxr import UsdValidation

    context = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    stage = opened(file)
    assert not context.Validate(stage)
    stage.ClearDefaultPrim()
    assert context.Validate(stage), "the validators are awake"


def test_the_package_is_as_the_specification_wants_it(face, file):
    """Stored, not packed; the layer first; data at multiples of 64 bytes. And it is known for a result of ours."""
    with zipfile.ZipFile(file) as package:
        entries = package.infolist()
        assert package.read("albedo.png").startswith(b"\x89PNG")
    assert entries[0].filename.endswith(".usdc") and all(entry.compress_type == 0 for entry in entries)
    data = file.read_bytes()
    for entry in entries:
        name, extra = np.frombuffer(data, "<u2", 2, entry.header_offset + 26)
        assert (entry.header_offset + 30 + int(name) + int(extra)) % 64 == 0
    assert is_result(file)


def test_the_inside_of_the_mouth_mirrors_nothing(file):
    """UsdPreviewSurface mirrors ((1 - n) / (1 + n)) squared from before, by its index of refraction (else 1.5)."""
    from pxr import UsdShade

    stage = opened(file)

    def mirrored(part):
        ior = UsdShade.Shader(stage.GetPrimAtPath(f"/head/materials/{part}/surface")).GetInput("ior")
        index = ior.Get() if ior else 1.5
        return ((1 - index) / (1 + index)) ** 2

    assert mirrored("mouth_interior") == 0
    assert mirrored("skin") == mirrored("eyes") == pytest.approx(0.04)

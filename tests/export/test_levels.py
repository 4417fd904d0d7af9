"""Levels of detail of the open head: fewer triangles, nothing else changed, and how far the surface is off."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from emoca_jax import flame, render
from emoca_jax.errors import InputError
from emoca_jax.export.rig.levels import LEVELS, all_triangles, coarser_triangles, fixed_vertices
from emoca_jax.export.save import save_face
from tests.export.made_up_face import made_up_face
from tests.export.read_glb import Glb
from tests.export.test_gltf import validate

MEAN, LARGEST = (0.1, 0.5), (1.0, 3.0)
"""Millimetres that the skin of each level may be off: measured .06 and .37, largest .7 and 2.3."""
EXPRESSIONS = {"rest": (), "laugh": ("jawOpen", "mouthSmileLeft", "mouthSmileRight"), "closed": ("eyeBlinkLeft",)}


@pytest.fixture(scope="module")
def head():
    return flame.load_head("open")


@pytest.fixture(scope="module")
def levels(head):
    return coarser_triangles(head)


def corners(surface):
    """Every (vertex, uv, part) in use."""
    part = np.repeat(surface.face_part[:, None], 3, axis=1)
    return set(map(tuple, np.stack([surface.faces, surface.uv_faces, part], -1).reshape(-1, 3).tolist()))


def uv_area(head, uv_faces):
    uv = np.asarray(head.uv, float)
    sides = uv[uv_faces[:, 1:]] - uv[uv_faces[:, :1]]
    return np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]).sum() / 2


def edge_uses(faces):
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
    return {tuple(edge): use for edge, use in zip(edges.tolist(), uses.tolist(), strict=True)}


@pytest.mark.thorough
def test_each_level_is_made_of_corners_of_the_one_above(head, levels):
    above = all_triangles(head)
    kept = set(np.flatnonzero(fixed_vertices(above, len(head.template))).tolist())
    for share, level in zip(LEVELS, levels, strict=True):
        assert len(level.faces) == pytest.approx(share * len(head.faces), abs=2)
        assert corners(level) < corners(above) and set(np.unique(level.faces).tolist()) >= kept
        above = level


def test_no_hole_opens_and_nothing_folds(head, levels):
    """The rims (neck, lids, where parts end) are edge for edge those of the head; no other edge has but two faces."""
    rims = {edge: use for edge, use in edge_uses(np.asarray(head.faces)).items() if use != 2}
    for level in levels:
        assert {edge: use for edge, use in edge_uses(level.faces).items() if use != 2} == rims
        # With the rims of the texture's islands kept, their triangles cover as much as before only where none overlap.
        assert uv_area(head, level.uv_faces) == pytest.approx(uv_area(head, head.uv_faces), rel=1e-5)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_skin_stays_where_it_was(head, levels, expression):
    code = np.isin(head.expression_names, EXPRESSIONS[expression]).astype(np.float32)
    points = 1000 * np.asarray(flame.unposed_vertices(head, np.zeros(head.shape_dirs.shape[-1], np.float32), code))
    skin = np.unique(np.asarray(head.faces)[np.asarray(head.face_part) == 0])
    for level, mean, largest in zip(levels, MEAN, LARGEST, strict=True):
        mesh = trimesh.Trimesh(points, level.faces[level.face_part == 0], process=False)
        _, distance, _ = trimesh.proximity.closest_point(mesh, points[skin])
        assert distance.mean() < mean and distance.max() < largest


def test_files_of_levels_show_the_same_vertices_in_the_same_pose(head, levels, tmp_path):
    face = made_up_face(head)
    files = save_face(face, tmp_path / "anna", ["glb"], lod=True)
    assert [file.name for file in files[:3]] == ["anna.glb", "anna_lod1.glb", "anna_lod2.glb"]
    pose = np.concatenate([np.zeros((2, 3)), face.codes.jaw[None], face.codes.eyes]).astype(np.float32)
    expected = np.asarray(flame.forward(head, face.codes.shape, face.codes.expression, pose).vertices)
    for file, level in zip(files[1:3], levels, strict=True):
        order = np.argsort(level.face_part, kind="stable")
        shown = Glb(file.read_bytes())
        np.testing.assert_allclose(shown.shown(), expected[level.faces[order]], atol=5e-6)
        skin, *_ = (mesh["primitives"][0]["attributes"] for mesh in shown.json["meshes"])
        at, normal = shown.accessor(skin["POSITION"]), shown.accessor(skin["NORMAL"])
        head_normal = np.asarray(render.vertex_normals(face.neutral_vertices, head.faces))
        _, vertex = KDTree(face.neutral_vertices).query(at)
        assert (np.sum(normal * head_normal[vertex], -1) > 0.999).mean() > 0.8, "looks as smooth as the head"
        assert "viseme_aa" in shown.json["meshes"][0]["extras"]["targetNames"]
    assert validate(files[2])["messages"] == []


def test_levels_without_a_glb_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"levels of the \.glb"):
        save_face(made_up_face(), tmp_path / "anna", ["obj"], lod=True)

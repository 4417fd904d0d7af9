"""Tables, OBJ and files as a user finds them."""

import errno
import io
import json

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals

from emoca_jax import flame
from emoca_jax.errors import InputError
from emoca_jax.export import save_face
from emoca_jax.export.tables import codes_npz, head_angles, summary_json
from emoca_jax.files.whole import open_folder, write_file
from tests.export.made_up_face import UNITS, made_up_face


@pytest.fixture(scope="module")
def face():
    return made_up_face()


def test_npz_holds_all_codes_by_name_and_the_crop_in_pixels_of_the_file(face):
    table = np.load(io.BytesIO(codes_npz(face)), allow_pickle=False)
    names = {"shape", "expression", "pose", "jaw", "eyes", "camera", "light", "albedo"}
    assert names | {"crop", "landmarks", "box", "format_version"} == set(table.files)
    for name in names:
        np.testing.assert_array_equal(table[name], getattr(face.codes, name))
    # The file is twice the working size: crop centre (100, 75), half side 60.
    np.testing.assert_allclose(table["crop"] @ [1, -1, 1], [320, 30, 1])
    np.testing.assert_allclose(table["box"], 2 * face.box)
    np.testing.assert_allclose(table["landmarks"], 2 * face.landmarks)


def test_json_names_everything(face):
    table = json.loads(summary_json(face))
    assert list(table["expression"]) == list(UNITS)
    assert table["expression"]["jawOpen"] == pytest.approx(float(face.codes.expression[0]), abs=1e-4)
    assert (table["source"], table["face"], table["emotion"]) == ("Anna Lee.jpg", 0, "happy")
    assert table["expression_probabilities"]["rendering"]["happy"] == 0.65
    assert table["fit"] == {"landmark_error_percent_of_face_width": 0.41, "visible_landmarks": 20}
    assert set(table["versions"]) == {"emoca_jax", "jax", "head"}
    assert table["head_pose_degrees"]["yaw"] == pytest.approx(np.degrees(0.3), abs=1)
    assert json.loads(summary_json(made_up_face(source=None)))["source"] is None


def test_json_says_what_visemes_are_made_of():
    visemes = json.loads(summary_json(made_up_face(flame.load_head("open"))))["visemes"]
    assert len(visemes) == 15 and visemes["viseme_sil"] == {} and visemes["viseme_aa"]["jawOpen"] == 0.6
    assert "visemes" not in json.loads(summary_json(made_up_face()))


def about(axis, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[j, i], matrix[i, j] = s, -s
    return matrix


def test_head_angles_are_those_documented():
    rotation = about("y", 40) @ about("x", -20) @ about("z", 10)
    assert head_angles(rotation) == {"yaw": 40, "pitch": -20, "roll": 10}
    assert (about("y", 40) @ [0, 0, 1])[0] > 0, "yaw > 0 faces the subject's left"
    assert (about("x", 20) @ [0, 0, 1])[1] < 0, "pitch > 0 looks down"


def test_obj_shows_the_posed_head_in_every_program(face, tmp_path):
    files = save_face(face, tmp_path / "anna_0", ["obj"])
    assert [file.name for file in files] == [
        *("anna_0_photo_texture.png", "anna_0_texture.png", "anna_0.mtl", "anna_0.obj")
    ]
    for name, texture in (("_texture.png", face.texture), ("_photo_texture.png", face.photo_texture)):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"anna_0{name}")), texture)
    scene = trimesh.load(tmp_path / "anna_0.obj", process=False, split_object=False, group_material=True)
    assert isinstance(scene, trimesh.Scene)
    meshes = [mesh for mesh in scene.dump() if isinstance(mesh, trimesh.Trimesh)]
    meshes.sort(key=lambda mesh: -len(mesh.faces))  # skin, then eyes
    triangles = np.concatenate([mesh.triangles for mesh in meshes])
    np.testing.assert_allclose(triangles, face.vertices[face.head.faces], atol=1e-6)
    visuals = [mesh.visual for mesh in meshes if isinstance(mesh.visual, TextureVisuals)]
    corner_uv = np.concatenate([np.asarray(look.uv)[mesh.faces] for look, mesh in zip(visuals, meshes, strict=True)])
    np.testing.assert_allclose(corner_uv, face.head.uv[face.head.uv_faces], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(visuals[0].material.image), face.texture)
    text = (tmp_path / "anna_0.obj").read_text()
    assert [line for line in text.splitlines() if line.startswith("g ")] == ["g skin", "g eyes"]
    # Vertices keep the head's order.
    rows = np.array([line.split()[1:] for line in text.splitlines() if line.startswith("v ")], float)
    np.testing.assert_allclose(rows, face.vertices, atol=1e-6)


def test_formats_are_chosen_and_an_unknown_one_is_refused(face, tmp_path):
    written = save_face(face, tmp_path / "new" / "anna_0", ["json", "npz", "glb"])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in written)
    with pytest.raises(InputError, match=r"'ply' is unknown; choose from glb, obj"):
        save_face(face, tmp_path / "anna_0", ["ply"])
    with pytest.raises(InputError, match=r"'fbx' is not written: .*Blender"):
        save_face(face, tmp_path / "anna_0", ["fbx"])


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    write_file(tmp_path / "a.bin", b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a.bin", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_places_that_cannot_be_written_say_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"file: cannot be written to .*; give another folder"):
        open_folder(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written to"):
        open_folder(tmp_path / "file" / "below")
    with pytest.raises(InputError, match=r"a\.bin: cannot be written \("):
        write_file(tmp_path / "missing" / "a.bin", b"")


def test_a_full_disk_says_so(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match=r"a\.bin: cannot be written \(No space left on device\)"):
        write_file(tmp_path / "a.bin", b"data")

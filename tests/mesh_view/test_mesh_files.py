"""Meshes come back as other programs show them: against our own exports, a second reader, and files written by hand."""

import io
import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from emoca_jax.errors import InputError
from emoca_jax.export.gltf import head_glb
from emoca_jax.export.png import png_bytes
from emoca_jax.export.save import save_face
from emoca_jax.mesh_view.mesh_files import CLAY, read_mesh, to_linear
from emoca_jax.mesh_view.picture import Style, Viewpoint, draw_views, turn
from tests.export.made_up_face import made_up_face, made_up_head
from tests.export.read_glb import Glb

SQUARE = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3]])
RED_BLUE = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
"""Left half red, right half blue."""


def glb_bytes(document, block=b""):
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    block += b"\0" * (-len(block) % 4)
    length = 12 + 8 + len(text) + 8 + len(block)
    return (
        struct.pack("<4sII", b"glTF", 2, length)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(block), b"BIN\0")
        + block
    )


def square_glb(*, picture=None, **changes):
    """One square in a node that is turned, doubled and moved, under a node that is moved again."""
    picture = picture or png_bytes(np.repeat(np.repeat(RED_BLUE, 8, 0), 4, 1))
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)  # glTF: v runs down
    parts = [SQUARE.tobytes(), np.ascontiguousarray(FACES.reshape(-1), np.uint16).tobytes(), uv.tobytes(), picture]
    starts = np.cumsum([0, *map(len, parts)])
    quarter = [0, np.sin(np.pi / 4), 0, np.cos(np.pi / 4)]  # about y: x becomes -z
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [1]}],
        "nodes": [
            {"mesh": 0, "rotation": quarter, "scale": [2, 2, 2], "translation": [0, 0, 5]},
            {"children": [0], "translation": [10, 0, 0]},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [1, 1, 0.5, 1]}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 3, "mimeType": "image/png"}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 6, "type": "SCALAR"},
            {"bufferView": 2, "componentType": 5126, "count": 4, "type": "VEC2"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": int(start), "byteLength": len(part)}
            for start, part in zip(starts, parts, strict=False)
        ],
        "buffers": [{"byteLength": int(starts[-1])}],
    }
    return glb_bytes(document | changes, b"".join(parts))


def save(path, data):
    path.write_bytes(data)
    return path


def test_a_glb_wears_its_default_expression_and_pose(tmp_path):
    face = made_up_face(made_up_head(correctives=True))
    data = head_glb(
        face.head, face.codes, face.neutral_vertices, png_bytes(face.texture), name="anna", generator="test"
    )
    mesh = read_mesh(save(tmp_path / "anna.glb", data))
    expected = Glb(data).shown()
    np.testing.assert_allclose(mesh.vertices[mesh.faces], expected, atol=1e-6)
    assert np.abs(expected - Glb(data).shown({})).max() > 1e-3
    assert len(mesh.pictures) == 1 and (mesh.face_picture == 0).all()
    np.testing.assert_array_equal(mesh.pictures[0], face.texture)
    # The stored normals follow the skin: they agree with the surface that they stand on.
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    assert np.median(np.sum(across * mesh.normals[mesh.faces[:, 0]], -1)) > 0.9


def test_scene_transforms_textures_and_factors_of_a_glb(tmp_path):
    mesh = read_mesh(save(tmp_path / "square.glb", square_glb()))
    expected = np.stack([np.full(4, 10.0), 2 * SQUARE[:, 1], 5 - 2 * SQUARE[:, 0]], -1)
    np.testing.assert_allclose(mesh.vertices, expected, atol=1e-6)
    np.testing.assert_allclose(mesh.uv, [[0, 0], [1, 0], [1, 1], [0, 1]])
    np.testing.assert_allclose(mesh.normals, [[1, 0, 0]] * 4, atol=1e-6)
    # Seen from its front, at +x, the texture's left half is on the left.
    picture = next(draw_views(mesh, [Viewpoint(90, 0)], 64, style=Style("orthographic", None)))
    np.testing.assert_array_equal(picture[32, [12, 52]], [[255, 0, 0, 255], [0, 0, 188, 255]])
    assert picture[2, 2, 3] == 0


def test_our_obj_comes_back_with_its_texture(tmp_path):
    face = made_up_face()
    save_face(face, tmp_path / "anna", ["obj"])
    mesh = read_mesh(tmp_path / "anna.obj")
    assert len(mesh.faces) == len(face.head.faces)
    np.testing.assert_allclose(
        np.sort(mesh.vertices[mesh.faces].mean(1), 0), np.sort(face.vertices[face.head.faces].mean(1), 0), atol=1e-5
    )
    np.testing.assert_array_equal(mesh.pictures[0], face.texture)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_a_ply_with_colours(tmp_path, encoding):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]], np.uint8)
    whole = trimesh.Trimesh(SQUARE, FACES, vertex_colors=colours, process=False)
    (tmp_path / "square.ply").write_bytes(whole.export(file_type="ply", encoding=encoding))
    mesh = read_mesh(tmp_path / "square.ply")
    np.testing.assert_allclose(mesh.vertices, SQUARE)
    np.testing.assert_allclose(mesh.colours, to_linear(colours / 255), atol=1e-6)


def test_meshes_without_colour_are_clay_and_seams_do_not_show(tmp_path):
    ball = trimesh.creation.icosphere(2)
    # Every face its own corners, as some programs write: the normals have to be smooth all the same.
    lines = [f"v {x} {y} {z}" for x, y, z in ball.vertices[ball.faces].reshape(-1, 3)]
    lines += [f"f {3 * i + 1} {3 * i + 2} {3 * i + 3}" for i in range(len(ball.faces))]
    (tmp_path / "ball.obj").write_text("\n".join(lines))
    mesh = read_mesh(tmp_path / "ball.obj")
    np.testing.assert_allclose(mesh.normals, mesh.vertices, atol=0.03)
    np.testing.assert_allclose(mesh.colours, np.tile(CLAY, (len(mesh.vertices), 1)), atol=1e-6)


def test_views_look_from_where_they_say():
    to_the_camera = {(0, 0): (0, 0, 1), (90, 0): (1, 0, 0), (0, 90): (0, 1, 0), (180, 0): (0, 0, -1)}
    for view, direction in to_the_camera.items():
        np.testing.assert_allclose(turn(Viewpoint(*view)) @ direction, [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("projection", ["orthographic", "perspective"])
def test_the_mesh_fills_the_picture_whatever_its_place_and_scale(tmp_path, projection):
    shapes = []
    for scale, shift in ((1, 0), (1e-4, 3), (1e6, -1e6)):
        corners = SQUARE * [1, 0.3, 1] * scale + shift
        (tmp_path / "square.ply").write_bytes(trimesh.Trimesh(corners, FACES, process=False).export(file_type="ply"))
        mesh = read_mesh(tmp_path / "square.ply")
        alpha = next(draw_views(mesh, [Viewpoint(0, 0)], 100, style=Style(projection)))[..., 3] > 127
        shapes.append((alpha.any(0).sum(), alpha.any(1).sum()))
    for width, height in shapes:
        assert abs(width - 86) <= 1 and abs(height - 13) <= 1


def test_a_picture_in_strips_is_the_whole_picture(tmp_path, monkeypatch):
    mesh = read_mesh(save(tmp_path / "square.glb", square_glb()))
    whole = next(draw_views(mesh, [Viewpoint(60, 20)], 45))
    monkeypatch.setattr("emoca_jax.mesh_view.picture.BAND_PIXELS", 9 * 45 * 7)
    np.testing.assert_allclose(next(draw_views(mesh, [Viewpoint(60, 20)], 45)).astype(int), whole, atol=1)


def ply(header, body=""):
    return f"ply\nformat ascii 1.0\n{header}end_header\n{body}".encode()


XYZ = "property float x\nproperty float y\nproperty float z\n"
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
BAD = {
    "other.stl": (b"solid", "one of .glb, .obj, .ply"),
    "empty.glb": (b"", "damaged"),
    "cut.glb": (square_glb()[:-40], "ends after"),
    "head_only.glb": (square_glb()[:30], "ends after"),
    "old.glb": (b"glTF" + struct.pack("<II", 1, 12), "version 2"),
    "draco.glb": (square_glb(extensionsRequired=["KHR_draco_mesh_compression"]), "KHR_draco_mesh_compression"),
    "outside.glb": (square_glb(bufferViews=[{"buffer": 0, "byteLength": 10**6}] * 4), "lies outside"),
    "loop.glb": (square_glb(nodes=[{"children": [1]}, {"children": [0]}]), "two parents"),
    "bare.glb": (square_glb(nodes=[{}, {}]), "no faces"),
    "text.obj": (b"\x00\xff\x13 nothing", "text.obj"),
    "points.obj": (TRIANGLE.encode(), "points.obj"),
    "beyond.obj": (f"{TRIANGLE}f 1 2 9\n".encode(), "beyond.obj"),
    "nought.obj": (f"{TRIANGLE}f 1/1 2/1 0/1\n".encode(), "vertex 0"),
    "login.obj": (b"<!DOCTYPE html><title>Sign in</title>", "is a web page"),
    "pointer.glb": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "packed.ply": (b"PK\x03\x04", "unpack it first"),
    "nan.obj": (b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "1 of 3 vertices are not finite"),
    "dot.obj": (b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "no extent"),
    "huge.obj": (f"{TRIANGLE.replace('1', '1e30')}f 1 2 3\n".encode(), "too large"),
    "cut.ply": (
        ply(f"element vertex 3\n{XYZ}element face 1\nproperty list uchar int vertex_indices\n", "0 0 0\n1 "),
        "",
    ),
    "points.ply": (ply(f"element vertex 1\n{XYZ}", "0 0 0\n"), "point cloud"),
    "text.ply": (b"hello", "text.ply"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_sentence(tmp_path, name):
    data, told = BAD[name]
    with pytest.raises(InputError, match=name) as caught:
        read_mesh(save(tmp_path / name, data))
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("plain", "written"), [(" ", "\t"), ("\n", "\r"), ("\n", "\r\n"), ("\n", " # 0\n")])
def test_an_obj_as_other_programs_write_it(tmp_path, plain, written):
    """Tabs between words, ends of lines of other systems, remarks. No group is a face, whatever its name."""
    lines = f"# f 0\n{TRIANGLE}g f 0\nf 1 2 3\n".replace(plain, written)
    mesh = read_mesh(save(tmp_path / "a.obj", lines.encode()))
    np.testing.assert_array_equal(mesh.vertices[mesh.faces[0]], [[0, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_a_texture_that_is_no_picture(tmp_path):
    data = square_glb().replace(b"\x89PNG", b"JUNK")
    with pytest.raises(InputError, match="texture that cannot be read"):
        read_mesh(save(tmp_path / "square.glb", data))


def test_the_picture_is_a_png(tmp_path):
    mesh = read_mesh(save(tmp_path / "square.glb", square_glb()))
    drawn = next(draw_views(mesh, [Viewpoint(90, 0)], 32))
    with Image.open(io.BytesIO(png_bytes(drawn))) as picture:
        assert picture.mode == "RGBA" and picture.size == (32, 32)

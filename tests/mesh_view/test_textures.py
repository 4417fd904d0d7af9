"""Textures as viewers show them: deep grey, moved coordinates, material libraries of many programs, missing files."""

import io

import numpy as np
import pytest
from PIL import Image

from emoca_jax.cli import main
from emoca_jax.commands import compile_cache
from emoca_jax.errors import InputError
from emoca_jax.export.save import png_bytes
from emoca_jax.mesh_view.mesh_files import read_mesh
from emoca_jax.mesh_view.obj_materials import TextureLine, texture_line
from emoca_jax.mesh_view.picture import Style, Viewpoint, draw_views
from tests.capture.test_shown_colours import METADATA
from tests.mesh_view.test_mesh_files import glb_bytes, save

RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
ATLAS = np.zeros((64, 64, 3), np.uint8)
ATLAS[:32, :32], ATLAS[:32, 32:], ATLAS[32:, :32], ATLAS[32:, 32:] = RED, GREEN, BLUE, YELLOW
QUARTERS = (RED, GREEN, BLUE, YELLOW)
SQUARE = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
CORNERS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)


def picture_bytes(array, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, lossless=True)
    return stream.getvalue()


def square_glb(picture, texture_info=None, **changes):
    """A square that shows the whole picture, and a second layout that shows its first quarter."""
    first = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32)
    parts = [CORNERS.tobytes(), first.tobytes(), (first / 2).tobytes(), np.uint16([0, 1, 2, 0, 2, 3]).tobytes()]
    parts = [*parts, bytes(-len(parts[-1]) % 4), picture]
    starts = np.cumsum([0, *map(len, parts)])
    kinds = (("VEC3", 5126, 4), ("VEC2", 5126, 4), ("VEC2", 5126, 4), ("SCALAR", 5123, 6))
    document = {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0}],
        "meshes": [
            {
                "primitives": [
                    {"attributes": {"POSITION": 0, "TEXCOORD_0": 1, "TEXCOORD_1": 2}, "indices": 3, "material": 0}
                ]
            }
        ],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, **(texture_info or {})}}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 5, "mimeType": "image/png"}],
        "accessors": [
            {"bufferView": view, "componentType": component, "count": count, "type": kind}
            for view, (kind, component, count) in enumerate(kinds)
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": int(start), "byteLength": len(part)}
            for start, part in zip(starts, parts, strict=False)
        ],
        "buffers": [{"byteLength": int(starts[-1])}],
    }
    return glb_bytes(document | changes, b"".join(parts))


def save_obj(folder, lines, name="a", diffuse="1 1 1"):
    (folder / f"{name}.mtl").write_text(f"newmtl m\nKd {diffuse}\n{lines}\n")
    return save(folder / f"{name}.obj", f"mtllib {name}.mtl\nusemtl m\n{SQUARE}f 1/1 2/2 3/3 4/4\n".encode())


def quarters(path):
    """Colours in the middle of the four quarters of the drawn square, row by row."""
    drawn = next(draw_views(read_mesh(path), [Viewpoint(0, 0)], 64, style=Style("orthographic", None)))
    return tuple(tuple(int(value) for value in drawn[row, column, :3]) for row in (18, 46) for column in (18, 46))


@pytest.mark.parametrize("kind", ["glb", "obj"])
def test_grey_of_sixteen_bits(tmp_path, kind):
    picture = picture_bytes(np.full((64, 64), 0.25 * 65535, np.uint16))
    save(tmp_path / "grey16.png", picture)
    path = save(tmp_path / "a.glb", square_glb(picture)) if kind == "glb" else save_obj(tmp_path, "map_Kd grey16.png")
    assert quarters(path) == ((64, 64, 64),) * 4


def moved(**change):
    return {"extensions": {"KHR_texture_transform": change}}


TRANSFORMS = {
    "offset and scale": (moved(offset=[0.5, 0.5], scale=[0.5, 0.5]), (YELLOW,) * 4),
    "offset": (moved(offset=[0.5, 0]), (GREEN, RED, YELLOW, BLUE)),
    "scale": (moved(scale=[0.5, 0.5]), (RED,) * 4),
    "other layout": (moved(texCoord=1), (RED,) * 4),
    "other layout of the texture": ({"texCoord": 1}, (RED,) * 4),
    # What three.js shows: counter-clockwise coordinates, so a picture that is turned clockwise.
    "quarter turn": (moved(rotation=np.pi / 2, offset=[0, 1]), (BLUE, RED, YELLOW, GREEN)),
    "all": (moved(rotation=np.pi / 2, offset=[0.5, 0.5], scale=[0.5, 0.5]), (GREEN,) * 4),
    "nothing": (moved(), QUARTERS),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_khr_texture_transform(tmp_path, name):
    info, expected = TRANSFORMS[name]
    extension = ["KHR_texture_transform"]
    data = square_glb(png_bytes(ATLAS), info, extensionsUsed=extension, extensionsRequired=extension)
    assert quarters(save(tmp_path / "a.glb", data)) == expected


def test_a_webp_texture_of_a_glb(tmp_path):
    textures = [{"extensions": {"EXT_texture_webp": {"source": 0}}}]
    data = square_glb(picture_bytes(ATLAS, "WEBP"), textures=textures, extensionsRequired=["EXT_texture_webp"])
    assert quarters(save(tmp_path / "a.glb", data)) == QUARTERS


LINES = {
    "map_Kd -s 1 1 1 atlas.png": QUARTERS,
    "map_Kd -o 0 0 0 -s 1.000 1.000 1.000 atlas.png": QUARTERS,
    "map_Kd tex\\atlas.png": QUARTERS,
    "map_Kd C:\\Users\\anna\\tex\\atlas.png": QUARTERS,
    "map_Kd /home/anna/atlas.png": QUARTERS,
    "map_kd Atlas.PNG": QUARTERS,
    "map_Kd TEX/ATLAS.png": QUARTERS,
    "\tmap_Kd\tatlas.png ": QUARTERS,
    "map_Kd two  words.png": QUARTERS,
    'map_Kd "two  words.png"': QUARTERS,
    "map_Kd -clamp on -bm 0.5 -mm 0 1 two  words.png": QUARTERS,
    "map_Kd -blendu off -s 2 2 7": QUARTERS,
    "map_Kd -s 0.5 0.5 -o 0.5 0 atlas.png": (YELLOW,) * 4,
    "map_Kd -o 0.5 0 atlas.png": (GREEN, RED, YELLOW, BLUE),
}


@pytest.mark.parametrize("line", LINES)
def test_material_lines_of_many_programs(tmp_path, line):
    (tmp_path / "tex").mkdir()
    for name in ("atlas.png", "tex/atlas.png", "two  words.png", "7"):
        save(tmp_path / name, png_bytes(np.tile(ATLAS, (2, 2, 1))[::2, ::2] if name == "7" else ATLAS))
    mesh = read_mesh(path := save_obj(tmp_path, line))
    assert mesh.lacking == ()
    if line.endswith("-s 2 2 7"):
        assert mesh.uv.max() == 2 and len(mesh.pictures) == 1
    else:
        assert quarters(path) == LINES[line]


def test_texture_lines():
    assert texture_line("a b.png") == TextureLine("a b.png")
    assert texture_line("-s 1 2 3 -o 4 5 -t 0 12.png") == TextureLine("12.png", (1, 2), (4, 5))
    assert texture_line("-s 3 a.png") == TextureLine("a.png", (3, 1))
    assert texture_line("-clamp on") is None and texture_line("") is None
    assert texture_line("-odd.png") == TextureLine("-odd.png")


def test_two_materials_keep_their_textures(tmp_path):
    for name, colour in (("a.png", RED), ("b.png", BLUE)):
        save(tmp_path / name, png_bytes(np.full((8, 8, 3), colour, np.uint8)))
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd a.png\nnewmtl n\nmap_Kd b.png\n")
    faces = "usemtl m\nf 1/1 2/2 3/3\nusemtl n\nf 1/1 3/3 4/4\n"
    mesh = read_mesh(save(tmp_path / "a.obj", f"mtllib a.mtl\n{SQUARE}{faces}".encode()))
    shown = {mesh.pictures[number][0, 0].tolist()[2]: mesh.vertices[face].mean(0) for number, face in
             zip(mesh.face_picture, mesh.faces, strict=True)}  # fmt: skip
    assert shown[0][1] < 0 < shown[255][1], "red below, blue above"


def test_a_missing_texture_is_named_and_the_mesh_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compile_cache, "enable", lambda: None)
    path = save_obj(tmp_path, "map_Kd nowhere.png", diffuse="0 1 0")
    assert main(["render", str(path), "--output", str(tmp_path / "out.png"), "--size", "32"]) == 0
    assert capsys.readouterr().err == (
        f"emoca: {path}: names a texture nowhere.png that is not in its folder; drawn without it\n"
    )
    assert quarters(path) == (GREEN,) * 4


def test_other_things_that_a_mesh_lacks(tmp_path):
    save(tmp_path / "bad.png", b"no picture")
    assert "bad.png that is no picture" in read_mesh(save_obj(tmp_path, "map_Kd bad.png")).lacking[0]
    (tmp_path / "a.mtl").unlink()
    assert "material library a.mtl that is not" in read_mesh(tmp_path / "a.obj").lacking[0]
    above = save_obj(tmp_path, "map_Kd ../../etc/hostname.png", name="b")
    assert "hostname.png that is not in its folder" in read_mesh(above).lacking[0]
    header = "ply\nformat ascii 1.0\ncomment TextureFile lost.png\nelement vertex 3\n"
    header += "".join(f"property float {name}\n" for name in ("x", "y", "z", "s", "t"))
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    save(tmp_path / "c.ply", f"{header}0 0 0 0 0\n1 0 0 1 0\n0 1 0 0 1\n3 0 1 2\n".encode())
    assert "lost.png that is not in its folder" in read_mesh(tmp_path / "c.ply").lacking[0]


@pytest.mark.parametrize("name", METADATA)
def test_metadata_of_any_size_do_not_hide_a_texture(tmp_path, name):
    data = png_bytes(ATLAS)
    save(tmp_path / "atlas.png", data[:33] + METADATA[name] + data[33:])
    assert quarters(save_obj(tmp_path, "map_Kd atlas.png")) == QUARTERS


def test_a_floating_point_texture_is_refused(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.float32)).save(stream, "TIFF")
    with pytest.raises(InputError, match="texture that cannot be read"):
        read_mesh(save(tmp_path / "a.glb", square_glb(stream.getvalue())))

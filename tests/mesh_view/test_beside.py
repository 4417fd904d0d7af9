"""Materials and textures beside a mesh: any encoding, a fixed list of picture formats, nothing outside, no program."""

import os
import re
from pathlib import Path

import pytest

import emoca_jax
from emoca_jax.errors import InputError
from emoca_jax.export.png import png_bytes
from emoca_jax.mesh_view.mesh_files import read_mesh
from tests.mesh_view.test_mesh_files import RED_BLUE, square_glb


@pytest.fixture
def no_programs(monkeypatch, tmp_path):
    """A Ghostscript that notes that it was started."""
    started = tmp_path / "started"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gs").write_text(f"#!/bin/sh\necho $@ >> {started}\n")
    (tmp_path / "bin/gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    yield
    assert not started.exists()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("texture", ["a.eps", "a.png", "a.mtl"])
def test_an_eps_texture_starts_nothing(tmp_path, no_programs, texture):
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\n"
    (tmp_path / "a.obj").write_text(f"mtllib b.mtl\n{corners}usemtl skin\nf 1/1 2/2 3/3\n")
    (tmp_path / "b.mtl").write_text(f"newmtl skin\nKd 1 0 0\nmap_Kd {texture}\n")
    (tmp_path / texture).write_bytes(EPS)
    assert not read_mesh(tmp_path / "a.obj").pictures
    (tmp_path / "a.glb").write_bytes(square_glb(picture=EPS))
    with pytest.raises(InputError, match=r"a\.glb: has a texture that cannot be read"):
        read_mesh(tmp_path / "a.glb")


def test_pillow_opens_a_fixed_list_everywhere():
    for path in Path(emoca_jax.__path__[0]).rglob("*.py"):
        for call in re.findall(r"Image\.open\(.*", path.read_text()):
            assert "formats=" in call, f"{path}: {call}"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "cp932", "gb18030", "koi8-r"])
def test_an_obj_of_any_encoding_finds_its_texture(tmp_path, encoding):
    word = {"latin-1": "Gesichtsfläche", "koi8-r": "лицо"}.get(encoding, "顔")
    obj = f"# {word}\nmtllib b.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl {word}\nf 1/1 2/2 3/3\n"
    (tmp_path / "a.obj").write_bytes(obj.encode(encoding))
    names = {"koi8-r": "skin.png"}
    (tmp_path / "b.mtl").write_bytes(f"newmtl {word}\nmap_Kd {names.get(encoding, word + '.png')}\n".encode(encoding))
    (tmp_path / names.get(encoding, f"{word}.png")).write_bytes(png_bytes(RED_BLUE))
    mesh = read_mesh(tmp_path / "a.obj")
    assert len(mesh.faces) == 1 and [picture.tolist() for picture in mesh.pictures] == [RED_BLUE.tolist()]


def test_a_texture_that_is_a_pipe_or_outside_is_missing(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out.png").write_bytes(png_bytes(RED_BLUE))
    os.mkfifo(tmp_path / "in/pipe.png")
    (tmp_path / "in/link.png").symlink_to(tmp_path / "out.png")
    for name in ("pipe.png", "link.png", "../out.png"):
        (tmp_path / "in/b.mtl").write_text(f"newmtl skin\nmap_Kd {name}\n")
        obj = "mtllib b.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl skin\nf 1/1 2/1 3/1\n"
        (tmp_path / "in/a.obj").write_text(obj)
        assert not read_mesh(tmp_path / "in/a.obj").pictures

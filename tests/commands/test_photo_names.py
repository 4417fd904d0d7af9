"""Names of photos and of what becomes of them, in folders and in the table."""

import json
import os
from pathlib import Path

import pytest
from rich.cells import cell_len

from emoca_jax.cli import main
from emoca_jax.commands.photo_table import shortened
from emoca_jax.commands.photos import output_stems
from tests.commands.made_up_photos import photo, run, written


def test_the_table_has_one_line_a_face_at_eighty_columns(photos, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = "Screenshot\u202f2024-05-04 of a long, long evening with all of us at the seaside, number 17.jpg"
    sea = "\u6d77" * 40 + ".png"
    assert run(photos, photo(photos / name), photo(photos / sea)) == 0
    header, *lines, total = capsys.readouterr().out.strip("\n").splitlines()
    assert len(lines) == 4 and total.startswith("4 faces")
    assert all(cell_len(line) <= 80 for line in (header, *lines))
    assert lines[0].startswith("Screenshot") and ", number 17.jpg   " not in lines[0] and "17.jpg  " in lines[0]
    assert lines[2].startswith("\u6d77\u6d77") and ".png  " in lines[2]
    assert all("\u2026" in line and line.rstrip().endswith("1.5") for line in lines)


def test_a_line_stays_a_line_whatever_the_name(photos, capsys):
    assert run(photos, photo(photos / "two\nlines\x1b[31m.png"), "--faces", "largest") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("two\ufffdlines\ufffd[31m.png  ")


def test_names_are_shortened_in_the_middle():
    assert shortened("short.jpg", 9) == "short.jpg"
    assert shortened("IMG_20240504_123456.jpg", 11) == "IMG_2\u20266.jpg"
    for width in range(1, 12):
        for name in ("IMG_20240504_123456.jpg", "\u6d77" * 20, "e\u0301" * 30):
            assert cell_len(shortened(name, width)) <= width
    assert shortened("IMG_20240504_123456.jpg", 11, mark="...") == "IMG_....jpg"


def test_same_names_do_not_overwrite_each_other(photos):
    names = [photo(photos / name) for name in ("a.jpg", "a.png", "x/a.jpg", "A.bmp")]
    assert run(photos, *names, "--faces", "largest") == 0
    sources = [json.loads((photos / "out" / name).read_text())["source"] for name in written(photos)]
    assert written(photos) == ["A-4_0.json", "a-2_0.json", "a-3_0.json", "a_0.json"]
    assert sources == ["A.bmp", "a.png", "a.jpg", "a.jpg"]


def test_photos_beside_the_results_are_neither_replaced_nor_are_results_read(photos, capsys, monkeypatch):
    """`reconstruct a.png a_0.png --output .`, then the same over all that lies there."""
    monkeypatch.chdir(photos)
    _, second = (Path(photo(photos / name)) for name in ("a.png", "a_0.png"))
    before = second.read_bytes()
    arguments = ["reconstruct", "--output", ".", "--size", "64", "--faces", "largest"]
    assert main([*arguments, "a.png", "a_0.png"]) == 1
    assert "a_0.png: is there already and is no result of emoca; give another --output" in capsys.readouterr().err
    assert second.read_bytes() == before and sorted(path.name for path in photos.glob("a_0*")) == [
        *("a_0.png", "a_0_0.glb", "a_0_0.json", "a_0_0.mtl", "a_0_0.npz", "a_0_0.obj", "a_0_0.png"),
        *("a_0_0_photo_texture.png", "a_0_0_texture.png"),
    ]
    second.unlink()
    for names in (["*.png"], [path.name for path in photos.glob("*.png")]):
        assert main([*arguments, *names]) == 0
        assert "1 face from 1 photo" in capsys.readouterr().out
    assert not list(photos.glob("*_0_0_0*")) and (photos / "a_0.glb").exists()


def test_stems_stay_apart_whatever_they_are_called():
    stems = output_stems([Path("a.jpg"), Path("b/a.jpg"), Path("a-2.jpg"), Path("A.JPG")])
    assert len({stem.casefold() for stem in stems}) == 4 and stems[0] == "a"


def test_a_name_that_is_no_utf_8(photos, capsys):
    try:
        name = photo(photos / os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("this file system holds UTF-8 names only")
    assert run(photos, name, "--faces", "largest", form="json,obj,glb") == 0
    assert "caf\ufffd.png" in capsys.readouterr().out
    assert json.loads((photos / "out" / os.fsdecode(b"caf\xe9_0.json")).read_bytes())["source"] == "caf\ufffd.png"

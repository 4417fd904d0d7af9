"""`emoca reconstruct` as a user types it, on made-up faces: files, table, exit codes, and ^C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from emoca_jax.cli import main
from emoca_jax.commands import compile_cache
from emoca_jax.commands.photos import COMPILE_LINE
from emoca_jax.jobs import reconstruct as capture
from tests.commands.made_up_photos import photo, run, written


def test_every_face_gets_its_files_and_a_line_in_the_table(photos, capsys):
    assert run(photos, photo(photos / "anna [1].jpg"), "--size", 128, form="all") == 0
    endings = (".glb", ".json", ".mtl", ".npz", ".obj", ".png", "_photo_texture.png", "_texture.png")
    assert written(photos) == [f"anna [1]_{face}{ending}" for face in (0, 1) for ending in endings]
    with Image.open(photos / "out" / "anna [1]_1.png") as picture:
        assert picture.size == (545, 314)
    out, err = capsys.readouterr()
    header, first, second, total = out.strip().splitlines()
    assert header.split() == ["file", "face", "emotion", "valence", "arousal", "fit", "error", "seconds"]
    assert first.split() == ["anna", "[1].jpg", "0", "happy", "70%", "+0.62", "+0.21", "0.41", "%", "1.5"]
    assert second.split()[2] == "1"
    assert total == f"2 faces from 1 photo in {photos / 'out'}"
    assert "compiling" in err


def test_folders_globs_and_the_largest_face(photos):
    for name in ("set/a.jpg", "set/b.PNG", "set/notes.txt", "c.webp"):
        if name.endswith("txt"):
            (photos / name).write_text("no photo")
        else:
            photo(photos / name)
    assert run(photos, photos / "set", photos / "*.webp", "--faces", "largest") == 0
    assert written(photos) == ["a_0.json", "b_0.json", "c_0.json"]


def test_output_that_cannot_be_written_stops_before_any_work(photos, capsys, monkeypatch):
    monkeypatch.setattr(capture, "reconstruct", lambda *_, **__: pytest.fail("worked in vain"))
    (photos / "out").write_text("a file")
    assert run(photos, photo(photos / "a.jpg")) == 2
    assert "out: cannot be written to" in capsys.readouterr().err
    assert main(["reconstruct", str(photos), "--output", str(photos)]) == 2
    assert "is also an input" in capsys.readouterr().err


def test_formats_that_are_not_written_say_why_and_levels_want_a_glb(capsys):
    with pytest.raises(SystemExit):
        main(["reconstruct", "a.jpg", "--format", "glb,vrm"])
    assert "a VRM must have hips" in capsys.readouterr().err
    assert main(["reconstruct", "a.jpg", "--format", "obj", "--lod"]) == 2
    assert "add glb to --format" in capsys.readouterr().err


def test_names_and_levels_reach_the_files(photos):
    """The eyes of Ready Player Me are two meshes; three files where there was one."""
    name = photo(photos / "a.jpg")
    assert run(photos, name, "--names=rpm", "--lod", "--faces=largest", form="glb") == 0
    files = sorted((photos / "out").iterdir())
    assert [file.name for file in files] == ["a_0.glb", "a_0_lod1.glb", "a_0_lod2.glb", "a_0_photo_texture.png"]
    assert all(b"Wolf3D_Head" in file.read_bytes() and b"EyeLeft" in file.read_bytes() for file in files[:3])


def test_the_compile_line_comes_once(photos, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compile_cache, "enable", lambda: tmp_path)
    name = photo(photos / "a.jpg")
    assert run(photos, photos / "missing.jpg", name) == 1
    assert COMPILE_LINE in capsys.readouterr().err
    assert run(photos, name) == 0
    assert "compiling" not in capsys.readouterr().err


INTERRUPTED = """
import os, sys, time
from emoca_jax.commands import compile_cache
from emoca_jax.jobs import read_emotion
from emoca_jax.jobs import reconstruct as capture
from emoca_jax.jobs.reconstruct import load_model
from tests.commands.made_up_photos import made_up_reconstruct
from emoca_jax.cli import main

capture.load_model = lambda *_, **__: None
capture.reconstruct = made_up_reconstruct
compile_cache.enable = lambda: None
replace = os.replace

def slow(source, target):
    if "b_0.json" in str(target):
        print("ready", flush=True)
        time.sleep(60)
    replace(source, target)

os.replace = slow
sys.exit(main(["reconstruct", "a.png", "b.png", "--output", "out", "--format", "json"]))
"""


def test_interrupted_in_the_middle_of_a_file(tmp_path):
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    source = os.fspath(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": source},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "emoca: interrupted; 1 of 2 inputs done" in err and "Traceback" not in err
    assert sorted(os.listdir(tmp_path / "out")) == ["a_0.json", "a_1.json"]
    assert "a.png" in out, "the table tells what was done"

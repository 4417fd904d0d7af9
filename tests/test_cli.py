"""The command as a user types it, on made-up faces: names, tables, exit codes, and a sentence for every bad input."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

from emoca_jax.cli import main
from emoca_jax.commands import compile_cache
from emoca_jax.commands.photo_table import shortened
from emoca_jax.commands.photos import COMPILE_LINE, output_stems
from emoca_jax.errors import InputError
from emoca_jax.flame import save_head
from emoca_jax.jobs import read_emotion
from emoca_jax.jobs import reconstruct as capture
from emoca_jax.jobs.reconstruct import load_model
from tests.commands.made_up_photos import MADE_UP, made_up_reconstruct, photo, run, written
from tests.export.made_up_face import made_up_head


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder for photos; the slow part of the command is made up, and the home folder's cache left alone."""
    monkeypatch.setattr(capture, "load_model", lambda *_, **__: None)
    monkeypatch.setattr(capture, "reconstruct", made_up_reconstruct)
    monkeypatch.setattr(compile_cache, "enable", lambda: None)
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


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


def test_what_a_folder_holds_beside_photos_is_told(photos, capsys):
    for name in ("a.HEIC", "b.heif", "c.MOV", "notes.txt", "x.json", "y.json", "z.json", ".DS_Store", "raw.dng"):
        (photos / name).write_bytes(b"x")
    (photos / "b.jfif").write_bytes(b"x")
    (photos / "lost.jpg").symlink_to(photos / "nowhere.jpg")
    (photos / "empty").mkdir()
    for name in ("c.tiff", "d.avif", "z.jpg", "more/e.jpg", "out/old.png"):
        photo(photos / name)
    assert run(photos, photos, "--faces", "largest") == 1
    out, err = capsys.readouterr()
    assert written(photos) == ["c_0.json", "d_0.json", "old.png", "z_0.json"]
    assert "3 faces from 3 photos" in out and "1 failed" in out
    assert [line for line in err.splitlines() if "skipped" in line] == [
        "emoca: skipped a.HEIC, b.heif (a HEIC photo: export it as JPEG)",
        "emoca: skipped c.MOV (a video: take single frames out of it)",
        "emoca: skipped lost.jpg (a link that leads nowhere)",
        "emoca: skipped more (a folder with photos: give it, too)",
        "emoca: skipped notes.txt, x.json, y.json and 1 more (no photo)",
        "emoca: skipped raw.dng (a raw photo: export it as JPEG)",
    ]


def test_a_folder_or_pattern_of_nothing_but_heic(photos, capsys):
    photo(photos / "good" / "a.jpg")
    (photos / "a.HEIC").write_bytes(b"x")
    for name in (photos, photos / "*"):
        assert run(photos, name) == 2
        err = capsys.readouterr().err
        assert "no image" in err and "skipped a.HEIC (a HEIC photo: export it as JPEG)" in err
    assert run(photos, photos / "a.HEIC") == 2
    assert "a.HEIC: is a HEIC photo: export it as JPEG" in capsys.readouterr().err


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


def truncated(path):
    buffer = io.BytesIO()
    Image.fromarray(MADE_UP.photo).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[:1200])


def bomb(path):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)


BAD = {
    "wall.jpg": (photo, "no face"),
    "cut.jpg": (truncated, "damaged"),
    "diary.jpg": (lambda path: path.write_text("dear diary"), "not an image"),
    "letter.txt": (lambda path: path.write_text("dear Anna"), "not an image"),
    "zero.png": (lambda path: path.write_bytes(b""), "not an image"),
    "one.png": (lambda path: Image.new("RGB", (1, 1)).save(path), "1 x 1"),
    "bomb.png": (bomb, "megapixels"),
    "missing.jpg": (lambda path: None, "does not exist"),
    "none": (lambda path: path.mkdir(), "no image in it"),
    "*.gif": (lambda path: None, "matches no image"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_input_gets_one_sentence_and_the_others_are_done(photos, capsys, name):
    make, says = BAD[name]
    make(photos / name)
    assert run(photos, photos / name) == 2, "alone, nothing could be done"
    err = capsys.readouterr().err.replace("emoca: compiling (no cache folder can be written)\n", "")
    assert err.startswith("emoca: ") and err.count("\n") == 1 and name in err and says in err
    assert run(photos, photos / name, photo(photos / "good.jpg"), "--faces", "largest") == 1
    assert written(photos) == ["good_0.json"]
    assert "1 face from 1 photo" in capsys.readouterr().out


def test_a_huge_photo_is_done(photos):
    Image.new("RGB", (12000, 9000), (200, 100, 50)).save(photos / "huge.jpg", quality=30)
    assert run(photos, photos / "huge.jpg") == 0


@pytest.mark.usefixtures("types_unchecked")
def test_nan_in_python():
    with pytest.raises(InputError, match="NaN"):
        capture.reconstruct(SimpleNamespace(detector=None, person=None), np.full((64, 64, 3), np.nan))


@pytest.mark.parametrize("read", ["reconstruct", "read_emotion"])
def test_a_pil_image_in_python_is_what_its_file_is(tmp_path, monkeypatch, read):
    """Turned by EXIF, in CMYK: NumPy would make RGBA of it, lying on its side."""
    job = {"reconstruct": capture, "read_emotion": read_emotion}[read]
    seen = []
    monkeypatch.setattr(job, "found_faces", lambda detector, photo, faces: seen.append(photo.pixels) or iter(()))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(MADE_UP.photo).convert("CMYK").save(tmp_path / "a.jpg", exif=exif)
    model = load_model("open") if read == "reconstruct" else read_emotion.load_emotion_model("open")
    with Image.open(tmp_path / "a.jpg") as image:
        for given in (image, tmp_path / "a.jpg"):
            getattr(job, read)(model, given)
    assert seen[0].shape == MADE_UP.photo.swapaxes(0, 1).shape
    np.testing.assert_array_equal(*seen)


def test_output_that_cannot_be_written_stops_before_any_work(photos, capsys, monkeypatch):
    monkeypatch.setattr(capture, "reconstruct", lambda *_, **__: pytest.fail("worked in vain"))
    (photos / "out").write_text("a file")
    assert run(photos, photo(photos / "a.jpg")) == 2
    assert "out: cannot be written to" in capsys.readouterr().err
    assert main(["reconstruct", str(photos), "--output", str(photos)]) == 2
    assert "is also an input" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["reconstruct"], ["reconstruct", "a.jpg", "--format", "fbx"], ["reconstruct", "a.jpg", "--size", "9"]]
)
def test_bad_usage(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and "emoca reconstruct: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["reconstruct,,--output,o", "render,a.glb,--output,", "reconstruct,a.jpg,--output=", "convert,", "info,"]
)
def test_an_empty_name_is_not_the_folder_one_happens_to_be_in(photos, capsys, monkeypatch, words):
    photo(photos / "a.jpg")
    monkeypatch.chdir(photos)
    assert main(words.split(",")) == 2 and "one of the arguments is empty" in capsys.readouterr().err
    assert os.listdir() == ["a.jpg"]


def test_a_working_folder_that_is_gone(tmp_path, capsys, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["reconstruct", "a.jpg"]) == 2
    assert capsys.readouterr().err == "emoca: a.jpg: No such file or directory; check the folder and its permissions\n"


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


def test_without_words_it_shows_what_it_can_do(capsys):
    assert main([]) == 2
    assert "emoca reconstruct photo.jpg" in capsys.readouterr().err


def test_info_describes_the_head_and_where_the_cache_is(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compile_cache, "enable", lambda: tmp_path)
    save_head(made_up_head(), tmp_path / "head.npz")
    assert main(["info", "--head", str(tmp_path / "head.npz")]) == 0
    out = capsys.readouterr().out
    assert "made-up: 168 vertices, 288 triangles, 3 identity and 4 expression directions" in out
    assert f"{tmp_path} (empty" in out and "jaxlib" in out
    assert main(["info", "--head", str(tmp_path / "none.npz")]) == 2


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
    source = os.fspath(Path(__file__).parents[1])
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


def test_help_does_not_wait_for_jax():
    code = "import sys, emoca_jax.cli; sys.exit(emoca_jax.cli.main([]) + 10 * ('jax' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 2

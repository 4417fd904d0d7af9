"""What is given in place of a photo, on made-up faces: one sentence for each, and the others are done."""

import io
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from emoca_jax.errors import InputError
from emoca_jax.jobs import read_emotion
from emoca_jax.jobs import reconstruct as capture
from emoca_jax.jobs.reconstruct import load_model
from tests.commands.made_up_photos import MADE_UP, photo, run, written


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

"""Labels of photos: what `emoca` reads in them, row by row; failures are told; Beam writes the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipelines.pseudo_labels.__main__ import main
from data_pipelines.pseudo_labels.job import pseudo_label
from data_pipelines.pseudo_labels.label import Wanted, label, load_labeller
from data_pipelines.pseudo_labels.shards import Counts, added
from emoca_jax.errors import InputError
from emoca_jax.jobs.read_emotion import load_emotion_model, read_emotion
from emoca_jax.jobs.reconstruct import load_model, reconstruct
from tests.datasets.conftest import ROOT

COUNTS = Counts(5, 4, {"no face": 1, "not readable": 1})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces, a photo of both, half a file and a face's absence, in shards of 2: (a, b), (both, half), (none,)."""
    folder = tmp_path_factory.mktemp("photos")
    examples = [ROOT / "examples" / name for name in ("astronaut.jpg", "grace_hopper.jpg")]
    for name, example in zip("ab", examples, strict=True):
        shutil.copy(example, folder / f"{name}.jpg")
    sides = [Image.open(example).convert("RGB").resize((360, 400)) for example in examples]
    both = Image.new("RGB", (720, 400))
    for place, side in enumerate(sides):
        both.paste(side, (360 * place, 0))
    both.save(folder / "both.png")
    (folder / "half.jpg").write_bytes(examples[0].read_bytes()[:3000])
    Image.new("RGB", (64, 64), "teal").save(folder / "none.png")
    return folder


@pytest.fixture(scope="module")
def labels(photos: Path) -> Path:
    folder = photos.parent / "labels"

    assert pseudo_label([str(photos)], str(folder), Wanted(), per_shard=2) == COUNTS
    return folder


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.thorough
def test_labels_are_what_emoca_reads(photos: Path, labels: Path):
    model = load_emotion_model("open")
    told = lines(labels / "faces-00000-of-00003.jsonl") + lines(labels / "faces-00001-of-00003.jsonl")
    arrays = [np.load(labels / f"arrays-0000{shard}-of-00003.npz") for shard in (0, 1)]
    landmarks = np.concatenate([part["landmarks"] for part in arrays])
    expected = [face for name in ("a.jpg", "b.jpg", "both.png") for face in read_emotion(model, photos / name)]
    assert len(told) == len(landmarks) == len(expected) == 4
    for line, points, face in zip(told, landmarks, expected, strict=True):
        assert (line["photo"], line["face"]) == (str(face.source), face.face)
        reading = face.readings[0]
        assert line["networks"]["open networks"]["emotion"] == reading.label
        assert line["networks"]["open networks"]["valence"] == pytest.approx(reading.valence, abs=1e-4)
        scale = [*face.photo_scale, face.photo_scale.mean()]
        np.testing.assert_allclose(points, face.landmarks * scale, rtol=1e-5, atol=1e-3)


def test_failures_are_told(labels: Path):
    half, none = lines(labels / "failed-00001-of-00003.jsonl") + lines(labels / "failed-00002-of-00003.jsonl")
    assert half["failure"] == "not readable" and "half.jpg: is damaged" in half["why"]
    assert none["failure"] == "no face" and none["photo"].endswith("none.png")
    assert np.load(labels / "arrays-00002-of-00003.npz")["landmarks"].shape == (0, 478, 3)
    assert json.loads((labels / "summary.json").read_text())["failed"] == {"no face": 1, "not readable": 1}

    def explode(name: str):
        raise ZeroDivisionError(name)

    found = label(load_labeller(Wanted()), "x.jpg", explode)
    assert found.failure == "not foreseen" and "ZeroDivisionError" in found.why


def test_what_is_there_is_not_made_again(photos: Path, labels: Path, tmp_path: Path, capsys):
    again = tmp_path / "labels"
    shutil.copytree(labels, again)
    # What an interruption leaves: the second shard's last file is not there.
    (again / "faces-00001-of-00003.jsonl").unlink()
    first = (again / "faces-00000-of-00003.jsonl").stat().st_ino
    words = [str(photos), "--output", str(again)]
    assert main([*words, "--per_shard", "2"]) == 1
    assert "4 faces from 3 photos" in capsys.readouterr().out
    assert (again / "faces-00000-of-00003.jsonl").stat().st_ino == first
    assert_same_files(again, labels)
    assert main(words) == 2
    assert "holds labels of other photos, networks or options; give another" in capsys.readouterr().err


def test_nothing_to_label(tmp_path: Path, capsys):
    assert main([str(tmp_path), "--output", str(tmp_path / "labels")]) == 2
    assert "has no image in it" in capsys.readouterr().err
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "none.png")
    assert main([str(tmp_path), "--output", str(tmp_path / "labels")]) == 2
    assert "0 faces from 0 photos" in capsys.readouterr().out
    with pytest.raises(InputError, match="per_shard must be a whole number from 1"):
        pseudo_label([str(tmp_path)], str(tmp_path / "labels"), Wanted(), per_shard=0)


def test_counts_add_up_in_any_order():
    parts = [Counts(2, 1, {"no face": 1}), Counts(3, 3), Counts(1, 0, {"not readable": 1})]
    assert added([added(parts[1:]), parts[0]]) == added(parts) == Counts(6, 4, {"no face": 1, "not readable": 1})


@pytest.mark.slow
def test_codes(photos: Path, tmp_path: Path):
    pseudo_label([str(photos / "a.jpg")], str(tmp_path), Wanted(codes=True))
    arrays = np.load(tmp_path / "arrays-00000-of-00001.npz")
    (face,) = reconstruct(load_model("open"), photos / "a.jpg")
    np.testing.assert_array_equal(arrays["expression"][0], np.asarray(face.codes.expression))
    (told,) = lines(tmp_path / "faces-00000-of-00001.jsonl")
    assert told["codes"]["valence"] == pytest.approx(face.emotion.valence, abs=1e-4)


def test_beam_writes_the_same_bytes(photos: Path, labels: Path, tmp_path: Path):
    """By its DirectRunner, from and to this machine and by file systems of Beam's."""
    pytest.importorskip("apache_beam", reason="apache-beam wants older protobuf and Pillow than the lock")
    child = Path(__file__).with_name("label_child.py")
    environment = os.environ | {"PYTHONPATH": os.fspath(ROOT)}
    subprocess.run([sys.executable, child, photos, tmp_path], check=True, env=environment, timeout=300)
    assert_same_files(tmp_path / "local", labels)
    # Names are addresses; all else is the same.
    for file in labels.iterdir():
        remote = (
            (tmp_path / "remote" / file.name).read_bytes().replace(f"shelf:/{photos}".encode(), str(photos).encode())
        )
        assert remote == file.read_bytes() or file.name == "plan.json", file.name


def assert_same_files(one: Path, other: Path) -> None:
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    for path in other.iterdir():
        assert (one / path.name).read_bytes() == path.read_bytes(), path.name

"""`emoca emotion`: the picture, the files, and the command as a user types it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emoca_jax.cli import main
from emoca_jax.commands import compile_cache
from emoca_jax.commands.photos import COMPILE_LINE
from emoca_jax.emotion.reading import EmotionReading
from emoca_jax.errors import InputError
from emoca_jax.export.pictures.emotion import COLOURS, emotion_picture, photo_window
from emoca_jax.faces import EmotionResult
from emoca_jax.files.whole import is_result
from emoca_jax.jobs import read_emotion as capture
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES


def reading(network, label, valence, arousal):
    shares = dict.fromkeys(AFFECTNET_CLASSES, 0.05) | {label: 0.65}
    return EmotionReading(network, shares, valence, arousal)


MADE_UP = EmotionResult(
    photo=np.pad(np.zeros((60, 60, 3), np.uint8), ((150, 90), (200, 140), (0, 0)), constant_values=90),
    photo_scale=np.float32([2, 2]),
    source=Path("photos/Anna Lee.jpg"),
    face=0,
    box=np.float32([200, 150, 260, 210]),
    score=0.9,
    landmarks=np.zeros((478, 3), np.float32),
    readings=(reading("ResNet-50", "happy", 0.5, 0.25), reading("EMO-MLP (3D)", "fear", -3.0, 0.0)),
    seconds=0.1,
)


def test_the_photo_tile_shows_the_whole_photo_or_closes_in_on_a_small_face():
    assert photo_window((300, 400), np.array([100.0, 50, 200, 150])) == (0, 0, 300)
    assert photo_window((600, 400), np.array([100.0, 100, 300, 300])) == (-200, 0, 600), "paper on both sides"
    left, top, shown = photo_window((3000, 4000), np.array([3900.0, 1000, 4000, 1090]))
    assert shown == pytest.approx(300) and left == pytest.approx(4000 - 400) and top == pytest.approx(1045 - 150)


def test_box_bars_and_dots_are_where_they_belong():
    picture = emotion_picture(MADE_UP).astype(int)
    tile = picture[72 : 72 + 384, 28 : 28 + 512]
    # The tile's 384 rows show 200 of the photo about (230, 180); the face is black and the line around it white.
    for found in (np.argwhere((tile > 240).all(-1)), np.argwhere((tile < 20).all(-1))):
        np.testing.assert_allclose(found.min(0), [(150 - 80) * 1.92, (200 - 230 + 400 / 3) * 1.92], atol=5)
        np.testing.assert_allclose(found.max(0), [(210 - 80) * 1.92, (260 - 230 + 400 / 3) * 1.92], atol=5)
    readings = picture[72 : 72 + 384, 28 + 512 + 16 :][:, :512]

    def marked(colour, part):
        return np.argwhere((np.abs(readings - colour) <= 2).all(-1) & part)

    rows, columns = np.indices(readings.shape[:2])
    plane, bars = (columns > 300) & (rows < 220), (columns > 97) & (columns < 271) & (rows < 270)
    centre, radius = np.array([26 + 89, 302 + 89]), 89 * 0.94
    for index, (valence, arousal) in enumerate(((0.5, 0.25), (-1.0, 0.0))):  # what lies beyond is put on the rim
        dot = marked(COLOURS[index], plane).mean(0)
        np.testing.assert_allclose(dot, centre + radius * np.array([-arousal, valence]), atol=1)
    for index in (0, 1):
        lengths = np.bincount(marked(COLOURS[index], bars)[:, 0]).max()
        assert lengths == pytest.approx(0.65 * 172, abs=4), "the longest bar is the label's"


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder for photos; networks are made up, and the home folder's cache left alone."""

    def read(model, photo, *, faces):
        if "wall" in photo.name:
            raise InputError(f"{photo} shows no face that can be found")
        both = [replace(MADE_UP, source=photo, face=index) for index in (0, 1)]
        return both[:1] if faces == "largest" else both

    monkeypatch.setattr(capture, "load_emotion_model", lambda name, **_: None)
    monkeypatch.setattr(capture, "read_emotion", read)
    monkeypatch.setattr(compile_cache, "enable", lambda: None)
    return tmp_path


def run(*words):
    return main(["emotion", *map(str, words)])


def test_the_command_writes_and_tells_every_face(photos, capsys):
    Image.fromarray(MADE_UP.photo).save(photos / "anna.png")
    assert run(photos / "anna.png", "--output", photos / "out") == 0
    names = [f"anna_{face}_emotion.{ending}" for face in (0, 1) for ending in ("json", "png")]
    assert sorted(path.name for path in (photos / "out").iterdir()) == [*names, "emotions.csv"]
    with (photos / "out" / "emotions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["image"], line["face"], line["network"]) for line in lines[:2]] == [
        (str(photos / "anna.png"), "0", "ResNet-50"), (str(photos / "anna.png"), "0", "EMO-MLP (3D)"),
    ]  # fmt: skip
    assert lines[3]["expression"] == "fear" and float(lines[3]["valence"]) == -3 and float(lines[3]["fear"]) == 0.65
    assert is_result(photos / "out" / "emotions.csv"), "so the next run may replace it"
    header, *lines, total = capsys.readouterr().out.strip().splitlines()
    assert header.split() == ["file", "face", "network", "emotion", "valence", "arousal"]
    assert lines[0].split() == ["anna.png", "0", "ResNet-50", "happy", "65%", "+0.50", "+0.25"]
    assert lines[3].split() == ["anna.png", "1", "EMO-MLP", "(3D)", "fear", "65%", "-3.00", "+0.00"]
    assert total == f"2 faces from 1 photo in {photos / 'out'}"
    told = json.loads((photos / "out" / names[2]).read_text())
    assert (told["source"], told["face"], told["box"]) == ("anna.png", 1, [400, 300, 520, 420])
    assert told["networks"]["ResNet-50"]["emotion"] == "happy" and told["networks"]["EMO-MLP (3D)"]["valence"] == -3
    assert told["networks"]["ResNet-50"]["expression_probabilities"]["happy"] == 0.65


def test_a_table_of_somebody_elses_is_named_before_any_work(photos, capsys):
    (photos / "out").mkdir()
    (photos / "out" / "emotions.csv").write_text("mine")
    Image.fromarray(MADE_UP.photo).save(photos / "anna.png")
    assert run(photos / "anna.png", "--output", photos / "out") == 2
    assert "emotions.csv: is there already and is no result" in capsys.readouterr().err
    assert [path.name for path in (photos / "out").iterdir()] == ["emotions.csv"]


def test_an_interrupted_run_keeps_the_table_of_what_was_done(photos, monkeypatch, capsys):
    for name in ("anna.png", "bert.png"):
        Image.fromarray(MADE_UP.photo).save(photos / name)
    read = capture.read_emotion

    def stopped(model, photo, *, faces):
        if photo.name == "bert.png":
            raise KeyboardInterrupt
        return read(model, photo, faces=faces)

    monkeypatch.setattr(capture, "read_emotion", stopped)
    assert run(photos / "anna.png", photos / "bert.png", "--output", photos / "out") == 130
    assert "interrupted; 1 of 2 inputs done" in capsys.readouterr().err
    lines = (photos / "out" / "emotions.csv").read_text().splitlines()
    assert len(lines) == 5 and all("anna.png" in line for line in lines[1:])


def test_the_table_keeps_to_eighty_columns(photos, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = f"{'anna and ' * 12}me.png"
    Image.fromarray(MADE_UP.photo).save(photos / name)
    (photos / "b.HEIC").write_bytes(b"x")
    assert run(photos, "--output", photos / "out") == 0
    out, err = capsys.readouterr()
    header, *lines, _ = out.strip().splitlines()
    assert len(lines) == 4 and all(len(line) <= 80 for line in (header, *lines))
    assert all(line.startswith("anna and") and "me.png  " in line for line in lines)
    assert "emoca: skipped b.HEIC (a HEIC photo: export it as JPEG)" in err


def test_a_photo_without_a_face_does_not_stop_the_others(photos, capsys):
    for name in ("wall.png", "anna.png"):
        Image.fromarray(MADE_UP.photo).save(photos / name)
    assert run(photos / "wall.png", photos / "anna.png", "--faces", "largest", "--output", photos / "out") == 1
    assert run(photos / "wall.png", "--output", photos / "out") == 2
    assert capsys.readouterr().err.count("wall.png shows no face") == 2


def test_compiling_is_announced_once_for_each_kind_of_model(photos, capsys, monkeypatch):
    """Networks that were not there before compile, whatever ran before."""
    monkeypatch.setattr(compile_cache, "enable", lambda: photos)
    Image.fromarray(MADE_UP.photo).save(photos / "anna.png")
    for model, announced in (("open", True), ("open", False), ("folder", True), ("folder", False)):
        assert run(photos / "anna.png", "--model", model, "--output", photos / "out") == 0
        assert (COMPILE_LINE in capsys.readouterr().err) == announced

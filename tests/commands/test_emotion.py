"""`emoca emotion`: the networks on a face, the picture, the files, and the command as a user types it."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from PIL import Image

from emoca_jax.capture import found_faces
from emoca_jax.capture.detect import DetectedFace
from emoca_jax.capture.place_landmarks import Roi
from emoca_jax.cli import main
from emoca_jax.codes import Codes
from emoca_jax.commands import compile_cache
from emoca_jax.commands.photos import COMPILE_LINE
from emoca_jax.convert.readers import emotion_networks as translators
from emoca_jax.convert.readers.networks import encoder
from emoca_jax.emotion.class_affect import CLASS_AFFECT
from emoca_jax.emotion.networks import read_codes, read_crop
from emoca_jax.emotion.pictures import picture_networks, read_picture
from emoca_jax.emotion.reading import OPEN_NETWORKS, PICTURE_READER, EmotionReading, reading_of
from emoca_jax.emotion.units import ARKIT_UNITS, MIRRORED
from emoca_jax.errors import InputError
from emoca_jax.export.pictures.emotion import COLOURS, emotion_picture, photo_window
from emoca_jax.faces import EmotionResult
from emoca_jax.files.whole import is_result
from emoca_jax.jobs import read_emotion as capture
from emoca_jax.model import encode
from emoca_jax.model_folder import FORMAT_VERSION, KIND
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES
from emoca_jax.nets.emotion.crop import ExpressionCrop, crop_image
from emoca_jax.training.stages.emotion import image_recogniser
from scripts.train import as_npz
from tests import reference_weights as reference

TOLERANCE = 1e-5
UPRIGHT = ExpressionCrop(np.zeros(2, np.float32), np.array(0.5, np.float32), np.array(0, np.float32))
ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def codes(**arrays):
    """Codes of which only some matter."""
    shapes = {
        "shape": 0,
        "expression": 0,
        "pose": (2, 3),
        "jaw": 3,
        "eyes": (2, 3),
        "camera": 3,
        "light": (9, 3),
        "albedo": 0,
    }
    return Codes(**{name: np.zeros(shape, np.float32) for name, shape in shapes.items()} | arrays)


@pytest.fixture(scope="module")
def emonet():
    return translators.emonet(reference.emonet()).variables


@pytest.fixture(scope="module")
def emotion_mlp():
    return translators.emotion_mlp(reference.emotion_mlp()).variables


@pytest.mark.thorough
def test_image_networks_read_what_the_official_ones_read(emonet):
    golden, image = reference.golden("emonet"), reference.images()[1]
    read = read_crop("emonet", emonet, image, UPRIGHT)
    np.testing.assert_allclose(read.valence, golden["valence"][1], rtol=TOLERANCE)
    exponentials = np.exp(golden["expression"][1].astype(np.float64))
    shares = dict(zip(AFFECTNET_CLASSES, exponentials / exponentials.sum(), strict=True))
    assert reading_of("EmoNet", read).probabilities == pytest.approx(shares, rel=TOLERANCE)
    golden = reference.golden("emotion")
    resnet = fold_batch_norms(translators.emotion_resnet50(reference.emotion_resnet()).variables)
    read = read_crop("emotion_resnet50", resnet, image, UPRIGHT)
    np.testing.assert_allclose(read.arousal, golden["cnn_arousal"][1, 0], rtol=1e-4)
    logarithms = np.log(list(reading_of("ResNet-50", read).probabilities.values()))
    np.testing.assert_allclose(logarithms, golden["cnn_expr_classification"][1], rtol=TOLERANCE)


def test_emotion_is_read_off_codes(emotion_mlp):
    golden = reference.golden("emotion")
    face = codes(
        shape=golden["emodeca_shapecode"][2],
        expression=golden["emodeca_expcode"][2],
        jaw=golden["emodeca_posecode"][2, 3:],
        detail=np.full(128, np.nan, np.float32),  # this network does not take it
    )
    read = read_codes(emotion_mlp, face)
    np.testing.assert_allclose(read.valence, golden["emodeca_valence"][2, 0], rtol=TOLERANCE)
    np.testing.assert_allclose(read.arousal, golden["emodeca_arousal"][2, 0], rtol=TOLERANCE)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("part", "side"), [("emotion_small", 80), pytest.param("emotion_on_open", 112, marks=pytest.mark.slow)]
)
def test_what_a_run_leaves_is_converted_and_reads_photos(part, side, tmp_path, found):
    """The answer is that of the trained network on the upright face, as training showed it, and no side counts."""
    network = image_recogniser(part.removeprefix("emotion_"), size=side)
    variables = jax.jit(network.module.init)(jax.random.key(3), np.zeros((1, side, side, 3), np.float32))
    (tmp_path / "network.npz").write_bytes(as_npz(variables["params"], variables["batch_stats"]))
    assert main(["convert", str(tmp_path / "network.npz"), "--output", str(tmp_path / "converted")]) == 0
    model = capture.load_emotion_model(tmp_path / "converted")
    (result,) = capture.read_emotion(model, np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))
    seen = capture.look(model.expression, result)
    face = np.asarray(crop_image(seen.image, seen.crop, size=side))[None]
    told: list[Any] = [jax.jit(network.module.apply)(variables, picture) for picture in (face, face[:, :, ::-1])]
    (reading,) = result.readings
    assert reading.valence == pytest.approx(float(told[0].valence[0] + told[1].valence[0]) / 2, abs=1e-5)
    assert reading.arousal == pytest.approx(float(told[0].arousal[0] + told[1].arousal[0]) / 2, abs=1e-5)
    logits = np.asarray(told[0].expression_logits[0] + told[1].expression_logits[0]) / 2
    assert list(reading.probabilities.values()) == pytest.approx(
        (np.exp(logits) / np.exp(logits).sum()).tolist(), rel=1e-4
    )


def test_a_trained_network_that_lacks_arrays_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "network.npz", **{"params/stem/conv/kernel": np.ones(3), "params/units/kernel": np.ones(3)})
    assert main(["convert", str(tmp_path / "network.npz"), "--output", str(tmp_path / "converted")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "network.npz is damaged: it lacks" in said and "train again" in said
    assert not (tmp_path / "converted").exists()


def write_folder(folder, parts, encoders):
    """A converted folder with these networks; encoders make it a model of plain DECA."""
    from safetensors.numpy import save_file

    for part, variables in (parts | encoders).items():
        save_file(flatten_dict(variables, sep="/"), folder / f"{part}.safetensors")
    files = {part: f"{part}.safetensors" for part in parts | encoders}
    model = {"variant": "deca", "options": {}, "parts": {part: files[part] for part in encoders}}
    description = {
        "format": FORMAT_VERSION,
        "kind": KIND,
        "models": {"DECA": model} if encoders else {},
        "parts": {part: files[part] for part in parts},
        "default": "DECA" if encoders else None,
    }
    (folder / "model.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def found(monkeypatch):
    """A face in every photo, its landmarks made up: finding faces has its own tests."""
    landmarks = np.random.default_rng(0).uniform(60, 140, (478, 3)).astype(np.float32)
    face = DetectedFace(np.float32([50, 50, 150, 150]), 0.9, 1.0, landmarks, Roi((100, 100), 100, 0), 0.0)
    monkeypatch.setattr(found_faces, "detect_faces", lambda networks, pixels: [face])
    monkeypatch.setattr(capture, "load_networks", dict)


@pytest.mark.thorough
def test_a_folder_is_read_by_all_it_has(tmp_path, found, emonet, emotion_mlp):
    """Photo networks first, then the codes of the encoders; each equal to the network on its own input."""
    networks = {"emotion_mlp": emotion_mlp, "emonet": emonet}
    flame_encoder = encoder(reference.flame_encoder()).variables
    folder = write_folder(tmp_path, networks, {"flame_encoder": flame_encoder})
    model = capture.load_emotion_model(folder, from_3d=True)
    photo = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    (result,) = capture.read_emotion(model, photo)
    assert [reading.network for reading in result.readings] == ["EmoNet", "EMO-MLP (3D)"]
    seen = capture.look(model.expression, result)
    crop = np.asarray(seen.image)
    alone = read_crop("emonet", emonet, crop, seen.crop)
    assert result.readings[0].valence == pytest.approx(float(alone.valence), rel=1e-4)
    told = read_codes(emotion_mlp, jax.tree.map(lambda leaf: leaf[0], encode(model.encoders, crop[None])))
    assert result.readings[1].arousal == pytest.approx(float(told.arousal), rel=1e-5)
    (unasked,) = capture.read_emotion(capture.load_emotion_model(folder), photo)
    assert [reading.network for reading in unasked.readings] == ["EmoNet"], "the 3D face is read when asked for"


def test_a_folder_without_emotion_networks_says_what_to_convert(tmp_path, emotion_mlp):
    with pytest.raises(InputError, match="no emotion network"):
        capture.load_emotion_model(write_folder(tmp_path, {}, {}))
    with pytest.raises(InputError, match="EMO-MLP, which reads the codes of a model"):
        capture.load_emotion_model(write_folder(tmp_path, {"emotion_mlp": emotion_mlp}, {}))
    (tmp_path / "model").mkdir()
    encoders = {"flame_encoder": encoder(reference.flame_encoder()).variables}
    with pytest.raises(InputError, match="add --from-3d"):
        capture.load_emotion_model(write_folder(tmp_path / "model", {"emotion_mlp": emotion_mlp}, encoders))


def test_a_folder_without_emo_mlp_reads_neither_the_3d_face_nor_drawn_ones(tmp_path, emonet):
    folder = write_folder(tmp_path, {"emonet": emonet}, {})
    with pytest.raises(InputError, match="leave --from-3d out"):
        capture.load_emotion_model(folder, from_3d=True)
    with pytest.raises(InputError, match=f"leave it out, or the model {re.escape(str(folder))}"):
        capture.load_emotion_model(folder, drawn=True)


def test_what_ships_reads_a_photo_without_a_head():
    """No fit, so milliseconds; the classes are those that `reconstruct` tells of the photo."""
    model = capture.load_emotion_model("open")
    assert model.fitted is None
    (result,) = capture.read_emotion(model, ASTRONAUT, faces="largest")
    (reading,) = result.readings
    assert reading.label == "happy" and reading.valence > 0.5 and reading.arousal > 0.2
    # A rendering is read by the picture reader alone, half of valence and arousal where its classes lie.
    (drawn,) = capture.read_emotion(capture.load_emotion_model("open", drawn=True), ASTRONAUT, faces="largest")
    (rendered,) = drawn.readings
    assert rendered.network == PICTURE_READER and reading.network == OPEN_NETWORKS
    # The picture reader among them, off the photo and off its mirror image: every unit on the other side.
    seen = capture.look(model.expression, result)
    networks = picture_networks(model.expression, model.detector["mesh"])
    alone = read_picture(networks, seen.image, seen.crop)
    square = seen.crop.replace(centre=np.float32([-1, 1]) * np.asarray(seen.crop.centre), rotation=-seen.crop.rotation)
    mirrored = read_picture(networks, seen.image[:, ::-1], square)
    assert np.argmax(alone.expression_logits) == AFFECTNET_CLASSES.index("happy")
    shares = np.asarray(jax.nn.softmax(alone.expression_logits))
    assert list(rendered.probabilities.values()) == pytest.approx(shares.tolist(), abs=1e-4)
    places = shares @ np.array([CLASS_AFFECT[name] for name in AFFECTNET_CLASSES])
    own = np.array([float(alone.valence), float(alone.arousal)])
    assert [rendered.valence, rendered.arousal] == pytest.approx(((own + places) / 2).tolist(), abs=1e-3)
    assert np.abs(own - places).max() > 0.05, "so that each half counts"
    units = np.asarray(jax.nn.sigmoid(alone.unit_logits))
    np.testing.assert_allclose(jax.nn.sigmoid(mirrored.unit_logits), units[MIRRORED], atol=0.02)
    smile = [ARKIT_UNITS.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    assert units[smile].min() > 0.4 and units[ARKIT_UNITS.index("mouthFrownLeft")] < 0.2


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

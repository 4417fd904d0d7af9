"""What reads emotion: networks on a face, those of a converted folder, and those that ship."""

import json
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from emoca_jax.capture import found_faces
from emoca_jax.capture.detect import DetectedFace
from emoca_jax.capture.place_landmarks import Roi
from emoca_jax.cli import main
from emoca_jax.codes import Codes
from emoca_jax.convert.readers import emotion_networks as translators
from emoca_jax.convert.readers.networks import encoder
from emoca_jax.emotion.class_affect import CLASS_AFFECT
from emoca_jax.emotion.landmark_units import landmark_units
from emoca_jax.emotion.networks import read_codes, read_crop
from emoca_jax.emotion.pictures import picture_networks, read_picture
from emoca_jax.emotion.reading import OPEN_NETWORKS, PICTURE_READER, reading_of
from emoca_jax.emotion.units import ARKIT_UNITS, MIRRORED
from emoca_jax.errors import InputError
from emoca_jax.jobs import read_emotion as capture
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.model import encode
from emoca_jax.model_folder import FORMAT_VERSION, KIND
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES
from emoca_jax.nets.emotion.crop import ExpressionCrop, crop_image
from emoca_jax.nets.emotion.frozen import PICTURE_SIZE, expression_maps, mesh_crops, picture_crop
from emoca_jax.nets.emotion.picture_reader import PictureReader
from emoca_jax.nets.mediapipe.mesh_look import mesh_look
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


@pytest.mark.thorough
def test_the_picture_reader_is_told_what_it_has_learned_with():
    """Maps, units and points of one look, put together here as for the looks that train it (data_pipelines)."""
    model = capture.load_emotion_model("open")
    (result,) = capture.read_emotion(model, ASTRONAUT, faces="largest")
    seen = capture.look(model.expression, result)
    networks = picture_networks(model.expression, model.detector["mesh"])
    picture = np.asarray(crop_image(seen.image, picture_crop(seen.crop), size=PICTURE_SIZE))
    pictures = jax.numpy.stack([picture, picture[:, ::-1]])
    mesh = mesh_look(networks.mesh, mesh_crops(pictures))
    maps = {**expression_maps(networks.expression, pictures), **mesh.maps}
    points = np.asarray(mesh.points)[:, np.array(EXPRESSION_POINTS)]
    looks: Any = PictureReader().apply(networks.reader, maps, landmark_units(networks.units, mesh.points), points)
    alone = read_picture(networks, seen.image, seen.crop)
    # The network is shown whole bytes there.
    np.testing.assert_allclose(alone.expression_logits, looks.expression_logits.mean(0), atol=0.1)
    np.testing.assert_allclose(alone.valence, looks.valence.mean(), atol=0.02)

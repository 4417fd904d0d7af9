"""DECA's stages for FLAME on packaged photos of known people, in which the detector has looked for faces."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file

from data_pipelines.samples import Sample
from emoca_jax.errors import InputError
from emoca_jax.flame.head_file import save_head
from emoca_jax.mediapipe_points import FACE_OVAL, JAW_OF_68
from emoca_jax.model_folder import FORMAT_VERSION, KIND, MAP_SIDE, read_model_folder
from emoca_jax.nets.declared import declared_shapes
from emoca_jax.training.loop import Settings, run
from emoca_jax.training.stages.encoders import FLAME
from tests.flame.small_head import VERTICES, small_head

pytest.importorskip("grain", reason="grain has no wheel here")
from data_pipelines import found as found_module
from data_pipelines.build import build
from scripts.train_coarse import coarse_on_photos, official_encoders, official_head, official_start
from tests.datasets import official_vggface2_hq

CENTRE, HALF = (30.0, 33.0), 12.0
"""Of the made-up faces, in pixels of pictures of 64."""
SHAPES, EXPRESSIONS, ALBEDOS = 100, 50, 50
"""What E_flame tells."""


def made_up_points(detector: object, samples: list[Sample]) -> np.ndarray:
    """An outline and a heap within it in every picture but those of 0000_01.jpg of the person of three photos."""
    points = np.random.default_rng(1).normal(0, 3, (len(samples), 478, 3)).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[:, FACE_OVAL, :2] = HALF * np.stack([np.sin(angle), -np.cos(angle)], axis=-1)
    points[..., :2] += CENTRE
    points[[sample["file"] == "n000031/0000_01.jpg" for sample in samples]] = np.nan
    return points


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three people, the second of them held out; looking takes two files of three and two pictures."""
    pytest.importorskip("array_record", reason="array_record has no wheel here")
    official_vggface2_hq.make(tmp_path / "official")
    build("vggface2_hq", manual_dir=tmp_path / "official", data_dir=tmp_path)
    monkeypatch.setattr(found_module, "load_networks", dict)
    monkeypatch.setattr(found_module, "found_points", made_up_points)
    monkeypatch.setattr(found_module, "PER_FILE", 3)
    return tmp_path


@pytest.fixture
def looked(records: Path) -> Path:
    words = ["vggface2_hq", "train", "--data_dir", str(records)]
    assert [found_module.main([*words, "--share", share]) for share in ("1/2", "2/2")] == [0, 0]
    assert found_module.main(["vggface2_hq", "validation", "--data_dir", str(records)]) == 0
    return records


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted folder of which nothing is learned: a head of 23 vertices with FLAME's codes, colours, a mask."""
    folder, draw = tmp_path_factory.mktemp("model"), np.random.default_rng(5)
    plain = small_head()
    assert plain.albedo is not None
    basis = draw.normal(0, 0.1, (4, 5, 3, ALBEDOS)).astype(np.float32)
    directions = [draw.normal(0, 0.02, (VERTICES, 3, count)).astype(np.float32) for count in (SHAPES, EXPRESSIONS)]
    head = plain.replace(
        shape_dirs=directions[0], expression_dirs=directions[1], expression_names=(), albedo=None,
        bounded_expression=False,
    )  # fmt: skip
    save_head(head, folder / "head.safetensors")
    save_file({"face_eye_mask": np.ones((MAP_SIDE, MAP_SIDE), np.float32)}, folder / "maps.safetensors")
    save_file({"mean": np.asarray(plain.albedo.mean), "basis": basis}, folder / "albedo_bfm.safetensors")
    parts = {name: f"{name}.safetensors" for name in ("head", "maps", "albedo_bfm")}
    described = {"format": FORMAT_VERSION, "kind": KIND, "models": {}, "parts": parts, "default": None}
    (folder / "model.json").write_text(json.dumps(described))
    return folder


@pytest.fixture
def knowing(model: Path, tmp_path: Path) -> Path:
    """With a network that has seen nobody."""
    folder, draw = tmp_path / "knowing", np.random.default_rng(6)
    shutil.copytree(model, folder)
    network = {
        path: np.float32(np.ones(shape) if path.endswith("var") else draw.normal(0, 0.05, shape))
        for path, shape in declared_shapes("identity_resnet50").items()
    }
    save_file(network, folder / "identity_resnet50.safetensors")
    described = json.loads((folder / "model.json").read_text())
    described["parts"]["identity_resnet50"] = "identity_resnet50.safetensors"
    (folder / "model.json").write_text(json.dumps(described))
    return folder


def config(name: str, records: Path, model: Path, **weights: float) -> Any:
    made: Any = importlib.import_module(f"configs.{name}").get_config()
    made.model, made.data.folder, made.batch = str(model), str(records), 2
    made.data.update({"threads": 1, "ahead": 1})
    made.weights.update(weights)
    made.settings.update({"steps": 2, "log_every": 1, "save_every": 2, "evaluate_every": 2})
    return made


def test_photos_gain_landmarks_and_the_square_around_them(looked: Path) -> None:
    assert sorted(path.name for path in (looked / "vggface2_hq").glob("found_train*")) == [
        "found_train-00000-of-00002.npz", "found_train-00001-of-00002.npz",
    ]  # fmt: skip
    photos = found_module.open_found_photos("vggface2_hq", "train", data_dir=looked)
    files = [photos[i]["file"] for i in range(len(photos))]
    assert files == ["n000002/0000_01.jpg", "n000002/0001_01.jpg", "n000031/0001_01.jpg", "n000031/0002_01.jpg"]
    assert photos.columns["identity"].tolist() == [0, 0, 1, 1]
    sample = photos[3]
    # The oval's points among the jaw's reach from ear to ear and down to the chin.
    np.testing.assert_allclose(sample["landmarks"][JAW_OF_68.index(152)], [CENTRE[0], CENTRE[1] + HALF], atol=1e-5)
    low, high = sample["landmarks"].min(0), sample["landmarks"].max(0)
    np.testing.assert_allclose(sample["face"], [*(low + high) / 2, 1.1 * (high - low).mean()], rtol=1e-5)
    assert found_module.open_found("vggface2_hq", "train", data_dir=looked)[0][found_module.FOUND].shape == (478, 3)


def test_files_that_are_not_there_are_told_of(looked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = len(found_module.open_found_photos("vggface2_hq", "train", data_dir=looked))
    gone = looked / "vggface2_hq" / "found_train-00000-of-00002.npz"
    gone.unlink()
    with pytest.warns(RuntimeWarning, match=f"{gone.name}: not there, their pictures are left out; look at them with"):
        rest = found_module.open_found_photos("vggface2_hq", "train", data_dir=looked)
    assert 0 < len(rest) < whole
    assert found_module.main(["vggface2_hq", "train", "--data_dir", str(looked), "--share", "3/4"]) == 2
    assert "share 3 of 4 has nothing to do: files of vggface2_hq train: 2" in capsys.readouterr().err


def test_a_batch_has_them_in_the_middle(looked: Path, model: Path) -> None:
    """Of the loader's square, which is 1.6 times the official one of 1.1 times the landmarks."""
    made = config("deca_coarse", looked, model, identity=0.0)
    _, batches = coarse_on_photos(made)
    batch = next(batches)
    shapes = {entry: array.shape for entry, array in batch.items()}
    assert shapes == {"image": (2, 288, 288, 3), "landmarks": (2, 68, 2)}
    low, high = batch["landmarks"].min(1), batch["landmarks"].max(1)
    np.testing.assert_allclose((low + high) / 2, 143.5, atol=0.01)
    np.testing.assert_allclose((high - low).mean(-1), 288 / 1.6 / 1.1, rtol=1e-4)


def test_colours_are_those_that_deca_learned_with(model: Path) -> None:
    """The head of a folder that holds no model has none of its own."""
    folder = read_model_folder(str(model))
    albedo = official_head(folder).albedo
    assert folder.head.albedo is None and albedo is not None
    np.testing.assert_array_equal(albedo.basis, load_file(model / "albedo_bfm.safetensors")["basis"])


@pytest.mark.thorough
@pytest.mark.parametrize("wanted", [True, False])
def test_deca_begins_with_the_converted_network_where_it_is_wanted(model: Path, tmp_path: Path, wanted: bool) -> None:
    folder, draw = tmp_path / "trained", np.random.default_rng(7)
    shutil.copytree(model, folder)
    network = {path: draw.random(shape, np.float32) for path, shape in declared_shapes("flame_encoder").items()}
    save_file(network, folder / "flame_encoder.safetensors")
    described = json.loads((folder / "model.json").read_text())
    parts = {"flame_encoder": "flame_encoder.safetensors"}
    described["models"], described["default"] = {"DECA": {"variant": "deca", "options": {}, "parts": parts}}, "DECA"
    (folder / "model.json").write_text(json.dumps(described))
    made = config("deca_coarse", tmp_path, folder)
    made.start_flame, encoders = wanted, official_encoders(made)
    start = official_start(read_model_folder(str(folder)), encoders, made)
    parameters, _ = start if isinstance(start, tuple) else jax.eval_shape(start, jax.random.key(0))
    kernel = parameters[FLAME]["head"]["kernel"]
    assert isinstance(start, tuple) == wanted
    if wanted:
        np.testing.assert_array_equal(kernel, network["params/head/kernel"])


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["deca_pretrain", "deca_coarse"])
def test_the_step_of_decas_stages(looked: Path, model: Path, name: str) -> None:
    """Traced, not compiled: all but the identity, and every parameter gets a gradient."""
    stage, batches = coarse_on_photos(config(name, looked, model, identity=0.0))
    parameters, statistics = jax.eval_shape(stage.initial, jax.random.key(0))
    gradients = jax.eval_shape(
        jax.grad(lambda *inputs: sum(stage.loss(*inputs).terms.values())),
        parameters, statistics, next(batches), jax.random.key(0),
    )  # fmt: skip
    assert set(parameters) == {FLAME}
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, parameters)


def test_what_has_no_landmarks_is_told_where_they_come_from(records: Path, model: Path) -> None:
    look = "python -m data_pipelines.found vggface2_hq train --data_dir"
    made = config("deca_coarse", records, model, identity=0.0)
    with pytest.raises(InputError, match=f"is not there; make it with {look}"):
        coarse_on_photos(made)
    made.data.found = False
    with pytest.raises(InputError, match=rf"have no landmarks.*{look} .*--config\.data\.found=True"):
        coarse_on_photos(made)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deca_pretrain", "deca_coarse"])
def test_a_run_of_decas_stages(looked: Path, knowing: Path, tmp_path: Path, name: str) -> None:
    """Every term of the paper's, finite; the network moves, and an epoch on the held-out person is judged."""
    made = config(name, looked, knowing)
    stage, batches = coarse_on_photos(made)
    begin, _ = stage.initial(jax.random.key(0))
    ended = run(stage, batches, Settings(**made.settings), tmp_path / "run")
    assert ended.exit_code == 0 and int(ended.state.skipped_in_a_row) == 0
    assert ended.measures is not None and set(made.weights) <= set(ended.measures)
    assert np.isfinite(list(ended.measures.values())).all()
    before, after = (flatten_dict(tree[FLAME]) for tree in (begin, ended.state.trained))
    moved = [path for path in before if np.any(np.asarray(before[path]) != np.asarray(after[path]))]
    assert len(moved) > 0.9 * len(before)

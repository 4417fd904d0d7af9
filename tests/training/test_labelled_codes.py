"""EMO-MLP on FLAME's codes: labels of people beside what `pseudo_labels --codes` told, classes in turn, a run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from emoca_jax.cli import main
from emoca_jax.errors import InputError
from emoca_jax.mediapipe_points import ALL_POINTS, INNER_OF_68, JAW_OF_68
from emoca_jax.model_folder import read_model_folder
from emoca_jax.training.loop import Settings, run

pytest.importorskip("grain", reason="grain has no wheel here")
from data_pipelines.in_turn import InTurn
from data_pipelines.pseudo_labels.labelled import labelled_codes
from data_pipelines.sources import open_folder
from scripts.train import as_npz
from scripts.train_recogniser import emotion_from_labelled_codes
from tests.datasets import official_affectnet

FACES = ("1/a.jpg", "1/b.jpg", "1/b.jpg", "2/c.png", "4/unknown.jpg", "3/f.jpg")
"""Of AffectNet's made-up photos; b.jpg shows another face first."""
PARTS = {"shape": (100,), "expression": (50,), "jaw": (3,), "detail": (128,)}


@pytest.fixture
def affectnet(tmp_path: Path) -> Path:
    official_affectnet.make(tmp_path / "affectnet")
    return tmp_path / "affectnet"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Two shards of a folder that lay elsewhere when it was labelled."""
    folder, draw = tmp_path / "labels", np.random.default_rng(4)
    folder.mkdir()
    points = np.zeros((len(FACES), ALL_POINTS, 3), np.float32)
    points[:, [*JAW_OF_68, *INNER_OF_68], :2] = official_affectnet.LANDMARKS
    points[1] += 40
    codes = {name: draw.normal(size=(len(FACES), *shape)).astype(np.float32) for name, shape in PARTS.items()}
    for shard, rows in enumerate((slice(4), slice(4, None))):
        name = f"{shard:05d}-of-00002"
        lines = [json.dumps({"photo": f"/elsewhere/Images/{file}"}) + "\n" for file in FACES[rows]]
        (folder / f"faces-{name}.jsonl").write_text("".join(lines))
        kept = {part: array[rows] for part, array in {"landmarks": points, **codes}.items()}
        np.savez(folder / f"arrays-{name}.npz", **kept)
    np.savez(folder / "all.npz", **codes)
    return folder


def config(affectnet: Path, labels: Path) -> Any:
    made: Any = importlib.import_module("configs.emo_mlp").get_config()
    made.data.update({"folder": str(affectnet), "labels": str(labels), "held_out": "train_clean"})
    made.batch = 4
    made.settings.update({"steps": 2, "log_every": 1, "save_every": 2, "evaluate_every": 2})
    return made


@pytest.mark.parametrize("detail", [False, True])
def test_each_labelled_face_gets_its_own_codes(affectnet: Path, labels: Path, detail: bool) -> None:
    found = labelled_codes(open_folder("affectnet", "train_clean", manual_dir=affectnet), labels, detail=detail)
    assert found["expression"].tolist() == [0, 1] and found["valence"].tolist() == [np.float32(0.05), np.float32(0.8)]
    with np.load(labels / "all.npz") as codes:
        expected = np.concatenate([codes[name][[0, 2]] for name in list(PARTS)[: 3 + detail]], axis=1)
    np.testing.assert_array_equal(found["codes"], expected)


def test_what_does_not_fit_is_told(affectnet: Path, labels: Path, tmp_path: Path) -> None:
    split = open_folder("affectnet", "train_clean", manual_dir=affectnet)
    with pytest.raises(InputError, match=r"holds no labels; make them with .* --codes"):
        labelled_codes(split, tmp_path)
    place = labels / "arrays-00001-of-00002.npz"
    with np.load(place) as file:
        arrays = dict(file)
    np.savez(place, **{name: array[:1] for name, array in arrays.items()})
    with pytest.raises(InputError, match="does not belong to faces-00001"):
        labelled_codes(split, labels)
    np.savez(place, **(arrays | {"shape": np.zeros((2, 7), np.float32)}))
    with pytest.raises(InputError, match="has no 153 numbers of FLAME's shape, expression, jaw"):
        labelled_codes(split, labels)
    with pytest.raises(InputError, match="has codes of none of these"):
        labelled_codes(open_folder("affectnet", "validation_clean", manual_dir=affectnet), _one_shard(labels))


def _one_shard(labels: Path) -> Path:
    (labels / "faces-00001-of-00002.jsonl").unlink()
    return labels


def test_classes_come_in_turn_and_from_any_place() -> None:
    kind = np.array([0] * 7 + [3] * 2 + [5] * 4)
    examples = {"kind": kind, "number": np.arange(13)}
    batches = InTurn(examples, 6, by="kind", seed=2)
    seen = [next(batches) for _ in range(7)]
    assert all(np.bincount(batch["kind"], minlength=6).tolist() == [2, 0, 0, 2, 0, 2] for batch in seen)
    numbers = np.concatenate([batch["number"] for batch in seen])
    assert np.bincount(numbers[numbers < 7]).tolist() == [2] * 7
    batches.set_state({"batches": 3})
    np.testing.assert_array_equal(next(batches)["number"], seen[3]["number"])
    halves = [InTurn(examples, 6, by="kind", seed=2, process=process, processes=2) for process in range(2)]
    together = np.concatenate([next(half)["number"] for half in halves])
    np.testing.assert_array_equal(together, seen[0]["number"])
    with pytest.raises(InputError, match="multiple of 2 processes"):
        InTurn(examples, 5, by="kind", processes=2)


@pytest.mark.thorough
def test_a_run_and_its_network_in_a_converted_folder(affectnet: Path, labels: Path, tmp_path: Path) -> None:
    """At the paper's size: what the run leaves is read back by `emoca convert`, number by number."""
    made = config(affectnet, labels)
    stage, batches = emotion_from_labelled_codes(made)
    ended = run(stage, batches, Settings(**made.settings), tmp_path / "run")
    assert ended.exit_code == 0 and int(ended.state.skipped_in_a_row) == 0
    assert ended.measures is not None and {"accuracy", "v_ccc", "a_ccc"} <= ended.measures.keys()
    left = tmp_path / "network.npz"
    left.write_bytes(as_npz(ended.state.trained, ended.state.statistics))
    assert main(["convert", str(left), "--output", str(tmp_path / "converted")]) == 0
    variables = read_model_folder(tmp_path / "converted").variables("emotion_mlp")
    read: Any = flatten_dict(variables, sep="/")
    assert read["params/hidden0/kernel"].shape == (153, 2048)
    with np.load(left) as expected:
        assert read.keys() == set(expected)
        for path in expected:
            np.testing.assert_array_equal(read[path], expected[path])

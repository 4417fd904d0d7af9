"""Runs that are interrupted, damaged or fed with nonsense end where undisturbed ones do, or say why not."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from emoca_jax.errors import InputError
from emoca_jax.training.loop import run
from emoca_jax.training.stages.emotion import Recogniser, emotion_stage
from emoca_jax.training.step import Outcome
from tests.training import toy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, toy.train(folder)


@pytest.mark.thorough
def test_it_learns_and_leaves_curves(undisturbed: tuple[Path, Any]) -> None:
    folder, ended = undisturbed
    assert ended.exit_code == 0
    assert ended.measures["score"] > 0.5
    lines = log_of(folder)
    assert [line["step"] for line in lines if "train/loss" in line] == list(range(1, 41))
    assert "<svg" in (folder / "report.html").read_text()
    (events,) = (folder / "tensorboard").iterdir()
    # Faces are shown at every evaluation.
    assert events.read_bytes().count(b"\x89PNG") == 4 and (folder / "faces.png").exists()


def test_features_of_views_of_a_face_are_held_together() -> None:
    """Rows next to each other are views of one face: equal ones cost nothing, others their share of the variance."""
    recogniser = Recogniser(toy.ToyReader(), "codes", (toy.CODES,))
    held_together = emotion_stage(recogniser, optax.adam(1e-2), list, views=2, agreement=3.0)
    parameters, statistics = held_together.initial(jax.random.key(0))
    batch = toy.examples(8, seed=3)
    twice = {name: np.repeat(array, 2, axis=0) for name, array in batch.items()}
    apart = {name: np.concatenate([array, array]) for name, array in batch.items()}
    loss = jax.jit(held_together.loss)
    terms = [loss(parameters, statistics, one, jax.random.key(1)).terms for one in (twice, apart)]
    dense = {name: np.asarray(leaf) for name, leaf in parameters["hidden"].items()}
    hidden = apart["codes"] @ dense["kernel"] + dense["bias"]
    features = ((hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)).reshape(8, 2, -1)
    within, total = features.var(axis=1).mean(), features.var(axis=(0, 1)).mean()
    assert terms[0]["agreement"] < 1e-6
    np.testing.assert_allclose(terms[1]["agreement"], 3 * within / total, rtol=1e-4)


@pytest.mark.thorough
def test_an_interrupted_run_equals_an_undisturbed_one(undisturbed: tuple[Path, Any], tmp_path: Path) -> None:
    folder, ended = undisturbed
    interrupted = toy.train(tmp_path, toy.SETTINGS._replace(steps=13))
    assert int(interrupted.state.step) == 13
    resumed = toy.train(tmp_path)
    assert_equal(resumed.state, ended.state)
    assert losses(tmp_path) == losses(folder)


@pytest.mark.thorough
@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL])
def test_a_killed_run_goes_on(undisturbed: tuple[Path, Any], tmp_path: Path, number: signal.Signals) -> None:
    folder, _ = undisturbed
    kill_at(tmp_path, random.Random(int(number)).randrange(3, 30), number)
    saved = [int(path.name) for path in (tmp_path / "checkpoints").glob("[0-9]*") if path.name.isdigit()]
    last = log_of(tmp_path)[-1]["step"]
    if number == signal.SIGTERM:
        assert last - 1 <= max(saved)
    assert toy.train(tmp_path).exit_code == 0
    assert losses(tmp_path) == losses(folder)


@pytest.mark.slow
def test_twenty_kills(undisturbed: tuple[Path, Any], tmp_path: Path) -> None:
    draw = random.Random(3)
    for kill in range(20):
        place = tmp_path / str(kill)
        kill_at(place, draw.randrange(1, 39), draw.choice([signal.SIGTERM, signal.SIGKILL]))
        toy.train(place)
        assert losses(place) == losses(undisturbed[0])


def kill_at(folder: Path, step: int, number: signal.Signals) -> None:
    """Start the toy run in a process of its own and end it after it has told of `step`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.training.toy", str(folder), "40"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        log = folder / "metrics.jsonl"
        while child.poll() is None and not (log.exists() and f'"step": {step},' in log.read_text()):
            time.sleep(0.002)
        child.send_signal(number)
        _, errors = child.communicate(timeout=120)
    if child.returncode != 0:  # or it had come to its end before
        assert child.returncode == (143 if number == signal.SIGTERM else -number), errors


@pytest.mark.thorough
@pytest.mark.parametrize(
    "file",
    ["state/manifest.ocdbt", *(pytest.param(f, marks=pytest.mark.slow) for f in ("metrics/metrics", "place/metadata"))],
)
def test_a_damaged_checkpoint_is_told_of_and_passed_over(
    undisturbed: tuple[Path, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    folder, ended = undisturbed
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    damaged = tmp_path / "checkpoints" / "40" / file
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert_equal(toy.train(tmp_path).state, ended.state)
    told = capsys.readouterr().err.replace("\n", "")
    assert f"checkpoints/40/{file}: is missing, damaged or new" in told.replace(" ", " ")
    assert "going on from step 35" in told


def test_a_checkpoint_of_another_configuration_is_kept_and_named(undisturbed: tuple[Path, Any], tmp_path: Path) -> None:
    shutil.copytree(undisturbed[0], tmp_path / "copy")
    with pytest.raises(InputError, match=r"checkpoints/40: is no checkpoint of this configuration"):
        toy.train(tmp_path / "copy", toy.SETTINGS._replace(decay=None))
    assert (tmp_path / "copy" / "checkpoints" / "40").is_dir()


def test_the_best_checkpoints_are_kept(undisturbed: tuple[Path, Any]) -> None:
    folder, _ = undisturbed
    scores = {line["step"]: line["eval/score"] for line in log_of(folder) if "eval/score" in line}
    best = sorted(scores, key=lambda step: scores[step])[-2:]
    kept = {int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit()}
    assert kept == {35, 40, *best}


def test_steps_that_are_not_finite_change_nothing_and_end_the_run_with_the_terms_name(tmp_path: Path) -> None:
    whole = toy.stage()

    def nonsense(parameters: Any, statistics: Any, batch: Any, key: Any) -> Outcome:
        outcome = whole.loss(parameters, statistics, batch, key)
        return outcome.replace(terms={**outcome.terms, "v_mse": outcome.terms["v_mse"] * jnp.nan})

    with pytest.raises(InputError, match=r"10 steps in a row .* step 10; not finite: v_mse"):
        run(whole._replace(loss=nonsense), toy.batches(), toy.SETTINGS, tmp_path)


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [line["train/loss"] for line in log_of(folder) if "train/loss" in line]


def assert_equal(first: Any, second: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, *(jax.tree.map(as_numbers, state) for state in (first, second)))


def as_numbers(leaf: jax.Array) -> np.ndarray:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

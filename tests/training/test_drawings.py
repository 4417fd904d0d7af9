"""The small recogniser on the loader's batches, interrupted and gone on with; no face is needed for that."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from data_pipelines.augment import Amounts
from data_pipelines.samples import Sample, Split
from emoca_jax.flame import load_head
from emoca_jax.nets.emotion.crop import CROP_SIZE
from emoca_jax.nets.emotion.open import load_expression_networks
from emoca_jax.training.loop import Ended, Settings, run
from emoca_jax.training.stages.emotion import emotion_stage, image_recogniser
from tests.training.test_loop import as_numbers, losses

pytest.importorskip("grain", reason="grain has no wheel here")
from data_pipelines.loader import Batching, batches
from data_pipelines.open_faces.crops import KeptBatches, as_trained_on, held_out

SIDE, CROP, COUNT = 40, 32, 24
SETTINGS = Settings(steps=6, log_every=1, save_every=2, evaluate_every=3, decay=0.9)


def sample(row: int) -> Sample:
    draw = np.random.default_rng(row)
    stream = io.BytesIO()
    Image.fromarray(draw.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(stream, "PNG")
    return {
        "image": stream.getvalue(),
        "file": "made up",
        "points": np.concatenate([draw.uniform(8, 32, (478, 2)), np.zeros((478, 1))], axis=1).astype(np.float32),
        "expression": row % 8,
        "valence": np.float32(draw.uniform(-1, 1)),
        "arousal": np.float32(draw.uniform(-1, 1)),
        "units": draw.uniform(size=52).astype(np.float32),
    }


def drawn(**options: Any) -> KeptBatches:
    batching = Batching(size=8, side=SIDE, margin=None, threads=1, ahead=1, **options)
    return KeptBatches(iter(batches(Split(range(COUNT), sample), batching)))


def train(folder: Path, steps: int, *, network: str = "small", size: int = CROP) -> Ended:
    names = load_head("open").expression_names
    augment = functools.partial(as_trained_on, names=names, size=size, amounts=Amounts())
    judged = held_out(drawn(epochs=1), size=size)
    stage = emotion_stage(image_recogniser(network, size=size), optax.adamw(1e-3), lambda: judged, augment=augment)
    return run(stage, drawn(), SETTINGS._replace(steps=steps), folder)


@pytest.mark.slow
def test_an_interrupted_run_on_drawings_equals_an_undisturbed_one(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 6)
    # Not at an epoch's end, and not where it would have saved.
    interrupted = train(tmp_path / "parts", 5)
    assert int(interrupted.state.step) == 5
    resumed = train(tmp_path / "parts", 6)
    first, second = (jax.tree.map(as_numbers, ended.state) for ended in (whole, resumed))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert whole.measures is not None
    assert {"accuracy", "v_ccc", "a_ccc", "unit_error"} <= whole.measures.keys()


@pytest.mark.slow
def test_only_what_reads_the_open_networks_layers_is_trained(tmp_path: Path) -> None:
    ended = train(tmp_path, 2, network="on_open", size=CROP_SIZE)
    shipped = load_expression_networks()["params"]["dense"]
    jax.tree.map(np.testing.assert_array_equal, dict(ended.state.frozen), {"dense": shipped})
    assert set(ended.state.trained) == {"head"}
    # Moments of the trunk would cost memory, and its gradient most of the time.
    assert {leaf.size for leaf in jax.tree.leaves(ended.state.moments)} <= {
        leaf.size for leaf in jax.tree.leaves(ended.state.trained)
    } | {1}

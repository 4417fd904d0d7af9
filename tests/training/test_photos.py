"""Recognisers of labelled photos: the configurations on AffectNet's made-up folder, and the crops that they see."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from data_pipelines.augment import Amounts
from data_pipelines.photo_crops import as_seen, as_trained_on
from data_pipelines.pixels import square
from emoca_jax.errors import InputError
from emoca_jax.training.loop import Settings, run
from emoca_jax.training.stages.emotion import emotion_stage, image_recogniser

pytest.importorskip("grain", reason="grain has no wheel here")
from scripts.train_recogniser import emotion_from_photos
from tests.datasets.conftest import built

__all__ = ["built"]
STILL = Amounts(turn=0.0, zoom=0.0, shift=0.0, soft=0.0, noise=0.0, compressed=0.0)


def config(name: str, records: Path, **changes: Any) -> Any:
    """A configuration of configs/ for the made-up folder: four photos, two classes of which are judged."""
    made: Any = importlib.import_module(f"configs.{name}").get_config()
    made.data.update(
        {"folder": str(records), "train": "train_clean+train_other", "held_out": "train_clean+train_other"}
    )
    made.data.update({"judged_at_once": 4, "threads": 1, "ahead": 1})
    made.batch = 4
    made.settings.update({"steps": 2, "log_every": 1, "save_every": 1, "evaluate_every": 2})
    made.update(changes)
    return made


@pytest.mark.thorough
def test_a_crop_that_is_not_moved_is_the_official_one():
    """1.25 of the face within the loader's 1.6: pixels that say where they are."""
    x, y = np.meshgrid(np.arange(200.0), np.arange(160.0))
    ramp = np.stack([x, y, np.full_like(x, 90)], -1).astype(np.uint8)
    face = np.array([100.0, 80.0, 60.0], np.float32)
    images = square(ramp, face, margin=1.6, side=96)[0][None]
    seen = as_seen({"image": jnp.asarray(images)}, size=64, margin=1.6)["images"][0] * 255
    expected = square(ramp, face, margin=1.25, side=64)[0]
    np.testing.assert_allclose(seen, expected, atol=1.5)
    still = as_trained_on(jax.random.key(0), {"image": jnp.asarray(images)}, size=64, margin=1.6, amounts=STILL)
    np.testing.assert_allclose(still["images"][0] * 255, seen, atol=1e-3)
    moved = as_trained_on(jax.random.key(0), {"image": jnp.asarray(images)}, size=64, margin=1.6, amounts=Amounts())
    assert float(jnp.abs(moved["images"][0] * 255 - seen).mean()) > 1


@pytest.mark.slow
def test_a_run_on_labelled_photos(built: Path, tmp_path: Path):
    """The small network, which reads no units here, in place of those that take a machine with a GPU."""
    made = config("emotion_resnet50", built / "records", network="small", crop=32)
    stage, batches = emotion_from_photos(made)
    ended = run(stage, batches, Settings(**made.settings), tmp_path)
    assert ended.exit_code == 0 and ended.measures is not None
    assert {"accuracy", "v_ccc", "a_ccc", "nll"} <= ended.measures.keys()


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "count"), [("resnet50", 23_528_522), ("swin", 86_753_474), ("emonet", None)])
def test_gradients_of_the_configured_networks(built: Path, name: str, count: int | None):
    """Traced, not compiled: every parameter gets one, at the size that the configuration says."""
    made = config(f"emotion_{name}", built / "records")
    stage, batches = emotion_from_photos(made)
    batch = next(batches)
    assert batch["image"].shape == (4, made.data.side, made.data.side, 3)
    parameters, statistics = jax.eval_shape(stage.initial, jax.random.key(0))
    gradients = jax.eval_shape(
        jax.grad(lambda *inputs: sum(stage.loss(*inputs).terms.values())),
        parameters,
        statistics,
        batch,
        jax.random.key(0),
    )
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, parameters)
    total = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    assert count is None or total == count


@pytest.mark.thorough
def test_what_it_starts_from(built: Path, tmp_path: Path):
    """A network's parts by their names at its root; a folder without them is told of."""
    start = {"params": {"head": {"kernel": jnp.full((2048, 10), 7.0)}}}
    stage = emotion_stage(image_recogniser("resnet50", start=start), optax.adam(1e-4), lambda: [])
    parameters, statistics = jax.eval_shape(stage.initial, jax.random.key(0))
    assert set(parameters) == set(statistics) | {"head"} == {"trunk", "head"}
    assert set(parameters["head"]) == {"kernel"}
    with pytest.raises(InputError, match=r"leave config\.start out"):
        emotion_from_photos(config("emotion_resnet50", built / "records", network="small", start=str(tmp_path)))
    with pytest.raises(InputError, match="multiple of 8"):
        emotion_from_photos(config("emotion_resnet50", built / "records", crop=225))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "swin", "emonet"])
def test_steps_of_the_configured_networks(built: Path, tmp_path: Path, name: str):
    made = config(f"emotion_{name}", built / "records", batch=2)
    made.settings.steps = 1
    stage, batches = emotion_from_photos(made)
    ended = run(stage, batches, Settings(**made.settings), tmp_path)
    assert ended.exit_code == 0 and int(ended.state.skipped_in_a_row) == 0

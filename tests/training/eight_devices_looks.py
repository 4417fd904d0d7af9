"""The stage on views of faces, on one and on eight devices (simulated): prints what came out as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from configs.open import emotion_on_renderings
from data_pipelines.rendered_looks import VIEWS
from emoca_jax.nets.batch_norm import BatchNorm
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.training.devices import device_mesh, place_batch
from emoca_jax.training.loop import Settings, prepare
from emoca_jax.training.stages.emotion import Recogniser
from scripts.train_recogniser import stage_on_looks

STEPS, FACES, NUMBERS, UNITS = 3, 16, 12, 52


class ViewReader(nn.Module):
    """With a batch norm and units, without dropout, which falls by the order of rows."""

    @nn.compact
    def __call__(self, maps: jax.Array, *, train: bool = False) -> AffectRead:
        hidden = BatchNorm(name="norm")(nn.Dense(32, use_bias=False, name="hidden")(maps), train=train)
        units = nn.Dense(UNITS, name="units")(hidden)
        return affect_read(nn.Dense(AFFECT_OUTPUTS, name="affect")(nn.relu(hidden)), hidden, unit_logits=units)


def faces(seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        "maps": draw.normal(size=(FACES, len(VIEWS), NUMBERS)).astype(np.float32),
        "units": draw.uniform(size=(FACES, len(VIEWS), UNITS)).astype(np.float32),
        "expression": draw.integers(0, 8, FACES).astype(np.int32),
        "valence": draw.uniform(-1, 1, FACES).astype(np.float32),
        "arousal": draw.uniform(-1, 1, FACES).astype(np.float32),
    }


def train(devices: int) -> dict[str, Any]:
    config: Any = emotion_on_renderings.get_config()
    config.warm_up = 1
    mesh = device_mesh(devices=jax.devices()[:devices])
    stage = stage_on_looks(config, Recogniser(ViewReader(), "maps", (NUMBERS,)), list)
    state, step = prepare(stage, Settings(steps=STEPS), mesh)
    program = step.lower(state, place_batch(mesh, faces(0))).compile().as_text()  # type: ignore[attr-defined]
    terms: list[dict[str, float]] = []
    for number in range(STEPS):
        state, report = step(state, place_batch(mesh, faces(number)))
        terms.append({name: float(value) for name, value in report.terms.items()})
    kept = {"trained": state.trained, "statistics": state.statistics}
    leaves = {
        jax.tree_util.keystr(path): np.asarray(leaf).ravel().tolist() for path, leaf in jax.tree.leaves_with_path(kept)
    }
    moves = r"\b(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
    return {"terms": terms, "state": leaves, "collectives": sorted(set(re.findall(moves, program)))}


if __name__ == "__main__":
    print(json.dumps({"alone": train(1), "together": train(8)}))

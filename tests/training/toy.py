"""A run small enough for tests: the EMO-MLP's stage on made-up codes whose emotion a linear map tells."""

from __future__ import annotations

import sys
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from emoca_jax.nets.batch_norm import BatchNorm
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.training.in_memory import InMemory
from emoca_jax.training.loop import Ended, Settings, Stage, run
from emoca_jax.training.seeing import Faces
from emoca_jax.training.stages.emotion import Recogniser, emotion_stage

CODES = 12


class ToyReader(nn.Module):
    """One hidden layer with a batch norm."""

    @nn.compact
    def __call__(self, codes: jnp.ndarray, *, train: bool = False) -> AffectRead:
        hidden = BatchNorm(name="norm")(nn.Dense(16, name="hidden")(codes), train=train)
        return affect_read(nn.Dense(AFFECT_OUTPUTS, name="output")(nn.relu(hidden)), hidden)


def examples(count: int, seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    codes = draw.normal(size=(count, CODES)).astype(np.float32)
    told = np.tanh(codes @ np.random.default_rng(7).normal(size=(CODES, 10)).astype(np.float32) / 3)
    return {
        "codes": codes,
        "expression": told[:, :8].argmax(axis=1).astype(np.int32),
        "valence": told[:, 8],
        "arousal": told[:, 9],
    }


def stage() -> Stage:
    held_out = examples(64, seed=2)
    made = emotion_stage(Recogniser(ToyReader(), "codes", (CODES,)), optax.adam(1e-2), lambda: [held_out])
    return made._replace(show=lambda parameters, statistics: Faces(np.full((2, 3, 3), 7, np.uint8), ("grey",)))


def batches() -> InMemory:
    return InMemory(examples(256, seed=1), 32, seed=5)


SETTINGS = Settings(steps=40, log_every=1, save_every=5, evaluate_every=10, decay=0.9)


def train(folder: Path, settings: Settings = SETTINGS) -> Ended:
    return run(stage(), batches(), settings, folder)


if __name__ == "__main__":
    sys.exit(train(Path(sys.argv[1]), SETTINGS._replace(steps=int(sys.argv[2]))).exit_code)

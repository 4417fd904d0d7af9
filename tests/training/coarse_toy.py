"""A coarse stage small enough for tests: readers of the shipped trunk for a head of 23 vertices, made-up photos."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from emoca_jax.nets.open_encoder import OPEN_SIZE
from emoca_jax.training.devices import device_mesh, place_batch
from emoca_jax.training.loop import Settings, Stage, prepare
from emoca_jax.training.stages.coarse import Coarse, coarse_stage
from emoca_jax.training.stages.encoders import FLAME, OpenEncoders
from tests.flame.small_head import small_head

LANDMARKS = {"landmarks_mediapipe": 1.0, "shape_prior": 1e-4, "expression_prior": 1e-4}
WHOLE = LANDMARKS | {"photometric": 2.0, "albedo_prior": 1e-4, "light_colour": 1.0}


def coarse(trained: str = FLAME, weights: dict[str, float] = WHOLE, **options: Any) -> Coarse:
    head = jax.tree.map(jnp.asarray, small_head())
    return Coarse(head, OpenEncoders(head), trained, weights, mask_kind="intersection", **options)


def stage(minimised: Coarse, start: Any, *, rate: float = 3e-3) -> Stage:
    return coarse_stage("toy", minimised, start, optax.adam(rate), list)


def examples(count: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        "images": draw.integers(0, 256, (count, OPEN_SIZE, OPEN_SIZE, 3), np.uint8),
        "landmarks_mediapipe": draw.uniform(-0.7, 0.7, (count, 478, 3)).astype(np.float32),
        "mask": np.ones((count, OPEN_SIZE, OPEN_SIZE), np.float32),
    }


def steps(chosen: Stage, count: int, batch: dict[str, np.ndarray], *, devices: int = 1) -> tuple[Any, list[float]]:
    """The state after some steps on one batch, and the loss of each."""
    mesh = device_mesh(devices=jax.devices()[:devices])
    state, step = prepare(chosen, Settings(steps=count), mesh)
    losses = []
    for _ in range(count):
        state, report = step(state, place_batch(mesh, batch))
        losses.append(float(report.loss))
    return state, losses

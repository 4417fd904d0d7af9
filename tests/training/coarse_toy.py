"""A coarse stage small enough for tests: readers of the shipped trunk for a head of 23 vertices, made-up photos."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from emoca_jax.flame.head import FaceHead
from emoca_jax.model import codes_from
from emoca_jax.nets.emotion.open import load_expression_networks
from emoca_jax.nets.open_encoder import OPEN_SIZE, OpenReader, OpenTrunk
from emoca_jax.open_codes import open_outputs, part_of, split_open, split_units
from emoca_jax.training.devices import device_mesh, place_batch
from emoca_jax.training.loop import Settings, Stage, prepare
from emoca_jax.training.stages.coarse import Coarse, coarse_stage
from emoca_jax.training.stages.encoders import EXPRESSION, FLAME, TRUNK, Encoded, _with_copy, run_network
from tests.flame.small_head import small_head

LANDMARKS = {"landmarks_mediapipe": 1.0, "shape_prior": 1e-4, "expression_prior": 1e-4}
WHOLE = LANDMARKS | {"photometric": 2.0, "albedo_prior": 1e-4, "light_colour": 1.0}


class ToyEncoders(NamedTuple):
    """Two readers of the shipped trunk, of which E_flame's tells everything and E_expression's begins as its copy."""

    head: FaceHead
    size: int = OPEN_SIZE

    @property
    def parts(self) -> tuple[str, ...]:
        return TRUNK, FLAME

    def start(self, key: Any) -> Any:
        trunk = {"dense": load_expression_networks()["params"]["dense"]}
        picture = jnp.zeros((1, OPEN_SIZE, OPEN_SIZE, 3))
        maps = jax.eval_shape(lambda: OpenTrunk().apply({"params": trunk}, picture))
        maps = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), maps)
        variables = OpenReader(open_outputs(self.head)).init(key, maps)
        return {TRUNK: trunk, FLAME: variables["params"]}, {FLAME: variables["batch_stats"]}

    def with_expression(self, parameters: Any, statistics: Any) -> Any:
        part = part_of(self.head, "expression")
        return _with_copy(parameters, statistics, np.arange(part.start, part.stop))

    def encode(
        self, parameters: Any, statistics: Any, images: Any, *, trained: str | None, landmarks: Any = None
    ) -> Encoded:
        maps: Any = jax.lax.stop_gradient(OpenTrunk().apply({"params": parameters[TRUNK]}, images))

        def run(name: str, outputs: int) -> Any:
            reader = OpenReader(outputs).apply
            said, after[name] = run_network(reader, parameters[name], statistics[name], maps, train=name == trained)
            return said

        after = dict(statistics)
        flame = split_open(self.head, run(FLAME, open_outputs(self.head)))
        units = self.head.expression_dirs.shape[-1]
        told = split_units(run(EXPRESSION, units)) if EXPRESSION in parameters else None
        return Encoded(codes_from(flame, expression=told), after)


def coarse(trained: str = FLAME, weights: dict[str, float] = WHOLE, **options: Any) -> Coarse:
    head = jax.tree.map(jnp.asarray, small_head())
    return Coarse(head, ToyEncoders(head), trained, weights, mask_kind="intersection", **options)


def stage(minimised: Coarse, start: Any, *, rate: float = 3e-3, held_out: Any = list) -> Stage:
    return coarse_stage("toy", minimised, start, optax.adam(rate), held_out)


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

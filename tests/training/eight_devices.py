"""A network with batch norms trained on one and on eight devices (simulated): prints what came out as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from emoca_jax.nets.batch_norm import BatchNorm
from emoca_jax.training.devices import device_mesh, place_batch
from emoca_jax.training.state import start
from emoca_jax.training.step import Outcome, make_step, state_shardings

STEPS, BATCH = 4, 32


class Net(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        # A bias in front of a batch norm has no gradient but rounding, which Adam would make steps of.
        x = nn.relu(BatchNorm(name="norm")(nn.Dense(256, use_bias=False, name="first")(x), train=train))
        return nn.Dense(3, name="last")(nn.Dense(300, name="wide")(x))


def loss(parameters: Any, statistics: Any, batch: Any, key: Any) -> Outcome:
    variables = {"params": parameters, "batch_stats": statistics}
    result: Any = Net().apply(variables, batch["x"], train=True, mutable="batch_stats")
    read, changed = result
    noise = jax.random.normal(key, read.shape)
    terms = {"square": jnp.mean((read - batch["y"] - 0.1 * noise) ** 2)}
    return Outcome(terms, changed["batch_stats"], {"mean": read.mean()})


def train(devices: int, *, spread: bool = False, accumulate: int = 1) -> tuple[dict[str, Any], Any, Any]:
    mesh = device_mesh(devices=jax.devices()[:devices])
    variables = Net().init(jax.random.key(1), jnp.zeros((1, 10)), train=False)
    optimiser = optax.adam(1e-3)
    state = start(variables["params"], variables["batch_stats"], optimiser, jax.random.key(2))
    shardings = state_shardings(mesh, state, spread_parameters=spread)
    state = jax.device_put(state, shardings)
    step = make_step(loss, optimiser, mesh, shardings, accumulate=accumulate)
    draw, losses, batch = np.random.default_rng(0), [], {}
    for _ in range(STEPS):
        batch = {name: draw.normal(size=(BATCH, size)).astype(np.float32) for name, size in (("x", 10), ("y", 3))}
        state, report = step(state, place_batch(mesh, batch))
        losses.append(float(report.loss))
    kept = {"trained": state.trained, "statistics": state.statistics}
    leaves = {jax.tree_util.keystr(path): np.asarray(leaf).ravel()[:500].tolist()
              for path, leaf in jax.tree.leaves_with_path(kept)}  # fmt: skip
    return {"losses": losses, "state": leaves}, state, step.lower(state, place_batch(mesh, batch)).compile()  # type: ignore[attr-defined]


if __name__ == "__main__":
    alone, _, _ = train(1)
    whole, _, program = train(8)
    spread, spread_state, _ = train(8, spread=True)
    moves = r"\b(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
    print(
        json.dumps(
            {
                "alone": alone,
                "whole": whole,
                "spread": spread,
                "accumulated_alone": train(1, accumulate=2)[0],
                "accumulated": train(8, accumulate=2)[0],
                "part": spread_state.trained["wide"]["kernel"].addressable_shards[0].data.shape,
                "collectives": sorted(set(re.findall(moves, program.as_text()))),
            }
        )
    )

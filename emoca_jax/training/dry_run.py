"""What a run would cost: its step compiled for the devices at hand, and not run."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from emoca_jax.training.checkpoint import Batches
from emoca_jax.training.devices import device_mesh, place_batch
from emoca_jax.training.loop import Settings, Stage, prepare

MEBIBYTE = 1 << 20


class Cost(NamedTuple):
    """Of one step, on one device where it says so."""

    trained: int
    """Numbers that the optimiser moves."""
    frozen: int
    state_bytes: int
    """Parameters, moments, averages and statistics, on each device."""
    step_bytes: int
    """What the step needs beside them while it runs, on each device."""
    flops: float
    """Multiplications and additions as XLA counts them (loops once), on each device."""
    examples: int


def dry_run(stage: Stage, batches: Batches, settings: Settings, *, mesh: Mesh | None = None) -> Cost:
    """Compile the step for the first batch."""
    mesh = mesh or device_mesh()
    state, step = prepare(stage, settings, mesh)
    batch = place_batch(mesh, next(batches))
    jitted: Any = step
    compiled = jitted.lower(state, batch).compile()
    memory, costs = compiled.memory_analysis(), compiled.cost_analysis() or {}
    return Cost(
        trained=_numbers(state.trained),
        frozen=_numbers(state.frozen),
        state_bytes=memory.output_size_in_bytes,
        step_bytes=memory.temp_size_in_bytes,
        flops=float(costs.get("flops", math.nan)),
        examples=next(iter(batch.values())).shape[0],
    )


def told(stage: Stage, cost: Cost) -> str:
    """A line for each, to print."""
    return "\n".join(
        (
            f"{stage.name}: {cost.trained:,} numbers trained, {cost.frozen:,} frozen",
            f"state {cost.state_bytes / MEBIBYTE:,.0f} MiB, step {cost.step_bytes / MEBIBYTE:,.0f} MiB on each device",
            f"{cost.flops / 1e9:,.1f} GFLOP a step of {cost.examples} examples on each device, loops counted once",
        )
    )


def _numbers(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))

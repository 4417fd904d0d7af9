"""What a run would cost: its step compiled for the devices at hand, or for described ones, and not run."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from emoca_jax.errors import InputError
from emoca_jax.running_on import as_if_on
from emoca_jax.training.checkpoint import Batches
from emoca_jax.training.described import Machine, described_mesh
from emoca_jax.training.devices import by_example, device_mesh
from emoca_jax.training.loop import Settings, Stage, begun, step_of
from emoca_jax.training.state import TrainState

MEBIBYTE = 1 << 20
MOVES = re.compile(
    r"= (?P<result>.*?) (?P<kind>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)
"""A collective in the text of a compiled program, on a line of its own."""
ARRAY = re.compile(r"[a-z]\w*\[([\d,]*)\]")


class Move(NamedTuple):
    """One collective: what all devices send each other at once."""

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    """Of what each device has of it afterwards; several arrays may go in one."""

    @property
    def numbers(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes)


class Cost(NamedTuple):
    """Of one step, on one device where it says so."""

    trained: int
    """Numbers that the optimiser moves."""
    frozen: int
    statistics: int
    """Numbers of the batch norms' running means and variances."""
    state_bytes: int
    """Parameters, moments, averages and statistics, on each device."""
    step_bytes: int
    """What the step needs beside them while it runs, on each device."""
    flops: float
    """Multiplications and additions as XLA counts them (loops once), on each device."""
    examples: int
    moves: tuple[Move, ...]
    """What the devices send each other, loops counted once."""


def dry_run(
    stage: Stage, batches: Batches, settings: Settings, *, mesh: Mesh | None = None, machine: Machine | None = None
) -> Cost:
    """Compile the step for the first batch. machine: described, in place of the devices at hand (`get_ready` first)."""
    if machine is None:
        return cost_of(stage, next(batches), settings, mesh or device_mesh())
    with as_if_on(machine.backend):
        return cost_of(stage, next(batches), settings, described_mesh(machine))


def cost_of(stage: Stage, batch: Mapping[str, Any], settings: Settings, mesh: Mesh) -> Cost:
    """Compile the step for a batch; shapes are enough. Errors: InputError where the devices do not divide it."""
    examples = next(iter(batch.values())).shape[0]
    if examples % mesh.size:
        raise InputError(
            f"a batch of {examples} can't be split over {mesh.size} devices: choose a multiple of {mesh.size}"
        )
    state = jax.eval_shape(lambda: begun(stage, settings))
    lowered = _lowered(stage, batch, settings, state, mesh)
    with tempfile.TemporaryDirectory() as folder:
        # A TPU's program is not readable otherwise: libtpu knows instructions that jaxlib does not.
        compiled = lowered.compile(compiler_options={"xla_dump_to": folder, "xla_dump_hlo_as_text": True})
        program = max(Path(folder).glob("*after_optimizations.txt"), key=lambda path: path.stat().st_size).read_text()
    memory, counted = compiled.memory_analysis(), (compiled.cost_analysis() or {}).get("flops")
    return Cost(
        trained=_numbers(state.trained),
        frozen=_numbers(state.frozen),
        statistics=_numbers(state.statistics),
        state_bytes=memory.output_size_in_bytes,
        step_bytes=memory.temp_size_in_bytes,
        flops=_flops(stage, batch, settings, state) / mesh.size if counted is None else float(counted),
        examples=examples,
        moves=tuple(moves_in(program)),
    )


def _lowered(stage: Stage, batch: Mapping[str, Any], settings: Settings, state: TrainState, mesh: Mesh) -> Any:
    """The step of a batch and a state, of which shapes are enough, as XLA takes it."""
    shardings, step = step_of(stage, settings, mesh, state)
    split = {name: _placed(leaf, by_example(mesh)) for name, leaf in batch.items()}
    jitted: Any = step
    return jitted.lower(jax.tree.map(_placed, state, shardings), split)


def _flops(stage: Stage, batch: Mapping[str, Any], settings: Settings, state: TrainState) -> float:
    """Of the whole batch, for a GPU that is not there, where XLA does not count: of the same step before it is
    compiled, on one of the devices that are."""
    lowered = _lowered(stage, batch, settings, state, device_mesh(devices=jax.devices()[:1]))
    return float((lowered.cost_analysis() or {}).get("flops", math.nan))


def moves_in(program: str) -> list[Move]:
    """The collectives in the text of a compiled program, in its order."""
    moves = []
    for found in MOVES.finditer(program):
        shapes = [tuple(int(size) for size in sizes.split(",") if size) for sizes in ARRAY.findall(found["result"])]
        moves.append(Move(found["kind"], tuple(shapes)))
    return moves


def told(stage: Stage, cost: Cost) -> str:
    """A line for each, to print."""
    lines = [
        f"{stage.name}: {cost.trained:,} numbers trained, {cost.frozen:,} frozen",
        f"state {cost.state_bytes / MEBIBYTE:,.0f} MiB, step {cost.step_bytes / MEBIBYTE:,.0f} MiB on each device",
        f"{cost.flops / 1e9:,.1f} GFLOP a step of {cost.examples} examples on each device, loops counted once",
    ]
    for kind in sorted({move.kind for move in cost.moves}):
        numbers = [move.numbers for move in cost.moves if move.kind == kind]
        lines.append(f"{len(numbers)} {kind} of {sum(numbers):,} numbers, the largest of {max(numbers):,}")
    return "\n".join(lines)


def _placed(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _numbers(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))

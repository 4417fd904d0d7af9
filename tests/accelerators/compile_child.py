"""Compiles programs for a target and says how each went: `python -m tests.accelerators.compile_child h100 photo_fit`.

A process of its own, since XLA ends the one it runs in where it finds a mistake of its own. One line of JSON on stdout
before and after each program; everything else goes to stderr.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import traceback
from typing import Any

from emoca_jax.running_on import as_if_on
from emoca_jax.training.described import described_mesh
from emoca_jax.training.devices import BATCH
from tests.accelerators.targets import TARGETS


def main(target_name: str, names: list[str]) -> None:
    # What compilers print must not come between the reports.
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    target = TARGETS[target_name]
    from tests.accelerators.programs import PROGRAMS
    from tests.accelerators.steps import STEPS

    # The package chooses some programs by where it runs.
    with as_if_on(target.machine.backend):
        for name in names:
            print(json.dumps({"program": name, "state": "started"}), file=reports)
            try:
                if name in STEPS:
                    found = compile_step(STEPS[name], described_mesh(target.training))
                else:
                    found = compile_program(PROGRAMS[name], target.machine.chips, described_mesh(target.machine))
                report = {"state": "compiled", **found}
            except Exception:
                report = {"state": "failed", "error": traceback.format_exc()}
            print(json.dumps({"program": name, **report}), file=reports)


def compile_step(step: Any, mesh: Any) -> dict[str, Any]:
    """Seconds it took, bytes on each chip, and what the chips send each other."""
    from emoca_jax.training.dry_run import cost_of

    began, processor = time.perf_counter(), _processor_seconds()
    stage, batch, settings = step.made()
    cost = cost_of(stage, batch, settings, mesh)
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": _processor_seconds() - processor,
        "temporaries": cost.step_bytes,
        "results": cost.state_bytes,
        "trained": cost.trained,
        "statistics": cost.statistics,
        "moves": [[move.kind, move.numbers] for move in cost.moves],
    }


def compile_program(program: Any, chips: int, mesh: Any) -> dict[str, float]:
    """Seconds it took, and bytes on each chip."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    alike, by_face = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(BATCH))
    call = program.call(chips)
    arguments = [
        jax.tree.map(functools.partial(_placed, by_face if number in call.batched else alike), tree)
        for number, tree in enumerate(call.arguments)
    ]
    function, options = program.function, call.options
    if not hasattr(function, "lower"):
        # It may be jitted all the same, under a check of its arguments; there the options are static, too.
        function, options = jax.jit(functools.partial(function, **options)), {}
    began = time.perf_counter()
    lowered = function.lower(*arguments, **options)
    traced, processor = time.perf_counter(), _processor_seconds()
    memory = lowered.compile().memory_analysis()
    assert memory is not None
    return {
        "tracing_seconds": traced - began,
        "seconds": time.perf_counter() - traced,
        "processor_seconds": _processor_seconds() - processor,
        "arguments": memory.argument_size_in_bytes,
        "results": memory.output_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
    }


def _processor_seconds() -> float:
    """Of this process and the assemblers it has started."""
    return sum(os.times()[:4])


def _placed(sharding: Any, leaf: Any) -> Any:
    import jax

    # Static arguments stand among the arrays.
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding) if hasattr(leaf, "shape") else leaf


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

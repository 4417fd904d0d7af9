"""Every program compiles for an H100 and for four TPU v5e, on a machine that has neither (tables: tests/accelerators).

`bash scripts/test_accelerators.sh` installs the compilers and runs this.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import pytest

import emoca_jax
from emoca_jax import model, render
from emoca_jax.export import obj
from emoca_jax.nets.mediapipe import blaze_blocks
from emoca_jax.render import neighbours, texture
from emoca_jax.texture import unwrap
from emoca_jax.training.described import missing_packages
from tests.accelerators import of_the_main_job
from tests.accelerators.programs import PROGRAMS
from tests.accelerators.steps import STEPS
from tests.accelerators.table import Program
from tests.accelerators.targets import TARGETS

ROOT = Path(__file__).parents[1]
LONGEST = 3600
"""Seconds after which a child hangs."""
TOLD = 4000
"""Characters of what a dead child said."""
INSIDE_OTHERS = (
    *(model.decode, unwrap.observed, blaze_blocks.depthwise_convolution, neighbours._traced_edges, obj._normals),
    *(texture.sample_texture, texture.sample_image, texture._sample_pyramid, render.vertex_normals, render.interpolate),
    *(render.antialias, render.soft_silhouette, render.soft_rasterize, render.barycentric_slopes),
)
"""Jitted functions that are compiled as parts of programs in the table, with or without gradients."""

Report = dict[str, Any]


def _marks(target: str, program: Program) -> list[pytest.MarkDecorator]:
    listed_there = program.call.__module__ == of_the_main_job.__name__
    return [pytest.mark.slow] * (target in program.slow) + [pytest.mark.main_job] * listed_there


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> dict[tuple[str, str], Report]:
    """What became of all programs that this run asks for, the targets side by side."""
    asked: dict[str, list[str]] = {}
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            target, program = item.callspec.params["target"], item.callspec.params["program"]
            if not missing_packages(TARGETS[target].machine):
                asked.setdefault(target, []).append(program)
    with ThreadPoolExecutor() as pool:
        found = dict(zip(asked, pool.map(compile_all, asked, asked.values()), strict=True))
    return {(target, program): report for target, told in found.items() for program, report in told.items()}


@pytest.mark.accelerators
@pytest.mark.parametrize(
    ("target", "program"),
    [
        pytest.param(target, name, marks=_marks(target, program))
        for target in TARGETS
        for name, program in PROGRAMS.items()
        if target not in program.never
    ],
)
def test_it_compiles_and_keeps_little(reports: dict[tuple[str, str], Report], target: str, program: str) -> None:
    _skip_without_compiler(target)
    report = reports[target, program]
    assert report["state"] == "compiled", f"{program} for {target} {report['state']}:\n{report.get('error')}"
    assert report["temporaries"] <= TARGETS[target].most_temporaries


@pytest.mark.accelerators
@pytest.mark.parametrize(
    ("target", "program"),
    [
        pytest.param(target, name, marks=[pytest.mark.slow] if target in step.slow else [])
        for target in TARGETS
        for name, step in STEPS.items()
    ],
)
def test_a_training_step_sums_its_gradient_once(
    reports: dict[tuple[str, str], Report], target: str, program: str
) -> None:
    """Beside the gradient, eight chips share the batch norms' sums, forward and back, and a few numbers to look at."""
    _skip_without_compiler(target)
    report = reports[target, program]
    assert report["state"] == "compiled", f"{program} for {target} {report['state']}:\n{report.get('error')}"
    assert report["temporaries"] <= TARGETS[target].most_temporaries + STEPS[program].kept
    assert {kind for kind, _ in report["moves"]} == {"all-reduce"}, report["moves"]
    sent = sum(numbers for _, numbers in report["moves"])
    assert report["trained"] <= sent <= report["trained"] + 2 * report["statistics"] + 1000


def test_every_jitted_function_is_in_the_table() -> None:
    listed = [*(program.function for program in PROGRAMS.values()), *INSIDE_OTHERS]
    known = {id(_jitted(function)) for function in listed}
    missing = {name for name, function in jitted_functions() if id(function) not in known}
    assert not missing, "add to tests/accelerators/of_*.py"


def _skip_without_compiler(target: str) -> None:
    missing = missing_packages(TARGETS[target].machine)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: bash scripts/test_accelerators.sh")


def jitted_functions() -> Iterator[tuple[str, Any]]:
    """Every function in a module of the package that `jax.jit` made."""
    for module in pkgutil.walk_packages(emoca_jax.__path__, "emoca_jax."):
        # Kernels are numba's and warp's, which need not be there.
        kernels = tuple(f"emoca_jax.render.backends.{folder}." for folder in ("kernels", "warp_kernels"))
        if module.name != "emoca_jax.__main__" and not module.name.startswith(kernels):
            for name, value in vars(importlib.import_module(module.name)).items():
                if (function := _jitted(value)) is not None:
                    yield f"{module.name}.{name}", function


def _jitted(value: Any) -> Any:
    """The jitted function in a module's variable, bare or under a wrapper."""
    for function in (value, getattr(value, "__wrapped__", None)):
        if isinstance(function, type(jax.jit(_jitted))):
            return function
    return None


def compile_all(target: str, programs: list[str]) -> dict[str, Report]:
    """The last word on each program of a child process; one that dies leaves the rest to another."""
    reports: dict[str, Report] = {}
    while left := [program for program in programs if program not in reports]:
        reports |= compile_until_one_dies(target, left)
    return reports


def compile_until_one_dies(target: str, programs: list[str]) -> dict[str, Report]:
    environment = {**TARGETS[target].machine.environment, **os.environ, "JAX_PLATFORMS": "cpu"}
    # Each program is to be compiled, whatever an earlier run has left.
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.accelerators.compile_child", target, *programs],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            told, errors = child.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            child.kill()
            told, errors = child.communicate()
    reports: dict[str, Report] = {}
    for line in told.splitlines():
        report = json.loads(line)
        reports[report["program"]] = report
    if child.returncode:
        begun = next((name for name, report in reports.items() if report["state"] == "started"), programs[0])
        ending = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit code {child.returncode}"
        reports[begun] = {"state": f"ended its process ({ending})", "error": _last_words(errors)}
    return reports


def _last_words(errors: str) -> str:
    """From the failed check on, where there is one; XLA prints a long stack behind it."""
    failed = errors.find("Check failed")
    start = errors.rfind("\n", 0, failed) + 1 if failed >= 0 else max(len(errors) - TOLD, 0)
    return errors[start : start + TOLD]

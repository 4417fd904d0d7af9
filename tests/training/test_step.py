"""The step is torch's, whatever the number of devices, and what is frozen stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from emoca_jax.errors import InputError
from emoca_jax.training.described import MACHINES, get_ready
from emoca_jax.training.devices import device_mesh, place_batch
from emoca_jax.training.dry_run import Move, dry_run, moves_in
from emoca_jax.training.state import merge, split, start, under
from emoca_jax.training.step import Outcome, Report, make_step, state_shardings
from tests.training import toy

ROOT = Path(__file__).parents[2]
STEPS = 5


def cubic(parameters: Any, statistics: Any, batch: Any, key: Any) -> Outcome:
    """Mean square of a two-layer map; its first layer lies under "trunk"."""
    hidden = jnp.tanh(batch["x"] @ parameters["trunk"]["kernel"])
    error = hidden @ parameters["head"]["kernel"] - batch["y"]
    return Outcome({"square": jnp.mean(error**2), "size": 1e-2 * jnp.mean(jnp.abs(hidden))}, statistics, {})


def problem() -> tuple[dict[str, Any], list[dict[str, np.ndarray]]]:
    draw = np.random.default_rng(3)
    parameters = {
        "trunk": {"kernel": draw.normal(size=(6, 5)).astype(np.float32)},
        "head": {"kernel": draw.normal(size=(5, 2)).astype(np.float32)},
    }
    batches = [
        {name: draw.normal(size=(8, size)).astype(np.float32) for name, size in (("x", 6), ("y", 2))}
        for _ in range(STEPS)
    ]
    return parameters, batches


def train(is_trained: Any = lambda path: True, **options: Any) -> tuple[Any, list[Report]]:
    parameters, batches = problem()
    optimiser, mesh = optax.adam(1e-2), device_mesh(devices=jax.devices()[:1])
    averaged = options.get("decay") is not None
    state = start(
        jax.tree.map(jnp.asarray, parameters),
        {},
        optimiser,
        jax.random.key(0),
        is_trained=is_trained,
        averaged=averaged,
    )
    step = make_step(cubic, optimiser, mesh, state_shardings(mesh, state), **options)
    reports = []
    for batch in batches:
        state, report = step(state, place_batch(mesh, batch))
        reports.append(report)
    return state, reports


def test_steps_are_those_of_torch() -> None:
    parameters, batches = problem()
    trunk, head = (torch.tensor(parameters[name]["kernel"], requires_grad=True) for name in ("trunk", "head"))
    optimiser = torch.optim.Adam([trunk, head], lr=1e-2)
    losses, norms, averages = [], [], [head.detach().clone()]
    for batch in batches:
        optimiser.zero_grad()
        hidden = torch.tanh(torch.tensor(batch["x"]) @ trunk)
        loss = ((hidden @ head - torch.tensor(batch["y"])) ** 2).mean() + 1e-2 * hidden.abs().mean()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([trunk, head], 1e9)))
        optimiser.step()
        losses.append(loss.item())
        averages.append(0.75 * averages[-1] + 0.25 * head.detach())
    state, reports = train(decay=0.75)
    np.testing.assert_allclose([float(report.loss) for report in reports], losses, rtol=1e-5)
    np.testing.assert_allclose([float(report.gradient_norm) for report in reports], norms, rtol=1e-5)
    np.testing.assert_allclose(state.trained["trunk"]["kernel"], trunk.detach(), atol=1e-5)
    np.testing.assert_allclose(state.average["head"]["kernel"], averages[-1], atol=1e-5)


def test_a_batch_in_parts_is_the_whole_batch() -> None:
    whole, reports = train()
    parts, reports_of_parts = train(accumulate=4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), whole.trained, parts.trained)
    np.testing.assert_allclose(reports[-1].loss, reports_of_parts[-1].loss, rtol=1e-5)
    with pytest.raises(InputError, match=r"a batch of 8 can't be seen in 3 parts"):
        train(accumulate=3)


def test_what_is_frozen_stays_bit_for_bit_and_the_rest_moves() -> None:
    parameters, _ = problem()
    state, _ = train(is_trained=under("head"))
    after = merge(state.trained, state.frozen)
    np.testing.assert_array_equal(after["trunk"]["kernel"], parameters["trunk"]["kernel"])
    assert not np.any(after["head"]["kernel"] == parameters["head"]["kernel"])
    assert {leaf.shape for leaf in jax.tree.leaves(state.moments)} == {(), (5, 2)}  # nothing of the trunk


def test_split_and_merge_are_inverse() -> None:
    parameters, _ = problem()
    trained, frozen = split(parameters, under("trunk"))
    assert (set(trained), set(frozen)) == ({"trunk"}, {"head"})
    jax.tree.map(np.testing.assert_array_equal, merge(trained, frozen), parameters)


def told_on_eight_devices(module: str) -> dict[str, Any]:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", f"tests.training.{module}"],
        cwd=ROOT, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def on_eight_devices() -> dict[str, Any]:
    return told_on_eight_devices("eight_devices")


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["whole", "spread", "accumulated"])
def test_eight_devices_do_what_one_does_batch_statistics_included(on_eight_devices: dict[str, Any], how: str) -> None:
    alone, together = on_eight_devices["accumulated_alone" if how == "accumulated" else "alone"], on_eight_devices[how]
    np.testing.assert_allclose(together["losses"], alone["losses"], rtol=1e-5)
    for name, values in alone["state"].items():
        np.testing.assert_allclose(together["state"][name], values, atol=1e-5, err_msg=name)


def test_spread_parameters_lie_in_parts(on_eight_devices: dict[str, Any]) -> None:
    assert on_eight_devices["part"] == [256 // 8, 300]


def test_one_sum_of_gradients_and_no_gathering_of_examples(on_eight_devices: dict[str, Any]) -> None:
    assert on_eight_devices["collectives"] == ["all-reduce"]


@pytest.mark.thorough
def test_views_of_a_face_stay_on_its_device_and_mean_the_same() -> None:
    """Rows lie in another order on many devices; each term, parameter and statistic comes out as on one."""
    told = told_on_eight_devices("eight_devices_looks")
    assert told["together"]["collectives"] == ["all-reduce"]
    for alone, together in zip(told["alone"]["terms"], told["together"]["terms"], strict=True):
        assert set(alone) == {"nll", "v_mse", "a_mse", "va_lpcc", "va_lccc", "units", "agreement"}
        for name, value in alone.items():
            np.testing.assert_allclose(together[name], value, rtol=1e-5, err_msg=name)
    for name, values in told["alone"]["state"].items():
        np.testing.assert_allclose(told["together"]["state"][name], values, atol=1e-5, err_msg=name)


def test_a_dry_run_tells_what_a_step_costs_and_trains_nothing() -> None:
    batches = toy.batches()
    cost = dry_run(toy.stage(), batches, toy.SETTINGS)
    # Two dense layers of 12 x 16 and 16 x 10 and a batch norm's scale and shift.
    assert (cost.trained, cost.frozen, cost.examples) == (12 * 16 + 16 + 16 * 10 + 10 + 32, 0, 32)
    # Forward and backward products of the batch, at least, and no more than some times that.
    products = 2 * 32 * (12 * 16 + 16 * 10)
    assert 2 * products < cost.flops < 20 * products
    # Four times: parameters, two moments, average.
    assert cost.state_bytes >= 4 * 4 * cost.trained


def test_what_devices_send_each_other_is_read_off_a_program() -> None:
    program = """
  %all-reduce.3 = (f32[32]{0}, f32[3,4]{1,0:T(8,128)}) all-reduce(%a, %b), channel_id=1, to_apply=%add
  %start = (u8[2,5]{1,0}, u8[16,5]{1,0}) all-gather-start(%c), dimensions={0}
  %done = u8[16,5]{1,0} all-gather-done(%start)
  ROOT %sum = f32[] add(%all-reduce.9, %d)
"""
    assert moves_in(program) == [Move("all-reduce", ((32,), (3, 4))), Move("all-gather", ((2, 5), (16, 5)))]
    assert [move.numbers for move in moves_in(program)] == [44, 90]


def test_a_machine_without_description_or_compiler_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no description of 'a100'; choose h100, v5e"):
        get_ready("a100")
    monkeypatch.setitem(MACHINES, "h100", MACHINES["h100"]._replace(packages=("no_such_compiler",)))
    with pytest.raises(InputError, match=r"not installed \(no_such_compiler\): pip install"):
        get_ready("h100")

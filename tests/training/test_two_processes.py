"""Two real processes that `jax.distributed` joins train as one does, are stopped as one, and go on as one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from emoca_jax.errors import InputError
from emoca_jax.training.hosts import join, launcher

ROOT = Path(__file__).parents[2]
STEPS = 48
TRAIN = (
    *(sys.executable, "scripts/train.py", "--config=configs/open/emo_mlp.py"),
    *("--config.data.train=256", "--config.data.held_out=64", "--config.batch=32", f"--config.settings.steps={STEPS}"),
    *("--config.settings.log_every=1", "--config.settings.save_every=16", "--config.settings.evaluate_every=24"),
    # Parameters in parts, so that no process has them all.
    "--config.settings.spread_parameters=True",
)


@pytest.mark.slow
def test_two_processes_are_one_run_through_a_stop(tmp_path: Path) -> None:
    assert [child.wait(300) for child in [_start(tmp_path / "alone")]] == [0]
    folder, port = tmp_path / "together", _free_port()
    # As srun starts a step of two tasks.
    srun = [_slurm(rank, port) for rank in range(2)]
    children = [_start(folder, environment=variables) for variables in srun]
    while all(child.poll() is None for child in children) and len(_losses(folder)) < 5:
        time.sleep(0.02)
    # One of them is told.
    children[1].send_signal(signal.SIGTERM)
    assert [child.wait(120) for child in children] == [143, 143]
    saved = max(int(path.name) for path in (folder / "checkpoints").glob("[0-9]*") if path.name.isdigit())
    assert 5 <= len(_losses(folder)) == saved < STEPS
    options = [f"--coordinator=localhost:{_free_port()}", "--processes=2"]
    children = [_start(folder, *options, f"--process={rank}") for rank in range(2)]
    assert [child.wait(300) for child in children] == [0, 0]
    assert "going on from step" in (folder / "log").read_text()
    np.testing.assert_allclose(_losses(folder), _losses(tmp_path / "alone"), rtol=1e-4)
    with np.load(folder / "network.npz") as found, np.load(tmp_path / "alone" / "network.npz") as expected:
        assert set(found) == set(expected)
        for name in expected:
            # A bias in front of a batch norm has no gradient but rounding, of which Adam makes whole steps; the norm's
            # mean takes them out again.
            if not (name.startswith("params/hidden") and name.endswith("bias")) and not name.endswith("mean"):
                np.testing.assert_allclose(found[name], expected[name], atol=1e-4, err_msg=name)


SLURM = {"SLURM_NTASKS": "2", "SLURM_STEP_NODELIST": "n[1-2]"}
TPU = {"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "1"}
JOB = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (SLURM, "SLURM"),
        (SLURM | {"SLURM_NTASKS": "1"}, None),
        # The batch script, outside of a step.
        ({"SLURM_NTASKS": "2"}, None),
        (TPU, "GKE, TPUs"),
        (TPU | {"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"MEGASCALE_NUM_SLICES": "2", "TPU_WORKER_HOSTNAMES": "a"}, "GKE, TPUs"),
        (JOB, "Kubernetes"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
    ],
)
def test_who_started_several_processes(environment: Mapping[str, str], expected: str | None) -> None:
    assert launcher(environment) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("host:1", 2, None), "give --coordinator, --processes and --process together"),
        (("host:1", 2, 2), "count them from 0"),
        (("host", 2, 0), "give HOST:PORT of process 0"),
    ],
)
def test_half_an_address_gets_a_sentence(given: tuple, said: str) -> None:
    with pytest.raises(InputError, match=said):
        join(**dict(zip(("address", "processes", "process"), given, strict=True)))


def _start(folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            [*TRAIN, f"--folder={folder}", *options],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}, stdout=log, stderr=log,
        )  # fmt: skip


def _slurm(rank: int, port: int) -> dict[str, str]:
    tasks = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_NUM_NODES": "1"}
    return tasks | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "JAX_COORDINATOR_PORT": str(port)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _losses(folder: Path) -> list[float]:
    log = folder / "metrics.jsonl"
    whole = log.read_text().rpartition("\n")[0].splitlines() if log.exists() else []
    return [line["train/loss"] for line in map(json.loads, whole) if "train/loss" in line]

"""Processes on one or many hosts that become one run: every device of all of them lies on the one mesh."""

from __future__ import annotations

import os
from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from emoca_jax.errors import InputError

LAST_PORT = 65535


def join(*, address: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Meet the other processes; call it before anything runs on a device. Alone where nobody says otherwise.

    address: host and port of process 0, with how many there are and which this is. Left out, SLURM and Google's
    Kubernetes tell (`launcher`). Errors: InputError where the three are not complete, or the others do not come.
    """
    given = [address, processes, process]
    if any(each is not None for each in given) and None in given:
        raise InputError("give --coordinator, --processes and --process together, or none of them")
    if address is None and launcher(os.environ) is None:
        return
    if address is not None and (processes is None or process is None or not 0 <= process < processes):
        raise InputError(f"--process is {process}; of {processes} processes, count them from 0")
    port = (address or "").rpartition(":")[2]
    if address is not None and not (port.isdecimal() and 0 < int(port) <= LAST_PORT):
        raise InputError(f"--coordinator is {address!r}; give HOST:PORT of process 0")
    try:
        # With an address, nobody else is asked: a SLURM job may hold two runs.
        jax.distributed.initialize(address, processes, process, cluster_detection_method=address and "deactivate")
    except (RuntimeError, ValueError) as error:
        raise InputError(f"the processes of this run do not come together: {error}") from error


def launcher(environment: Mapping[str, str]) -> str | None:
    """Who started more than one process of this run, by the variables that they set; None where nobody did.

    `jax.distributed.initialize` reads the rest of it. SLURM: steps of `srun`. Kubernetes: pods of a GKE TPU slice,
    or, for GPUs, of an indexed Job (jax asks for the package `kubernetes` there).
    """

    def several(name: str) -> bool:
        return environment.get(name, "").isdecimal() and int(environment[name]) > 1

    # A batch script itself runs outside of a step.
    if several("SLURM_NTASKS") and "SLURM_STEP_NODELIST" in environment:
        return "SLURM"
    hosts = environment.get("TPU_PROCESS_ADDRESSES", environment.get("TPU_WORKER_HOSTNAMES", ""))
    if "," in hosts or several("MEGASCALE_NUM_SLICES"):
        return "GKE, TPUs"
    if "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        return "Kubernetes"
    return None


def all_agree(here: bool, *, what: str) -> bool:
    """Whether it is so in every process; each waits for the others. what: names the place, for errors."""
    if jax.process_count() == 1:
        return here
    multihost_utils.sync_global_devices(what)
    return bool(multihost_utils.process_allgather(np.array(here)).all())

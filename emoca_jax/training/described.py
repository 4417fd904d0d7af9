"""Machines that need not be there for a training step to be compiled for them: eight H100, eight TPU v5e."""

from __future__ import annotations

import os
from importlib.resources import files
from importlib.util import find_spec
from typing import NamedTuple

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from emoca_jax.errors import InputError
from emoca_jax.training.devices import BATCH


class Machine(NamedTuple):
    """What JAX has to be told to compile for a machine."""

    platform: str
    """Of the compiler."""
    topology: str
    chips: int
    backend: str
    """What `jax.default_backend()` says there."""
    packages: tuple[str, ...]
    """Modules of the compiler."""
    environment: dict[str, str]
    """For the compiler's process, before jax starts; what the user has set goes before it."""
    description: str | None = None
    """Asset with the facts of a GPU; libtpu knows its TPUs."""


# Autotuning would run candidates on the GPU.
FOR_GPU = {"XLA_FLAGS": "--xla_gpu_autotune_level=0"}
FOR_TPU = {
    # Outside of Google's cloud nobody answers the question which TPU this is.
    "TPU_SKIP_MDS_QUERY": "1",
    # No TPU is taken, so several may compile.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    # A third of the time of the full effort, through the same compiler.
    "JAX_OPTIMIZATION_LEVEL": "O0",
}
H100 = Machine("cuda", "1x1x8", 8, "gpu", ("jax_plugins.xla_cuda12", "nvidia.cuda_nvcc"), FOR_GPU, "h100.textproto")
V5E = Machine("tpu", "v5e:2x4", 8, "tpu", ("libtpu",), FOR_TPU)
MACHINES = {"h100": H100, "v5e": V5E}


def get_ready(name: str) -> Machine:
    """The machine of that name, its compiler told what it must know; call it before anything runs on a device.

    Errors: InputError for a name that is not in MACHINES, or where the compiler is not installed.
    """
    if name not in MACHINES:
        raise InputError(f"there is no description of {name!r}; choose {', '.join(MACHINES)}")
    machine = MACHINES[name]
    if missing := missing_packages(machine):
        raise InputError(
            f"the compiler for {name} is not installed ({', '.join(missing)}): "
            'pip install "emoca-jax[accelerators]", about 1 GB; Linux only'
        )
    for variable, value in machine.environment.items():
        os.environ.setdefault(variable, value)
    # Read when jax was imported: what stands in the environment by now comes late.
    jax.config.update("jax_platforms", "cpu")
    if level := machine.environment.get("JAX_OPTIMIZATION_LEVEL"):
        jax.config.update("jax_optimization_level", os.environ.get("JAX_OPTIMIZATION_LEVEL", level))
    return machine


def missing_packages(machine: Machine) -> list[str]:
    """Modules of the machine's compiler that are not installed."""
    return [name for name in machine.packages if not _is_installed(name)]


def described_mesh(machine: Machine) -> Mesh:
    """All chips of the machine along BATCH."""
    if machine.description is None:
        found = topologies.get_topology_desc(machine.topology, platform=machine.platform)
    else:
        facts = (files("emoca_jax") / "assets" / machine.description).read_text()
        found = topologies.get_topology_desc(
            "", platform=machine.platform, topology=machine.topology, target_config=facts
        )
    return topologies.make_mesh(found, (machine.chips,), (BATCH,))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of the package around it
        return False

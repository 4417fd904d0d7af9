"""The machines that programs are compiled for, none of which needs to be there: one H100, and four TPU v5e."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

BATCH = "batch"
"""The one axis of every mesh: faces lie along it, everything else is on every chip."""

PIXELS_TIMES_FACES = 224 * 224 * 10_960
"""Of one picture of the open head: the size of the tensor that a renderer must not make."""


class Target(NamedTuple):
    """What JAX has to be told to compile for a machine."""

    platform: str
    """Of the compiler."""
    topology: str
    chips: int
    backend: str
    """What `jax.default_backend()` says on the machine."""
    packages: tuple[str, ...]
    """Modules of the compiler."""
    environment: dict[str, str]
    """For the compiler's process; what the user has set goes before it."""
    most_temporaries: int
    """Bytes that any program may keep on a chip beside its arguments and results."""
    description: Path | None = None
    """Facts of a GPU; libtpu knows its TPUs."""


TARGETS = {
    "h100": Target(
        platform="cuda",
        topology="1x1x1",
        chips=1,
        backend="gpu",
        packages=("jax_plugins.xla_cuda12", "nvidia.cuda_nvcc"),
        # Autotuning would run candidates on the GPU.
        environment={"XLA_FLAGS": "--xla_gpu_autotune_level=0"},
        # Half of a mask of pixels x faces, for a batch of eight pictures as well.
        most_temporaries=PIXELS_TIMES_FACES // 2,
        description=Path(__file__).parent / "h100.textproto",
    ),
    "v5e": Target(
        platform="tpu",
        topology="v5e:2x2",
        chips=4,
        backend="tpu",
        packages=("libtpu",),
        environment={
            # Outside of Google's cloud nobody answers the question which TPU this is.
            "TPU_SKIP_MDS_QUERY": "1",
            # No TPU is taken, so several may compile.
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
            # A third of the time of the full effort, through the same compiler.
            "JAX_OPTIMIZATION_LEVEL": "O0",
        },
        # One of float32. The rasteriser's blocks of 2 x 4 pixels take 8 x 128 places on a TPU.
        most_temporaries=4 * PIXELS_TIMES_FACES,
    ),
}


def missing_packages(target: Target) -> list[str]:
    """Modules of the target's compiler that are not installed."""
    return [name for name in target.packages if not _is_installed(name)]


def device_mesh(target: Target) -> Any:
    """All chips of the target along BATCH."""
    from jax.experimental import topologies

    if target.description is None:
        found = topologies.get_topology_desc(target.topology, platform=target.platform)
    else:
        facts = target.description.read_text()
        found = topologies.get_topology_desc(
            "", platform=target.platform, topology=target.topology, target_config=facts
        )
    return topologies.make_mesh(found, (target.chips,), (BATCH,))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of the package around it
        return False

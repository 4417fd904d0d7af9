"""All devices of all processes as one row: examples lie along it, parameters on every one or spread over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from emoca_jax.errors import InputError

BATCH = "batch"
"""The one axis of the mesh. Batch statistics are means over all of it, since a step is one program."""
SPREAD_FROM = 2**16
"""Numbers from which on a leaf is worth spreading: smaller ones cost more in messages than they save in memory."""


def device_mesh(*, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of all devices (or the given ones) along BATCH; jax chooses how arrays inside of a step lie (Auto)."""
    chosen = jax.devices() if devices is None else list(devices)
    return jax.make_mesh((len(chosen),), (BATCH,), axis_types=(AxisType.Auto,), devices=chosen)


def on_many() -> bool:
    """Whether what is traced is a step over more than one device."""
    mesh = jax.sharding.get_abstract_mesh()
    return not mesh.empty and mesh.size > 1


def on_all(mesh: Mesh) -> NamedSharding:
    """Whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_example(mesh: Mesh) -> NamedSharding:
    """Split by the first axis."""
    return NamedSharding(mesh, PartitionSpec(BATCH))


def spread(mesh: Mesh, tree: Any) -> Any:
    """Shardings that split each large leaf along its longest axis that the devices divide; the rest whole on all.

    What FSDP does: every device keeps its part of parameters and of the optimiser's moments; XLA gathers before use.
    """

    def of_leaf(leaf: Any) -> NamedSharding:
        axes = [axis for axis, size in enumerate(leaf.shape) if size % mesh.size == 0]
        if mesh.size == 1 or not axes or np.prod(leaf.shape) < SPREAD_FROM:
            return on_all(mesh)
        longest = max(axes, key=lambda axis: leaf.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*(BATCH if axis == longest else None for axis in range(leaf.ndim))))

    return jax.tree.map(of_leaf, tree)


def place_batch(mesh: Mesh, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """This process's part of a batch, on its devices: the first axes of all processes make up the whole.

    Errors: InputError where the devices of this process do not divide it.
    """
    here = len(mesh.local_devices)
    for name, leaf in batch.items():
        if leaf.shape[0] % here:
            raise InputError(
                f"a batch of {leaf.shape[0]} ({name}) can't be split over {here} devices: choose a multiple of {here}"
            )
    sharding = by_example(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, leaf) for name, leaf in batch.items()}

"""A batch of images one at a time or all at once, whichever the platform prefers, each on the device that has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.sharding import AxisType, PartitionSpec

from emoca_jax.running_on import backend


def one_by_one() -> bool:
    """On a CPU one image and what leads to it fit into its cache, a batch of them does not: going image by image halves
    the time of a batch of eight. Other platforms want all the work they can get at once."""
    return backend() == "cpu"


def on_own_devices(function: Callable[..., Any], images: Any, *shared: Any) -> Any:
    """`function` of an array (or several in a tuple) whose first axis are images (or faces), and of others that all of
    them share; results as the former.

    Inside of a program over a mesh (`jax.sharding.use_abstract_mesh`, as training steps have it) each device runs it on
    its own images. XLA, which splits such programs by itself, would send every picture to every device where one loop
    goes through all of them. Inside of a caller's own `jax.shard_map` they are split already.
    """
    mesh = jax.sharding.get_abstract_mesh()
    split_already = AxisType.Manual in mesh.axis_types
    if mesh.empty or split_already or mesh.size == 1 or jax.tree.leaves(images)[0].shape[0] % mesh.size:
        return function(images, *shared)
    split, whole = PartitionSpec(mesh.axis_names), PartitionSpec()
    specs = (split, *(whole for _ in shared))
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)(images, *shared)


def for_each_image(function: Callable[..., Any], batch: tuple[int, ...], arguments: tuple[Any, ...]) -> Any:
    """`function` of one image's arguments over arrays that all have the leading dimensions `batch`.

    Image by image, its intermediate results are computed again for a derivative instead of being kept.
    """
    count = math.prod(batch)
    if not batch:
        return function(*arguments)
    flat = jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[len(batch) :]), arguments)
    if one_by_one() and count > 1:
        again = jax.checkpoint(function, prevent_cse=False)
        result = lax.map(lambda own: again(*own), flat)
    else:
        result = jax.vmap(function)(*flat)
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), result)

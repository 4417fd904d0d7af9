"""What a run consists of at one moment: everything a checkpoint holds but the place in the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Int, Key

Parameters = Mapping[str, Any]
"""Nested dictionaries of arrays."""
IsTrained = Callable[[tuple[str, ...]], bool]
"""Whether the parameter at a path, from the root down, is trained."""


class TrainState(struct.PyTreeNode):
    """One moment of a run."""

    step: Int[Array, ""]
    """Steps made, those skipped included."""
    trained: Parameters
    """What the optimiser moves."""
    frozen: Parameters
    """What it never sees: it has no gradient, no moments, and no step returns anything but what it was given."""
    statistics: Parameters
    """Running means and variances of batch norms (Flax's collection `batch_stats`)."""
    moments: Any
    """The optimiser's (`optax.OptState`)."""
    average: Parameters
    """Exponential moving average of what is trained; empty where none is asked for."""
    key: Key[Array, ""]
    """Step i draws from `fold_in(key, i)`: what is drawn does not depend on where a run was interrupted."""
    skipped: Int[Array, ""]
    """Steps whose loss or gradient was not finite."""
    skipped_in_a_row: Int[Array, ""]


def start(
    parameters: Parameters,
    statistics: Parameters,
    optimiser: optax.GradientTransformation,
    key: Key[Array, ""],
    *,
    is_trained: IsTrained = lambda path: True,
    averaged: bool = False,
) -> TrainState:
    """The state before the first step.

    averaged: whether to keep a moving average of the parameters.
    """
    trained, frozen = split(parameters, is_trained)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        step=zero,
        trained=trained,
        frozen=frozen,
        statistics=statistics,
        moments=optimiser.init(trained),  # type: ignore[arg-type]
        average=jax.tree.map(jnp.copy, trained) if averaged else {},
        key=key,
        skipped=jnp.copy(zero),
        skipped_in_a_row=jnp.copy(zero),
    )


def split(parameters: Parameters, is_trained: IsTrained) -> tuple[Parameters, Parameters]:
    """What is trained and what is frozen, as two trees that `merge` puts together again."""
    flat = flatten_dict(parameters)
    trained = {path: leaf for path, leaf in flat.items() if is_trained(path)}
    frozen = {path: leaf for path, leaf in flat.items() if path not in trained}
    return unflatten_dict(trained), unflatten_dict(frozen)


def merge(trained: Parameters, frozen: Parameters) -> Parameters:
    """The whole tree again."""
    return unflatten_dict({**flatten_dict(frozen), **flatten_dict(trained)})


def under(*names: str) -> IsTrained:
    """Trained is what lies under these names at the root, the rest is frozen."""
    return lambda path: path[0] in names

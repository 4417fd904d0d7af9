"""What an objective is: named terms, each weighted once, and their sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from emoca_jax.errors import InputError

Terms = dict[str, Float[Array, ""]]


class Objective(struct.PyTreeNode):
    """What a stage minimises, and what it reports."""

    total: Float[Array, ""]
    """Sum of the terms."""
    terms: Terms
    """Each times its weight."""
    metrics: Terms
    """Reported beside; without influence."""


def objective(
    terms: Mapping[str, Callable[[], Float[Array, ""]]], weights: Mapping[str, float], *, metrics: Terms | None = None
) -> Objective:
    """The weighted sum of the terms that `weights` names; the others are not even computed. Differentiable as they are.

    Errors: InputError where a weight belongs to no term.
    """
    if unknown := sorted(set(weights) - set(terms)):
        raise InputError(f"There is no term {unknown[0]!r}; weights can be given to {', '.join(sorted(terms))}.")
    weighted = {name: weight * terms[name]() for name, weight in weights.items()}
    return Objective(sum(weighted.values(), start=jnp.zeros(())), weighted, metrics or {})

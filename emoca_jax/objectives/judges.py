"""Frozen networks that look at photo and rendering: what objectives need of them, whatever they tell."""

from __future__ import annotations

from collections.abc import Mapping

from jax import lax
from jaxtyping import Array, Float

from emoca_jax.errors import InputError


def judge(variables: Mapping | None, term: str, name: str) -> Mapping:
    """A frozen network's variables, through which no gradient flows. Errors: InputError where they are not there."""
    if variables is None:
        raise InputError(
            f"The term {term!r} has a weight but no network: pass its variables as `{name}`, or no weight."
        )
    return lax.stop_gradient(variables)


def as_batch(images: Float[Array, "*batch height width channels"]) -> Float[Array, "images height width channels"]:
    """All images in one batch dimension, as networks take them. Differentiable."""
    return images.reshape(-1, *images.shape[-3:])


def is_folded(variables: Mapping) -> bool:
    """Whether a ResNet-50's batch norms went into its convolutions (`fold_batch_norms`). No gradient."""
    parameters = variables["params"]
    return "norm" not in parameters.get("trunk", parameters)["conv1"]

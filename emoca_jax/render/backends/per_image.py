"""A batch of images one at a time or all at once, whichever the platform prefers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax import lax


def one_by_one() -> bool:
    """On a CPU one image and what leads to it fit into its cache, a batch of them does not: going image by image halves
    the time of a batch of eight. Other platforms want all the work they can get at once."""
    return jax.default_backend() == "cpu"


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

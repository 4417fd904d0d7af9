"""One person, one shape: what ties the identity codes of several photos of the same person together.

Codes are [identities * images, size], the images of one identity next to each other.
"""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from emoca_jax.arrays import checks_arguments

Tree = TypeVar("Tree")


@checks_arguments
def exchange_order(key: PRNGKeyArray, identities: int, images: int) -> Int[Array, "rows"]:
    """A random permutation of the rows within each identity. Source: DECA section 3.3, shape consistency."""
    keys = jax.random.split(key, identities)
    within = jax.vmap(lambda k: jax.random.permutation(k, images))(keys)
    return (within + jnp.arange(identities)[:, None] * images).reshape(-1)


@checks_arguments
def doubled(rows: Tree, exchanged: Tree) -> Tree:
    """Batch followed by a copy of it with some codes exchanged: every leaf twice as long.

    Every loss on the second half asks that another photo's identity (or detail) code explain this photo as well.
    """
    return jax.tree.map(lambda first, second: jnp.concatenate([first, second]), rows, exchanged)


@checks_arguments
def mean_within_identity(code: Float[Array, "rows size"], images: int) -> Float[Array, "rows size"]:
    """Each code replaced by the mean over its identity's images (the constraint 'same' of the official code)."""
    grouped = code.reshape(-1, images, code.shape[-1])
    return jnp.broadcast_to(grouped.mean(axis=1, keepdims=True), grouped.shape).reshape(code.shape)

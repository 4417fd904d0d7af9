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
def exchanged(key: PRNGKeyArray, code: Float[Array, "rows size"], images: int) -> Float[Array, "rows size"]:
    """Codes in a random order within each identity, as `exchange_order` has it.

    An identity that lies on one device stays there.
    """
    within = exchange_order(key, code.shape[0] // images, images).reshape(-1, images) % images
    grouped = code.reshape(-1, images, code.shape[-1])
    return jnp.take_along_axis(grouped, within[..., None], axis=1).reshape(code.shape)


@checks_arguments
def doubled(rows: Tree, exchanged: Tree) -> Tree:
    """Each row of a batch followed by a copy with some codes exchanged: every leaf twice as long.

    Every loss on the copies asks that another photo's identity (or detail) code explain this photo as well. A copy
    stands beside its row and not behind the batch, so that it needs no other device where rows lie on many.
    """

    def beside(first: Array, second: Array) -> Array:
        return jnp.stack([first, second], axis=1).reshape(2 * first.shape[0], *first.shape[1:])

    return jax.tree.map(beside, rows, exchanged)


@checks_arguments
def mean_within_identity(code: Float[Array, "rows size"], images: int) -> Float[Array, "rows size"]:
    """Each code replaced by the mean over its identity's images (the constraint 'same' of the official code)."""
    grouped = code.reshape(-1, images, code.shape[-1])
    return jnp.broadcast_to(grouped.mean(axis=1, keepdims=True), grouped.shape).reshape(code.shape)

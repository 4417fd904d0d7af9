"""Teeth, tongue and the mouth's lining as bright as the photo shows them."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

ENOUGH = 60.0
"""Texels, of 512 x 512, that the photo must show for it to be believed altogether."""
TEETH_RANGE, LINING_RANGE = (-0.9, 0.2), (-0.7, 0.4)
"""Log ratio to the model's brightness that is believed: a mouth in the dark, and teeth in a flash."""


def mouth_ratio(
    ratio: Float[Array, "size size 3"],
    sight: Float[Array, "size size"],
    teeth: Float[Array, "size size"],
    lining: Float[Array, "size size"],
) -> Float[Array, "size size 3"]:
    """Log ratio to the model at each texel of the mouth's inside, 0 elsewhere: one for teeth, one for the rest.

    ratio, sight: of the photo at each texel. Only brightness is taken: where the head shows teeth and the photo a dark
    mouth or a lip, a bright bar would be wrong, and so would red teeth.
    """
    total = jnp.zeros_like(sight)
    for area, limits in ((teeth, TEETH_RANGE), (lining, LINING_RANGE)):
        weight = area * sight
        brightness = jnp.clip(jnp.mean(ratio, axis=-1), *limits)
        mean = jnp.sum(weight * brightness) / (jnp.sum(weight) + ENOUGH / 4)
        total = total + area * mean
    return jnp.broadcast_to(total[..., None], ratio.shape)

"""How far the photo's detail is kept, and where the other side's fills in: pores and wrinkles that end at a line look
like a mask."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.texture.layout import TextureLayout, mirrored
from emoca_jax.texture.windows import box, ramp

WANING, WANED, WANED_LIT = 31, (0.55, 0.95), (0.4, 0.9)
"""Texels around, 1.8 cm, of which such a share must be trusted for detail to begin and to be whole; with the photo's
light it is to look like the photo as far as it can."""


def well_within(
    layout: TextureLayout, trust: Float[Array, "size size"], waned: tuple[float, float]
) -> Float[Array, "size size"]:
    """1 well within what is trusted, 0 at its border."""
    plain = layout.skin * (1 - layout.features)
    around = box(plain * trust, WANING) / jnp.maximum(box(plain, WANING), 1e-3)
    return ramp(around, *waned)


def mirrored_detail(
    layout: TextureLayout,
    detail: Float[Array, "size size 3"],
    trust: Float[Array, "size size"],
    *kept: Float[Array, "size size"],
) -> list[Float[Array, "size size 3"]]:
    """The detail as far as it is kept, and the other side's as far as that is kept more.

    More than this side's, or detail would be whole where both sides wane. kept: at most the trust; an answer for each.
    """
    others = jnp.stack([trust, *kept], axis=-1)
    other = mirrored(layout, jnp.concatenate([trust[..., None] * detail, others], axis=-1))
    per_trust = other[..., :3] / jnp.maximum(other[..., 3:4], 1e-3)
    more = [jnp.maximum(other[..., 4 + k] - weight, 0.0) for k, weight in enumerate(kept)]
    return [weight[..., None] * detail + m[..., None] * per_trust for weight, m in zip(kept, more, strict=True)]

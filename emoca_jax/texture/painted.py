"""How far what the albedo model paints goes: its lips, and its beard where the photo shows a bare chin.

Shade below a mouth fits a beard, and that ends at a line before the ears.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.products import precise_einsum
from emoca_jax.texture.layout import TextureLayout
from emoca_jax.texture.windows import ramp

LIPS, LEAST_RED = 0.99, 0.05
"""Where lips are surely, and how much redder than skin, log of red over green, a model's are if it has any."""
DARK_CHIN = (0.15, 0.25)
"""How much darker than the cheeks, medians, log ratio, a chin is without and with a beard: of ten photos of people
without one at most .13, with stubble .34; of 32 drawn faces at most .11, and at least .66."""
OTHERS = 0.1
"""The most that a component which paints beards changes nose and cheeks, in parts of what it changes the chin."""
LEAST = 0.01
"""The least that it changes the chin, in albedo a deviation."""
STEP = 4
"""Texels between those that are looked at."""
ENOUGH = 30
"""How many of them chin and cheeks must show, or the model is believed."""


def lip_paint(layout: TextureLayout, model: Float[np.ndarray, "rows columns 3"]) -> Float[np.ndarray, "rows columns"]:
    """How far the colour of lips reaches: to less than where they may still be seen, whose half is skin, and only where
    the model has lips, for what turns its red into violet makes skin violet, too.

    model: its albedo, above 0, as large as the layout or a part of it.
    """
    step = len(layout.skin) // len(model)
    lips, middle, skin = (np.asarray(x)[::step, ::step] for x in (layout.lips, layout.middle, layout.skin))
    reach = np.clip(2 * lips - 1, 0, 1)
    red = np.log(model[..., 0] / model[..., 1])
    there, beside = skin * (lips > LIPS), skin * middle * (1 - lips)
    of_lips, of_skin = ((x * red).sum() / max(x.sum(), 1) for x in (there, beside))
    if of_lips - of_skin < LEAST_RED:
        return reach
    return reach * np.clip((red - of_skin) / (of_lips - of_skin), 0, 1).astype(np.float32)


def code_of_bare_chin(
    basis: Float[Array, "rows columns 3 components"],
    code: Float[Array, "components"],
    layout: TextureLayout,
    skin: Float[Array, "size size 3"],
    sight: Float[Array, "size size"],
) -> Float[Array, "components"]:
    """The albedo code, in which what darkens the chin alone is left as far as the photo's chin is dark.

    skin: logarithm of the photo's colour without its light. sight: how well each texel is seen.
    """
    bare = layout.skin * (1 - layout.features)
    of_chin, of_middle = (_mean(basis, bare * area) for area in (layout.chin, layout.middle))
    beard = (jnp.max(jnp.abs(of_middle), axis=0) < OTHERS * jnp.max(jnp.abs(of_chin), axis=0)) & (
        jnp.max(jnp.abs(of_chin), axis=0) > LEAST
    )
    darker = jnp.mean(of_chin, axis=0) * code < 0
    return jnp.where(beard & darker, _shown_beard(layout, skin, sight * bare) * code, code)


def _mean(
    basis: Float[Array, "rows columns 3 components"], weights: Float[Array, "size size"]
) -> Float[Array, "3 components"]:
    weights = jax.image.resize(weights, basis.shape[:2], "linear")
    return precise_einsum("hw,hwck->ck", weights, basis) / jnp.maximum(jnp.sum(weights), 1e-3)


def _shown_beard(
    layout: TextureLayout, skin: Float[Array, "size size 3"], bare: Float[Array, "size size"]
) -> Float[Array, ""]:
    """0 where the chin is as bright as the face above the beard and below the brows, 1 where it is darker."""
    chin, cheeks, bare, brightness = (
        x[::STEP, ::STEP]
        for x in (
            layout.chin,
            layout.face * (1 - layout.beard) * (1 - layout.above_brows),
            bare,
            jnp.mean(skin, axis=-1),
        )
    )
    of_chin, of_cheeks = (jnp.where(area * bare > 0.5, brightness, jnp.nan) for area in (chin, cheeks))
    enough = jnp.minimum(jnp.sum(~jnp.isnan(of_chin)), jnp.sum(~jnp.isnan(of_cheeks))) > ENOUGH
    return jnp.where(enough, ramp(jnp.nanmedian(of_cheeks) - jnp.nanmedian(of_chin), *DARK_CHIN), 1.0)

"""Lip reading consistency: a visual-speech network should read the same from rendered and photographed lips.

The network (LRS3, official weights) is not part of this project; this is what it is fed and how its features compare.
Source: EMOCA v2 after SPECTRE (Filntisis et al., 2022), sections 3.2 and supplement.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments, to_rank
from emoca_jax.losses.emotion_consistency import FeatureDistance, feature_distance
from emoca_jax.products import precise_einsum

MOUTH = slice(48, 68)
"""Of the 68 landmarks."""
CUT_PIXELS, SEEN_PIXELS = 96, 88
MEAN, DEVIATION = 0.421, 0.165
"""Of grey values in the network's training data."""
GREY = (0.2989, 0.587, 0.114)
"""ITU-R BT.601 luma as torchvision rounds it."""


@checks_arguments
def mouth_crop(
    image: Float[Array, "*batch height width 3"], landmarks: Float[Array, "*batch 68 _"]
) -> Float[Array, "*batch 88 88"]:
    """The grey, normalised mouth that the network sees.

    landmarks: in the image plane [-1, 1]. A 96 x 96 cut about the mean of landmarks 48-67, rounded to whole pixels and
    moved inside the image, of which the middle 88 x 88 remain. Differentiable to the image, not to where it is cut.
    Images must be at least 96 pixels high and wide.
    """
    height, width = image.shape[-3:-1]
    size = to_rank(jnp.array([width, height]), landmarks.ndim - 1)
    centre = jnp.round((jax.lax.stop_gradient(landmarks[..., MOUTH, :2]).mean(axis=-2) + 1) * (size / 2))
    # Clamped as the 96 pixel cut, of which the network then sees the middle.
    low = jnp.clip(centre.astype(jnp.int32) - CUT_PIXELS // 2, 0, size - CUT_PIXELS)
    low += (CUT_PIXELS - SEEN_PIXELS) // 2
    grey = precise_einsum("...c,c->...", image, jnp.array(GREY))

    def cut(picture: Float[Array, "height width"], corner: Array) -> Float[Array, "88 88"]:
        return jax.lax.dynamic_slice(picture, (corner[1], corner[0]), (SEEN_PIXELS, SEEN_PIXELS))

    batch = grey.shape[:-2]
    crops = jax.vmap(cut)(grey.reshape(-1, height, width), jnp.broadcast_to(low, (*batch, 2)).reshape(-1, 2))
    return (crops.reshape(*batch, SEEN_PIXELS, SEEN_PIXELS) - MEAN) / DEVIATION


@checks_arguments
def lip_reading_distance(
    rendering: Float[Array, "*batch size"], image: Float[Array, "*batch size"], *, kind: FeatureDistance = "cosine"
) -> Float[Array, ""]:
    """Distance of visual-speech features, one row a frame; gradients flow to the rendering's side only."""
    return feature_distance(rendering, jax.lax.stop_gradient(image), kind)

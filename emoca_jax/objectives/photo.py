"""The fit's image terms: the head over the photo should look like it, and feel like it to the networks that ship."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from emoca_jax import render
from emoca_jax.losses.emotion_consistency import emotion_feature_distance
from emoca_jax.losses.photometric import robust_photometric_distance
from emoca_jax.nets.emotion.crop import ExpressionCrop, crop_image
from emoca_jax.nets.emotion.open import ExpressionRead, Parameters, expression_features

PHOTOMETRIC_SHARE, EMOTION_SHARE = 25.0, 150.0
"""Weights of the terms, in units of prior standard deviations, for robust colour error and feature distance."""


class SeenFace(struct.PyTreeNode):
    """One face of a photo, cut out and read: what every way to its codes starts from."""

    to_pixels: Float[Array, "3 3"]
    """Maps the crop's plane [-1, 1]^2 to photo pixels."""
    image: Float[Array, "size size 3"]
    """RGB in [0, 1]."""
    landmarks: Float[Array, "478 3"]
    """In the crop's plane; depth in its unit, growing away."""
    crop: ExpressionCrop
    """What the expression networks look at."""
    read: ExpressionRead
    """What they see there."""
    person: Float[Array, "pixels pixels"] | None = None
    """How likely each pixel of the crop, of fewer and larger ones, shows a person; None where nobody asked."""


class FitWeights(struct.PyTreeNode):
    """How much each term counts against its default; 0 switches it off."""

    photometric: float = 1.0
    emotion: float = 1.0
    """Emotion consistency: features of the expression network in the energy, its reading as expression prior."""


def composite(
    image: Float[Array, "height width 3"],
    rendering: Float[Array, "height width 3"],
    alpha: Float[Array, "height width"],
) -> Float[Array, "height width 3"]:
    """The rendering in the photo's place, hair and background kept, as the expression network sees both.

    Differentiable in everything.
    """
    return render.over(image, jnp.clip(rendering, 0.0, 1.0), alpha)


def photometric_term(
    seen: SeenFace, rendering: Float[Array, "size size 3"], mask: Float[Array, "size size"], weights: FitWeights
) -> Float[Array, ""]:
    """Weighted colour error under the mask (face in the photo and on the rendering).

    Differentiable to the rendering.
    """
    return PHOTOMETRIC_SHARE * weights.photometric * robust_photometric_distance(rendering, seen.image, mask)


def emotion_term(
    seen: SeenFace,
    networks: Parameters,
    rendering: Float[Array, "size size 3"],
    alpha: Float[Array, "size size"],
    weights: FitWeights,
) -> Float[Array, ""]:
    """Weighted emotion consistency: squared distance of deep features, none to the photo (EMOCA section 3.2).

    Differentiable to rendering and alpha.
    """
    picture = composite(seen.image, rendering, alpha)
    shown = expression_features(networks, crop_image(picture, seen.crop))
    return EMOTION_SHARE * weights.emotion * emotion_feature_distance(shown.features, seen.read.features)

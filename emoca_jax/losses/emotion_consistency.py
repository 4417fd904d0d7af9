"""The paper's contribution: the rendering should feel to an emotion network what the photo feels.

The network's outputs are passed in; gradients flow to the rendering's side only.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments
from emoca_jax.losses.identity import cosine_similarity

FeatureDistance = Literal["squared", "absolute", "cosine"]
"""`emo_feat_loss: mse_loss | l1_loss | cosine_similarity` of the official configuration."""


@checks_arguments
def emotion_feature_distance(
    rendering: Float[Array, "*batch size"], image: Float[Array, "*batch size"], *, kind: FeatureDistance = "squared"
) -> Float[Array, ""]:
    """Mean squared or absolute difference of emotion features, or mean of 1 - cos. Source: EMOCA equation 5."""
    return feature_distance(rendering, jax.lax.stop_gradient(image), kind)


@checks_arguments
def feature_distance(
    first: Float[Array, "*batch size"], second: Float[Array, "*batch size"], kind: FeatureDistance
) -> Float[Array, ""]:
    """Mean squared or absolute difference, or mean of 1 - cos."""
    if kind == "cosine":
        return jnp.mean(1 - cosine_similarity(first, second))
    difference = first - second
    return jnp.mean(jnp.square(difference) if kind == "squared" else jnp.abs(difference))


@checks_arguments
def affect_distance(rendering: Float[Array, "*batch"], image: Float[Array, "*batch"]) -> Float[Array, ""]:
    """Mean absolute difference of valence, or of arousal (a loss beside the features, or a number to report)."""
    return jnp.mean(jnp.abs(rendering - jax.lax.stop_gradient(image)))


@checks_arguments
def expression_distance(
    rendering_logits: Float[Array, "*batch classes"], image_logits: Float[Array, "*batch classes"]
) -> Float[Array, ""]:
    """Mean absolute difference of log-probabilities of the expression classes (the official code's "L1")."""
    image = jax.lax.stop_gradient(image_logits)
    return jnp.mean(jnp.abs(jax.nn.log_softmax(rendering_logits) - jax.nn.log_softmax(image)))

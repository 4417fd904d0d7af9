"""ID-MRF: every patch of the photo should have a patch of the rendering that resembles it more than all others do.

Feature maps of an image network are passed in, [*B, H, W, C]; a patch is one position of them.
Source: Wang et al., "Image Inpainting via Generative Multi-column CNNs", NeurIPS 2018, section 3.2; DECA section 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.products import precise_einsum

STYLE_LAYERS = ("relu3_2", "relu4_2")
CONTENT_LAYERS = ("relu4_2",)
"""By the official naming these are the activations after conv3_1 and conv4_1 of VGG-19; relu4_2 counts twice."""

BANDWIDTH = 0.5
"""h of the paper: how sharply the best match stands out."""
DISTANCE_FLOOR = 1e-5
"""Added to the smallest distance before dividing by it."""
RESOLUTION = 2.5e-7
"""Distances below it are zero: equal directions come out of a float32 product about this far apart."""
SUMMED_CHANNELS = 64
"""Channels that one float32 sum runs over. A face's black surroundings are thousands of all but equal patches, whose
distances are divided by DISTANCE_FLOOR: one sum over 512 channels makes the loss wrong in its third digit, these in its
fifth."""


def id_mrf(
    rendered: Mapping[str, Float[Array, "*batch _ _ _"]], target: Mapping[str, Float[Array, "*batch _ _ _"]]
) -> Float[Array, ""]:
    """Sum over style and content layers, and over the batch, of `patch_loss`.

    rendered, target: feature maps by layer name. Gradients flow to both; DECA's target is an input image.
    """
    return jnp.sum(style_and_content(rendered, target))


def style_and_content(
    rendered: Mapping[str, Float[Array, "*batch _ _ _"]], target: Mapping[str, Float[Array, "*batch _ _ _"]]
) -> Float[Array, "2"]:
    """The two parts of `id_mrf`: over the style layers and over the content layers."""
    each = {name: jnp.sum(patch_loss(rendered[name], target[name])) for name in {*STYLE_LAYERS, *CONTENT_LAYERS}}
    return jnp.stack([sum(each[name] for name in layers) for layers in (STYLE_LAYERS, CONTENT_LAYERS)])


def patch_loss(
    rendered: Float[Array, "*batch height width channels"], target: Float[Array, "*batch height width channels"]
) -> Float[Array, "*batch"]:
    """-log of the mean, over photo patches, of the best share that a rendered patch has in resembling it.

    Both maps are centred by the photo's mean over channels at each position, patches compared by cosine distance.
    Memory: (height * width)^2 numbers an image.
    """
    mean = jnp.mean(target, axis=-1, keepdims=True)
    of_rendered, of_target = _directions(rendered - mean), _directions(target - mean)
    distance = (1 - _products(of_target, of_rendered)) / 2
    distance = jnp.where(distance < RESOLUTION, 0.0, distance)
    # For each rendered patch: how near the photo's patches are compared with the nearest one.
    relative = distance / (jnp.min(distance, axis=-2, keepdims=True) + DISTANCE_FLOOR)
    share = jax.nn.softmax((1 - relative) / BANDWIDTH, axis=-2)
    return -jnp.log(jnp.mean(jnp.max(share, axis=-1), axis=-1))


def _directions(maps: Float[Array, "*batch height width channels"]) -> Float[Array, "*batch patches channels"]:
    vectors = maps.reshape(*maps.shape[:-3], -1, maps.shape[-1])
    squared = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    # A patch without contrast has no direction; its zero vector is equally far from everything.
    return vectors * jax.lax.rsqrt(jnp.where(squared > 0, squared, 1.0))


def _products(
    first: Float[Array, "*batch patches channels"], second: Float[Array, "*batch patches channels"]
) -> Float[Array, "*batch patches patches"]:
    """Inner products of all pairs, summed in parts."""
    total = jnp.zeros(())
    for start in range(0, first.shape[-1], SUMMED_CHANNELS):
        part = slice(start, start + SUMMED_CHANNELS)
        pairs = precise_einsum("...tc,...rc->...tr", first[..., part], second[..., part])
        total = total + pairs
    return total

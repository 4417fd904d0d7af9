"""ID-MRF: every patch of the photo should have a patch of the rendering that resembles it more than all others do.

Feature maps of an image network are passed in, [*B, H, W, C]; a patch is one position of them.
Source: Wang et al., "Image Inpainting via Generative Multi-column CNNs", NeurIPS 2018, section 3.2; DECA section 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments
from emoca_jax.products import precise_einsum

STYLE_LAYERS = ("relu3_2", "relu4_2")
CONTENT_LAYERS = ("relu4_2",)
"""By the official naming these are the activations after conv3_1 and conv4_1 of VGG-19; relu4_2 counts twice."""

BANDWIDTH = 0.5
"""h of the paper: how sharply the best match stands out."""
DISTANCE_FLOOR = 1e-5
"""Added to the smallest distance before dividing by it."""


@checks_arguments
def id_mrf(
    rendered: Mapping[str, Float[Array, "*batch _ _ _"]], target: Mapping[str, Float[Array, "*batch _ _ _"]]
) -> Float[Array, ""]:
    """Sum over style and content layers, and over the batch, of `patch_loss`.

    rendered, target: feature maps by layer name. Gradients flow to both; DECA's target is an input image.
    """
    return jnp.sum(style_and_content(rendered, target))


@checks_arguments
def style_and_content(
    rendered: Mapping[str, Float[Array, "*batch _ _ _"]], target: Mapping[str, Float[Array, "*batch _ _ _"]]
) -> Float[Array, "2"]:
    """The two parts of `id_mrf`: over the style layers and over the content layers."""
    each = {name: jnp.sum(patch_loss(rendered[name], target[name])) for name in {*STYLE_LAYERS, *CONTENT_LAYERS}}
    return jnp.stack([sum(each[name] for name in layers) for layers in (STYLE_LAYERS, CONTENT_LAYERS)])


@checks_arguments
def patch_loss(
    rendered: Float[Array, "*batch height width channels"], target: Float[Array, "*batch height width channels"]
) -> Float[Array, "*batch"]:
    """-log of the mean, over photo patches, of the best share that a rendered patch has in resembling it.

    Both maps are centred by the photo's mean over channels at each position, patches compared by cosine distance.
    Memory: (height * width)^2 numbers an image.
    """
    mean = jnp.mean(target, axis=-1, keepdims=True)
    of_rendered, of_target = _directions(rendered - mean), _directions(target - mean)
    distance = _distances(of_target, of_rendered)
    # For each rendered patch: how near the photo's patches are compared with the nearest one.
    relative = distance / (jnp.min(distance, axis=-2, keepdims=True) + DISTANCE_FLOOR)
    share = jax.nn.softmax((1 - relative) / BANDWIDTH, axis=-2)
    return -jnp.log(jnp.mean(jnp.max(share, axis=-1), axis=-1))


def _directions(maps: Float[Array, "*batch height width channels"]) -> Float[Array, "*batch patches channels"]:
    vectors = maps.reshape(*maps.shape[:-3], -1, maps.shape[-1])
    squared = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    # A patch without contrast has no direction; its zero vector is equally far from everything.
    return vectors * lax.rsqrt(jnp.where(squared > 0, squared, 1.0))


def _distances(
    first: Float[Array, "*batch patches channels"], second: Float[Array, "*batch patches channels"]
) -> Float[Array, "*batch patches patches"]:
    """(1 - cosine) / 2 of all pairs of directions, or of zero vectors.

    A face's black surroundings are thousands of all but equal directions, whose distances are divided by
    DISTANCE_FLOOR. They are measured from one of them, for 1 - cosine itself cannot fall below the rounding of 1.
    """
    usual = jnp.argmax(precise_einsum("...pc,...c->...p", first, jnp.mean(first, axis=-2)), axis=-1)
    origin = lax.stop_gradient(jnp.take_along_axis(first, usual[..., None, None], axis=-2))
    to_first, to_second = first - origin, second - origin
    # 1 - first.second is |to_first - to_second|^2 / 2 between directions, and 1/2 more with each zero vector.
    own_first, own_second = (
        jnp.sum(jnp.square(away), axis=-1) / 2 + jnp.where(jnp.any(vector != 0, axis=-1), 0.0, 0.5)
        for away, vector in ((to_first, first), (to_second, second))
    )
    between = precise_einsum("...tc,...rc->...tr", to_first, to_second)
    return jnp.maximum(own_first[..., :, None] + own_second[..., None, :] - between, 0.0) / 2

"""The identity network of the losses: VGGFace2's ResNet-50 (Cao et al., arXiv:1710.08092), fed as DECA feeds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.resnet import ResNet50
from emoca_jax.products import PRECISION

MEAN_BGR = (91.4953, 103.8827, 131.0912)
"""VGGFace2's mean colour, in 0..255."""
MARGIN = 10
"""Pixels cut off each side of the 224 before it is enlarged again."""


def preprocess(images: Float[AnyArray, "batch height width 3"]) -> Float[Array, "batch height width 3"]:
    """RGB in [0, 1] -> as the official loss feeds it: BGR in 0..255 less the mean colour, doubled less 1, no margin.

    Doubling less 1 is a leftover of [0, 1] images in the official code; the loss weights were chosen with it.
    """
    height, width = images.shape[1:3]
    x = images[..., ::-1] * 255 - jnp.array(MEAN_BGR)[None, None, None]
    x = x[:, MARGIN : height - MARGIN, MARGIN : width - MARGIN] * 2 - 1
    return jax.image.resize(x, images.shape, "bilinear", precision=PRECISION)


def identity_features(
    variables: Mapping, images: Float[AnyArray, "batch 224 224 3"], *, folded: bool = False, dtype: Any = jnp.float32
) -> Float[Array, "batch 2048"]:
    """Who is in the images (RGB in [0, 1]): pooled features, compared by their cosine. Differentiable to the images.

    `variables` are those of `ResNet50("vggface2")`; `folded` says that they went through `fold_batch_norms`.
    """
    network = ResNet50("vggface2", folded=folded, dtype=dtype)
    features: Any = network.apply(variables, preprocess(images))
    return features

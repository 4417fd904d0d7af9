"""Pixel differences of a rendering and a photo where a mask says that the face is.

Images [*B, H, W, 3] in [0, 1], masks [*B, H, W] in [0, 1].
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments

MaskKind = Literal["ground truth", "rendered", "intersection", "union"]
"""`useSeg: gt | rend | intersection | union` of the official configuration."""
AreaWeight = Literal["none", "covered", "uncovered", "inverse", "pixels"]
"""`photometric_normalization: mean | rel_mask_value | neg_rel_mask_value | inv_rel_mask_value | abs_mask_value`."""

ROBUST_COLOUR = 0.1
"""Colour error, of 1, beyond which a pixel counts as hair, glasses or a hand and pulls less."""


@checks_arguments
def photometric_mask(
    kind: MaskKind, rendered: Float[Array, "*batch height width"], truth: Float[Array, "*batch height width"] | None
) -> Float[Array, "*batch height width"]:
    """The mask to compare under: segmented face, rendered face, where both are, or where either is.

    Without a segmented face it is the rendered one, whatever the kind (as in the official code).
    """
    if truth is None or kind == "rendered":
        return rendered
    if kind == "ground truth":
        return truth
    if kind == "intersection":
        return rendered * truth
    return jnp.maximum(rendered, truth)


@checks_arguments
def photometric_distance(
    rendering: Float[Array, "*batch height width channels"],
    image: Float[Array, "*batch height width channels"],
    mask: Float[Array, "*batch height width"],
    *,
    area_weight: AreaWeight = "none",
) -> Float[Array, ""]:
    """Mean over all pixels and channels of mask * |rendering - image|.

    area_weight: multiplies each image by the part of it that the mask covers, the part it does not cover, one over the
    part it covers, or the number of pixels it covers. Source: DECA equation 6 with L1; the variants are EMOCA's.
    """
    each = jnp.mean(mask[..., None] * jnp.abs(rendering - image), axis=(-3, -2, -1))
    if area_weight == "none":
        return jnp.mean(each)
    covered = jnp.mean(mask, axis=(-2, -1))
    weights = {
        "covered": covered,
        "uncovered": 1 - covered,
        # An image without any face adds nothing instead of 0 / 0.
        "inverse": jnp.where(covered > 0, 1 / jnp.where(covered > 0, covered, 1.0), 0.0),
        "pixels": jnp.sum(mask, axis=(-2, -1)),
    }
    return jnp.mean(each * weights[area_weight])


@checks_arguments
def robust_photometric_distance(
    rendering: Float[Array, "*batch height width channels"],
    image: Float[Array, "*batch height width channels"],
    mask: Float[Array, "*batch height width"],
    *,
    scale: float = ROBUST_COLOUR,
) -> Float[Array, "*batch"]:
    """Mean over the mask of e / (1 + e), where e is the squared colour error over scale^2: hair, glasses and hands, far
    off, pull hardly more than `scale` (Geman and McClure 1987). Differentiable to the rendering."""
    error = jnp.sum((rendering - image) ** 2, axis=-1) / scale**2
    return jnp.sum(mask * error / (1 + error), axis=(-2, -1)) / jnp.maximum(jnp.sum(mask, axis=(-2, -1)), 1.0)

"""Vertex attributes at the pixels of a rasterised mesh."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from emoca_jax.render.rasterize import Fragments, at_pixels


@jax.jit
def interpolate(
    fragments: Fragments, attributes: Float[Array, "*batch vertices channels"], faces: Int[Array, "faces 3"]
) -> Float[Array, "*batch height width channels"]:
    """Barycentric mix of the corner attributes at each pixel, 0 on the background.

    attributes: one row per vertex, with the fragments' batch dimensions or none. faces: which rows each face uses;
    pass `uv_faces` with uv coordinates. Differentiable in `attributes` and in the fragments' barycentrics.
    """
    channels = attributes.shape[-1]
    # Whole faces are gathered first: one row of memory per pixel instead of three.
    per_face = attributes[..., faces, :].reshape(*attributes.shape[:-2], faces.shape[0], 3 * channels)
    corners = at_pixels(per_face, fragments.face_index)
    a, b, c = lax.split(corners, (channels,) * 3, axis=-1)
    weight_a, weight_b, weight_c = lax.split(fragments.barycentric, (1,) * 3, axis=-1)
    mixed = a * weight_a + b * weight_b + c * weight_c
    return jnp.where(fragments.face_index[..., None] >= 0, mixed, 0.0)

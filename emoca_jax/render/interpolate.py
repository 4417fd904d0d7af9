"""Vertex attributes at the pixels of a rasterised mesh."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.render.rasterize import Fragments, corners_of


def interpolate(
    fragments: Fragments, attributes: Float[Array, "*batch vertices channels"], faces: Int[Array, "faces 3"]
) -> Float[Array, "*batch height width channels"]:
    """Barycentric mix of the corner attributes at each pixel, 0 on the background.

    attributes: one row per vertex, with the fragments' batch dimensions or none. faces: which rows each face uses;
    pass `uv_faces` with uv coordinates. Differentiable in `attributes` and in the fragments' barycentrics.
    """
    corners = corners_of(attributes, faces, fragments.face_index)
    mixed = jnp.sum(corners * fragments.barycentric[..., None], axis=-2)
    return jnp.where(fragments.face_index[..., None] >= 0, mixed, 0.0)

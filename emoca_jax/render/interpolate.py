"""Vertex attributes at the pixels of a rasterised mesh."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Integer

from emoca_jax.arrays import checks_arguments
from emoca_jax.render.backends.per_image import for_each_image
from emoca_jax.render.rasterize import Fragments, at_pixels


@checks_arguments
@jax.jit
def interpolate(
    fragments: Fragments, attributes: Float[Array, "*#batch vertices channels"], faces: Integer[Array, "faces 3"]
) -> Float[Array, "*batch height width channels"]:
    """Barycentric mix of the corner attributes at each pixel, 0 on the background.

    attributes: one row per vertex, with the fragments' batch dimensions or none. faces: which rows each face uses;
    pass `uv_faces` with uv coordinates. Differentiable in `attributes` and in the fragments' barycentrics.
    """
    batch = fragments.face_index.shape[:-2]
    if attributes.ndim == 2:
        return for_each_image(lambda seen, weights: _mixed(seen, weights, attributes, faces), batch,
                              (fragments.face_index, fragments.barycentric))  # fmt: skip
    lead = jnp.broadcast_shapes(batch, attributes.shape[:-2])
    arrays = (fragments.face_index, fragments.barycentric, attributes)
    ranks = (2, 3, 2)
    arrays = tuple(jnp.broadcast_to(a, lead + a.shape[a.ndim - r :]) for a, r in zip(arrays, ranks, strict=True))
    return for_each_image(lambda seen, weights, own: _mixed(seen, weights, own, faces), lead, arrays)


def _mixed(face_index: Array, barycentric: Array, attributes: Array, faces: Array) -> Array:
    channels = attributes.shape[-1]
    # Whole faces are gathered first: one row of memory per pixel instead of three.
    corners = at_pixels(attributes[faces].reshape(faces.shape[0], 3 * channels), face_index)
    a, b, c = lax.split(corners, (channels,) * 3, axis=-1)
    weight_a, weight_b, weight_c = lax.split(barycentric, (1,) * 3, axis=-1)
    mixed = a * weight_a + b * weight_b + c * weight_c
    return jnp.where(face_index[..., None] >= 0, mixed, 0.0)

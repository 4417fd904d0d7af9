"""Vertex attributes at the pixels of a rasterised mesh."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Integer

from emoca_jax.arrays import checks_arguments
from emoca_jax.render.backends.choice import Backend, draws_natively
from emoca_jax.render.backends.native.colour import native_mix
from emoca_jax.render.backends.per_image import for_each_image
from emoca_jax.render.rasterize import Fragments, at_pixels


@checks_arguments
@functools.partial(jax.jit, static_argnames="backend")
def interpolate(
    fragments: Fragments, attributes: Float[Array, "*#batch vertices channels"], faces: Integer[Array, "faces 3"], *,
    backend: Backend | None = None,
) -> Float[Array, "*batch height width channels"]:  # fmt: skip
    """Barycentric mix of the corner attributes at each pixel, 0 on the background.

    attributes: one row per vertex, with the fragments' batch dimensions or none. faces: which rows each face uses;
    pass `uv_faces` with uv coordinates. backend: as for `rasterize`. Differentiable in `attributes` and in the
    fragments' barycentrics; by kernels in reverse mode only.
    """
    batch, image = fragments.face_index.shape[:-2], fragments.face_index.shape[-2:]
    index, weights = fragments.face_index, fragments.barycentric
    if attributes.ndim == 2:
        # All images in one long list.
        lead: tuple[int, ...] = ()
    else:
        lead = jnp.broadcast_shapes(batch, attributes.shape[:-2])
        index, weights = (
            jnp.broadcast_to(a, lead + a.shape[a.ndim - r :]) for a, r in ((index, 2), (weights, 3))
        )  # fmt: skip
        attributes = jnp.broadcast_to(attributes, lead + attributes.shape[-2:])
    arrays = index, weights, attributes
    shape = (*index.shape, attributes.shape[-1])

    def plain(index: Array, weights: Array, attributes: Array, faces: Array) -> Array:
        if not lead:
            return for_each_image(lambda seen, own: _mixed(seen, own, attributes, faces), batch, (index, weights))
        return for_each_image(lambda seen, weights, own: _mixed(seen, weights, own, faces), lead,
                              (index, weights, attributes))  # fmt: skip

    singles = weights.dtype == attributes.dtype == jnp.float32
    if not (draws_natively(backend, "colour") and singles and math.prod(shape) and attributes.size and faces.size):
        return plain(*arrays, faces)
    points = math.prod(image) if lead else math.prod(index.shape)

    def plainly(index: Array, weights: Array, attributes: Array, faces: Array) -> Array:
        pixels = shape[:-1]
        mixed = plain(index.reshape(pixels), weights.reshape(*pixels, 3), attributes, faces)
        return mixed.reshape(*lead, points, shape[-1])

    mixed = native_mix(
        jnp.asarray(index.reshape(*lead, points), jnp.int32), weights.reshape(*lead, points, 3), attributes,
        jnp.asarray(faces, jnp.int32), plainly,
    )  # fmt: skip
    return mixed.reshape(shape)


def _mixed(face_index: Array, barycentric: Array, attributes: Array, faces: Array) -> Array:
    channels = attributes.shape[-1]
    # Whole faces are gathered first: one row of memory per pixel instead of three.
    corners = at_pixels(attributes[faces].reshape(faces.shape[0], 3 * channels), face_index)
    # The background reads face 0, whose attributes may be no numbers: the weights' derivative would not be either.
    corners = jnp.where(face_index[..., None] >= 0, corners, 0.0)
    a, b, c = lax.split(corners, (channels,) * 3, axis=-1)
    weight_a, weight_b, weight_c = lax.split(barycentric, (1,) * 3, axis=-1)
    mixed = a * weight_a + b * weight_b + c * weight_c
    return jnp.where(face_index[..., None] >= 0, mixed, 0.0)

"""Normals of faces added up at their corners by kernels, differentiable once, in reverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.render.backends.choice import by_platform
from emoca_jax.render.backends.native.colour import called
from emoca_jax.render.backends.native.surface import beside, existing


def native_normal_sums(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], plain: Callable[..., Any]
) -> Float[Array, "*batch vertices 3"]:
    """The sum of the adjacent faces' normals, of length twice their area, at each vertex. plain: the same of the same
    arrays without kernels."""
    lead = vertices.shape[:-2]
    shape = jax.ShapeDtypeStruct(vertices.shape, jnp.float32)

    def kernel(vertices, faces):
        return called("normal_sums", shape)(vertices, beside(lead, faces))

    def pull(vertices, faces, cotangent):
        return called("normal_sums_derivative", shape)(vertices, beside(lead, faces), cotangent)

    def plain_pull(vertices, faces, cotangent):
        return jax.vjp(lambda own: plain(own, faces), vertices)[1](cotangent)[0]

    @jax.custom_vjp
    def sums(vertices, faces):
        return by_platform(kernel, plain, vertices, faces)

    def backward(kept, cotangent):
        return by_platform(pull, plain_pull, *kept, cotangent), None

    sums.defvjp(lambda *arrays: (sums(*arrays), arrays), backward)
    return sums(vertices, existing(faces, vertices.shape[-2]))

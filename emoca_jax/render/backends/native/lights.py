"""Shading by spherical-harmonics light by kernels, differentiable once, in reverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.render.backends.choice import by_platform
from emoca_jax.render.backends.native.colour import called, one_by_one
from emoca_jax.render.backends.native.surface import MANY_IMAGES, PARTS


def native_shade(
    normals: Float[Array, "batch points 3"], light: Float[Array, "batch 9 3"], plain: Callable[..., Any]
) -> Float[Array, "batch points 3"]:
    """The light's nine bands, factors in it, at unit normals. plain: the same of the same arrays without kernels."""

    def kernel(normals, light):
        return called("shade", jax.ShapeDtypeStruct(normals.shape, jnp.float32))(normals, light)

    def pull_normals(normals, light, cotangent):
        shape = jax.ShapeDtypeStruct(normals.shape, jnp.float32)
        return called("shade_to_normals", shape)(normals, light, cotangent)

    def pull_light(normals, light, cotangent):
        count = light.shape[0]
        parts = 1 if count >= MANY_IMAGES else PARTS
        shapes = [jax.ShapeDtypeStruct(own, jnp.float32) for own in (light.shape, (count, parts, *light.shape[1:]))]
        return called("shade_to_light", shapes)(normals, cotangent)[0]

    def plain_pull(normals, light, cotangent):
        return jax.vjp(plain, normals, light)[1](cotangent)

    @jax.custom_vjp
    def shade(normals, light):
        return by_platform(kernel, plain, normals, light)

    def backward(kept, cotangent):
        return one_by_one((pull_normals, pull_light), plain_pull, *kept, cotangent)

    shade.defvjp(lambda *arrays: (shade(*arrays), arrays), backward)
    return shade(normals, light)

"""Vertex attributes and textures at the pixels by kernels, differentiable once, in reverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emoca_jax.render.backends.choice import by_platform
from emoca_jax.render.backends.native.library import target
from emoca_jax.render.backends.native.surface import MANY_IMAGES, PARTS, beside

BLOCK = 64
"""Points in a row of which is known which rows of a texture they touch together."""


def native_mix(
    face_index: Int[Array, "*batch points"], weights: Float[Array, "*batch points 3"],
    attributes: Float[Array, "*batch rows channels"], faces: Int[Array, "faces 3"],
    plain: Callable[..., Any],
) -> Float[Array, "*batch points channels"]:  # fmt: skip
    """Attributes at the pixels, zero on the background. plain: the same of the same arrays without kernels."""
    lead, (rows, channels) = attributes.shape[:-2], attributes.shape[-2:]
    points = face_index.shape[-1:]

    def kernel(index, weights, attributes, faces):
        shape = jax.ShapeDtypeStruct((*lead, *points, channels), jnp.float32)
        return called("mix", shape)(index, weights, attributes, beside(lead, nearest_existing(faces, rows)))

    def pull_weights(index, weights, attributes, faces, cotangent):
        shape = jax.ShapeDtypeStruct((*lead, *points, 3), jnp.float32)
        return called("mix_to_weights", shape)(
            index, attributes, beside(lead, nearest_existing(faces, rows)), cotangent
        )

    def pull_attributes(index, weights, attributes, faces, cotangent):
        parts = 1 if lead and lead[0] >= MANY_IMAGES else PARTS
        shapes = [jax.ShapeDtypeStruct(own, jnp.float32) for own in (
            (*lead, rows, channels), (*lead, parts, rows, channels))]  # fmt: skip
        return called("mix_to_attributes", shapes)(index, weights, beside(lead, only_existing(faces, rows)), cotangent)[
            0
        ]

    @jax.custom_vjp
    def mix(index, weights, attributes, faces):
        return by_platform(kernel, plain, index, weights, attributes, faces)

    def backward(kept, cotangent):
        def plain_pull(index, weights, attributes, faces, cotangent):
            return jax.vjp(lambda own, corners: plain(index, own, corners, faces), weights, attributes)[1](cotangent)

        to_weights, to_attributes = one_by_one((pull_weights, pull_attributes), plain_pull, *kept, cotangent)
        return None, to_weights, to_attributes, None

    mix.defvjp(lambda *arrays: (mix(*arrays), arrays), backward)
    return mix(face_index, weights, attributes, faces)


def native_look_up(
    texels: Float[Array, "*batch height width channels"], points: Float[Array, "*batch points 2"], *,
    aligned: bool, zero: bool, plain: Callable[..., Any],
) -> Float[Array, "*batch points channels"]:  # fmt: skip
    """Colours at points of the image plane, bilinear. aligned: -1 and 1 are the centres of the outermost texels.
    zero: fades to zero outside. plain: the same of the same arrays without kernels."""
    lead, channels, count = texels.shape[:-3], texels.shape[-1], points.shape[-2]
    rules = {"a_aligned": np.int64(aligned), "b_zero": np.int64(zero)}

    def kernel(texels, points):
        shape = jax.ShapeDtypeStruct((*lead, count, channels), jnp.float32)
        return called("look_up", shape)(texels, points, **rules)

    def pull_texels(texels, points, cotangent):
        shapes = (
            jax.ShapeDtypeStruct(texels.shape, jnp.float32),
            jax.ShapeDtypeStruct((*lead, -(-count // BLOCK), 2), jnp.int32),
        )
        return called("look_up_to_texels", shapes)(points, cotangent, **rules)[0]

    def pull_points(texels, points, cotangent):
        shape = jax.ShapeDtypeStruct(points.shape, jnp.float32)
        return called("look_up_to_points", shape)(texels, points, cotangent, **rules)

    @jax.custom_vjp
    def look_up(texels, points):
        return by_platform(kernel, plain, texels, points)

    def backward(kept, cotangent):
        def plain_pull(texels, points, cotangent):
            return jax.vjp(plain, texels, points)[1](cotangent)

        return one_by_one((pull_texels, pull_points), plain_pull, *kept, cotangent)

    look_up.defvjp(lambda *arrays: (look_up(*arrays), arrays), backward)
    return look_up(texels, points)


def called(kernel: str, shapes: Any) -> Callable[..., Any]:
    """A kernel that gives arrays of these shapes; of arrays that `vmap` adds leading axes to, or ones."""
    return jax.ffi.ffi_call(target(kernel), shapes, vmap_method="expand_dims")


def one_by_one(pulls: tuple[Callable[..., Any], ...], plain: Callable[..., Any], *arrays: Any) -> tuple[Any, ...]:
    """What kernels give to several arrays, or `plain` to all of them at once, each by a call of its own: what nobody
    asks for is left out."""

    def only(which: int) -> Callable[..., Any]:
        return lambda *own: plain(*own)[which]

    return tuple(by_platform(pull, only(which), *arrays) for which, pull in enumerate(pulls))


def numbered(faces: Int[Array, "faces 3"], rows: int) -> Int[Array, "faces 3"]:
    """Faces as indexing takes them: negative numbers count from the last row."""
    return jnp.where(faces < 0, faces + rows, faces)


def nearest_existing(faces: Int[Array, "faces 3"], rows: int) -> Int[Array, "faces 3"]:
    """What stands for numbers outside: the nearest inside."""
    return jnp.clip(numbered(faces, rows), 0, rows - 1)


def only_existing(faces: Int[Array, "faces 3"], rows: int) -> Int[Array, "faces 3"]:
    """-1 for numbers outside, to which nothing is given."""
    own = numbered(faces, rows)
    return jnp.where((own >= 0) & (own < rows), own, -1)

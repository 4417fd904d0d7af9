"""The visible surface by kernels: what `rasterize` returns, differentiable in the vertices once, in reverse."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, Int, Shaped

from emoca_jax.render.backends.choice import by_platform
from emoca_jax.render.backends.native.library import target
from emoca_jax.render.backends.visible_faces import Rules

MANY_IMAGES, PARTS = 8, 4
"""A derivative is added up in this many parts of the image, or in one where there are many images."""
CULL = {"back": 1, "front": -1, None: 0}
SurfaceArrays = tuple[
    Int[Array, "*batch height width"], Float[Array, "*batch height width 3"], Float[Array, "*batch height width"]
]


def native_surface(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int], rules: Rules,
    plain: Callable[[Float[Array, "*batch vertices 3"], Int[Array, "faces 3"]], SurfaceArrays],
) -> SurfaceArrays:  # fmt: skip
    """Face index, barycentrics and depth. plain: the same without kernels, differentiable, for other platforms and for
    what kernels do not do."""
    attributes = {
        "a_cull": np.int64(CULL[rules.cull]), "b_near": np.float32(rules.near or 0.0),
        "c_official": np.int64(rules.official), "d_perspective": np.int64(rules.near is not None),
    }  # fmt: skip

    def called(kernel, shapes):
        return jax.ffi.ffi_call(target(kernel), shapes, vmap_method="expand_dims")

    def kernel(vertices, faces):
        batch = vertices.shape[:-2]
        shapes = (
            jax.ShapeDtypeStruct((*batch, *size), jnp.int32),
            jax.ShapeDtypeStruct((*batch, *size), jnp.float32),
            jax.ShapeDtypeStruct((*batch, faces.shape[-2], 2), jnp.int32),
        )
        own = beside(batch, faces)
        index, depth, _ = called("surface", shapes)(vertices, own, **attributes)
        # A call of its own, which XLA leaves out of programs that do not use the weights: they are most of the memory.
        weights = called("surface_weights", jax.ShapeDtypeStruct((*batch, *size, 3), jnp.float32))
        return index, weights(vertices, own, index, **attributes), depth

    def pull(asked, vertices, faces, index, to_weights, to_depth):
        parts = 1 if vertices.ndim > 2 and vertices.shape[0] >= MANY_IMAGES else PARTS
        shapes = (
            jax.ShapeDtypeStruct(vertices.shape, jnp.float32),
            jax.ShapeDtypeStruct((*vertices.shape[:-2], parts, *vertices.shape[-2:]), jnp.float32),
        )
        own = beside(vertices.shape[:-2], faces)
        by = {"e_by_weights": np.int64(asked[0]), "f_by_depth": np.int64(asked[1])}
        return called("surface_derivative", shapes)(vertices, own, index, to_weights, to_depth, **attributes, **by)[0]

    def plain_pull(vertices, faces, index, to_weights, to_depth):
        cotangents = jnp.broadcast_to(to_weights, (*index.shape, 3)), jnp.broadcast_to(to_depth, index.shape)
        return jax.vjp(lambda own: plain(own, faces)[1:], vertices)[1](cotangents)[0]

    @jax.custom_vjp
    def draw(vertices, faces):
        return by_platform(kernel, plain, vertices, faces)

    def forward(vertices, faces):
        surface = draw(vertices.value, faces.value)
        return surface, (vertices.value, faces.value, surface[0])

    def backward(kept, cotangents):
        # Zeros that are known to be some are not written to be read again.
        asked = tuple(not isinstance(cotangent, SymbolicZero) for cotangent in cotangents[1:])
        least = jnp.zeros((1, 1, 1)), jnp.zeros((1, 1))
        pushed = [cotangents[1 + i] if asked[i] else least[i] for i in range(2)]
        return by_platform(functools.partial(pull, asked), plain_pull, *kept, *pushed), None

    draw.defvjp(forward, backward, symbolic_zeros=True)
    return draw(vertices, existing(faces, vertices.shape[-2]))


def existing(faces: Int[Array, "faces 3"], vertices: int) -> Int[Array, "faces 3"]:
    """Faces with a corner that does not exist made to faces of no area: kernels read and write where they are told."""
    there = jnp.all((faces >= 0) & (faces < vertices), axis=-1, keepdims=True)
    return jnp.where(there, faces, 0)


def beside(lead: tuple[int, ...], shared: Shaped[Array, "*own"]) -> Shaped[Array, "*ones_and_own"]:
    """What all images share, to stand beside arrays with these leading axes, to which `vmap` adds in front."""
    return shared.reshape((1,) * len(lead) + shared.shape)

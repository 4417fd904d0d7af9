"""The visible surface by kernels: what `rasterize` returns, differentiable in the vertices once, in reverse."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from emoca_jax.render.backends.choice import by_platform
from emoca_jax.render.backends.kernels.library import target
from emoca_jax.render.backends.visible_faces import Rules

MANY_IMAGES, PARTS = 8, 4
"""A derivative is added up in this many parts of the image, or in one where there are many images."""
CULL = {"back": 1, "front": -1, None: 0}
Surface = tuple[
    Int[Array, "*batch height width"], Float[Array, "*batch height width 3"], Float[Array, "*batch height width"]
]


def native_surface(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int], rules: Rules,
    plain: Callable[[Float[Array, "*batch vertices 3"], Int[Array, "faces 3"]], Surface],
) -> Surface:  # fmt: skip
    """Face index, barycentrics and depth. plain: the same without kernels, differentiable, for other platforms and for
    what kernels do not do."""
    attributes = {
        "a_cull": np.int64(CULL[rules.cull]), "b_near": np.float32(rules.near or 0.0),
        "c_official": np.int64(rules.official), "d_perspective": np.int64(rules.near is not None),
    }  # fmt: skip

    def kernel(vertices, faces):
        batch = vertices.shape[:-2]
        shapes = (
            jax.ShapeDtypeStruct((*batch, *size), jnp.int32),
            jax.ShapeDtypeStruct((*batch, *size, 3), jnp.float32),
            *[jax.ShapeDtypeStruct((*batch, *size), jnp.float32)] * 2,
            jax.ShapeDtypeStruct((*batch, faces.shape[-2], 2), jnp.int32),
        )
        return tuple(jax.ffi.ffi_call(target("surface"), shapes, vmap_method="expand_dims")(
            vertices, each_image(faces, batch), **attributes)[:3])  # fmt: skip

    def pull(vertices, faces, index, to_weights, to_depth):
        parts = 1 if vertices.ndim > 2 and vertices.shape[0] >= MANY_IMAGES else PARTS
        shapes = (
            jax.ShapeDtypeStruct(vertices.shape, jnp.float32),
            jax.ShapeDtypeStruct((*vertices.shape[:-2], parts, *vertices.shape[-2:]), jnp.float32),
        )
        return jax.ffi.ffi_call(target("surface_derivative"), shapes, vmap_method="expand_dims")(
            vertices, each_image(faces, vertices.shape[:-2]), index, to_weights, to_depth, **attributes)[0]  # fmt: skip

    def plain_pull(vertices, faces, index, to_weights, to_depth):
        return jax.vjp(lambda own: plain(own, faces)[1:], vertices)[1]((to_weights, to_depth))[0]

    @jax.custom_vjp
    def draw(vertices, faces):
        return by_platform(kernel, plain, vertices, faces)

    def forward(vertices, faces):
        surface = draw(vertices, faces)
        return surface, (vertices, faces, surface[0])

    def backward(kept, cotangents):
        vertices, faces, index = kept
        _, to_weights, to_depth = cotangents
        return by_platform(pull, plain_pull, vertices, faces, index, to_weights, to_depth), None

    draw.defvjp(forward, backward)
    return draw(vertices, existing(faces, vertices.shape[-2]))


def existing(faces: Int[Array, "faces 3"], vertices: int) -> Int[Array, "faces 3"]:
    """Faces with a corner that does not exist made to faces of no area: kernels read and write where they are told."""
    there = jnp.all((faces >= 0) & (faces < vertices), axis=-1, keepdims=True)
    return jnp.where(there, faces, 0)


def each_image(values: Shaped[Array, "*own"], batch: tuple[int, ...]) -> Shaped[Array, "*batch_and_own"]:
    """Values for every image of a batch: kernels find them by leading axes, which `vmap` adds in front of these."""
    return jnp.broadcast_to(values, (*batch, *values.shape))

"""Surface normals of triangle meshes."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from emoca_jax.arrays import checks_arguments
from emoca_jax.render.backends.choice import Backend, draws_natively
from emoca_jax.render.backends.native.normals import native_normal_sums


@checks_arguments
def normalize(vectors: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
    """Vectors at length 1; those too short for their square to be a float32 become zero, with zero gradient."""
    return _divide_by_length(vectors, 1e-18, 0.0)


def _divide_by_length(vectors: Array, shortest: float, factor_below: float) -> Array:
    square = jnp.sum(vectors**2, axis=-1, keepdims=True)
    long = square > shortest**2
    return vectors * jnp.where(long, jax.lax.rsqrt(jnp.where(long, square, 1.0)), factor_below)


@checks_arguments
def face_normals(
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"]
) -> Float[Array, "*batch faces 3"]:
    """Normals of length twice the face's area, outwards for corners counter-clockwise seen from outside.

    Differentiable in `vertices`.
    """
    a, b, c = (vertices[..., faces[:, i], :] for i in range(3))
    return jnp.cross(b - a, c - a)


@checks_arguments
@functools.partial(jax.jit, static_argnames=("official", "backend"))
def vertex_normals(
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], *, official: bool = False,
    backend: Backend | None = None,
) -> Float[Array, "*batch vertices 3"]:  # fmt: skip
    """Unit normals at the vertices: the mean of the adjacent faces' normals weighted by their area.

    Vertices without a face of any area get zero. Differentiable; by kernels in reverse mode only. official: as in the
    reference, where twice the surrounding area stays below 1e-6 (a millimetre squared in metres) the normal stays
    shorter than 1. backend: as for `rasterize`.
    """
    if draws_natively(backend, "colour") and vertices.dtype == jnp.float32 and vertices.size and faces.size:
        total = native_normal_sums(vertices, jnp.asarray(faces, jnp.int32), _normal_sums)
    else:
        total = _normal_sums(vertices, faces)
    return _divide_by_length(total, 1e-6, 1e6) if official else normalize(total)


def _normal_sums(vertices: Array, faces: Array) -> Array:
    across = face_normals(vertices, faces)
    total = jnp.zeros_like(vertices)
    for corner in range(3):
        total = total.at[..., faces[:, corner], :].add(across)
    return total

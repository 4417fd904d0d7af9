"""Surface normals of triangle meshes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def normalize(vectors: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
    """Vectors at length 1; zero vectors stay zero, with zero gradient."""
    square = jnp.sum(vectors**2, axis=-1, keepdims=True)
    # Below this the square leaves the range of float32.
    usable = square > 1e-36
    return vectors * jnp.where(usable, jax.lax.rsqrt(jnp.where(usable, square, 1.0)), 0.0)


def face_normals(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"]
) -> Float[Array, "*batch faces 3"]:
    """Normals of length twice the face's area, outwards for corners counter-clockwise seen from outside."""
    a, b, c = (vertices[..., faces[:, i], :] for i in range(3))
    return jnp.cross(b - a, c - a)


def vertex_normals(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"]
) -> Float[Array, "*batch vertices 3"]:
    """Unit normals at the vertices: the mean of the adjacent faces' normals weighted by their area.

    Vertices without a face of any area get zero. Differentiable.
    """
    across = face_normals(vertices, faces)
    total = jnp.zeros_like(vertices)
    for corner in range(3):
        total = total.at[..., faces[:, corner], :].add(across)
    return normalize(total)

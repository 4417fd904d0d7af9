"""Which way textures run on a surface: what normal maps are measured against."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax import render
from emoca_jax.flame.head import FaceHead


@jax.jit
def uv_tangents(head: FaceHead, vertices: Float[Array, "vertices 3"]) -> Float[Array, "uvs 3"]:
    """Direction of growing u on the surface at each uv vertex, mean of the faces around it."""
    corners, uv = vertices[head.faces], head.uv[head.uv_faces]
    edge_1, edge_2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    step_1, step_2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    side = jnp.sign(step_1[:, :1] * step_2[:, 1:] - step_2[:, :1] * step_1[:, 1:])
    per_face = (edge_1 * step_2[:, 1:] - edge_2 * step_1[:, 1:]) * side
    total = jnp.zeros((len(head.uv), 3))
    for corner in range(3):
        total = total.at[head.uv_faces[:, corner]].add(per_face)
    return render.normalize(total)


def gltf_tangents(
    tangents: Float[np.ndarray, "corners 3"], normals: Float[np.ndarray, "corners 3"]
) -> Float[np.ndarray, "corners 4"]:
    """Unit tangents square to unit normals, and the sign that makes the bitangent cross(normal, tangent): always 1, as
    the normal map is made with it. Where u has no direction any tangent does."""
    spare = np.where(np.abs(normals[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    for _ in range(2):
        square = tangents - np.sum(tangents * normals, -1, keepdims=True) * normals
        length = np.linalg.norm(square, axis=-1, keepdims=True)
        tangents = np.where(length > 1e-3, square / np.maximum(length, 1e-3), spare)
    return np.concatenate([tangents, np.ones((len(normals), 1))], axis=-1).astype(np.float32)

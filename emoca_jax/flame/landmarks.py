"""Landmarks: points glued to the mesh, and the jaw line that slides to the visible outline as the head turns."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emoca_jax.arrays import checks_arguments
from emoca_jax.flame.head import FaceHead, LandmarkEmbedding
from emoca_jax.flame.rotations import yaw_degrees
from emoca_jax.flame.skinning import FlameOutput
from emoca_jax.products import precise_einsum

LARGEST_YAW_BIN = 39
"""The contour table has one row per degree up to this turn to either side; beyond it the last row stays (FLAME)."""


@checks_arguments
def points_on_mesh(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], embedding: LandmarkEmbedding
) -> Float[Array, "*points 3"]:
    """Positions of embedded points, in the frame and unit of `vertices`.

    vertices [*B, V, 3] and embedding rows [*R, L] broadcast to [*B, L, 3]: an embedding without rows serves the whole
    batch, one with rows gives each batch element its own points. Differentiable in vertices and barycentrics.
    """
    corner_index = faces[jnp.asarray(embedding.face_index)]
    if corner_index.ndim == 2:
        corners = vertices[..., corner_index, :]
    else:
        flat = corner_index.reshape(*corner_index.shape[:-2], -1, 1)
        corners = jnp.take_along_axis(vertices, flat, axis=-2).reshape(*flat.shape[:-2], *corner_index.shape[-2:], 3)
    return precise_einsum("...lck,...lc->...lk", corners, embedding.barycentric)


@checks_arguments
def contour_bin(rotation: Float[Array, "*batch 3 3"]) -> Int[Array, "*batch"]:
    """Row of the contour table for a head turned by `rotation` (world rotation of the neck joint).

    Rows 0..39 are 0..39 degrees to the subject's left, 40..78 are 1..39 degrees to the right; halves round to even.
    Piecewise constant: no gradient flows through the choice.
    """
    yaw = jnp.round(yaw_degrees(rotation)).astype(jnp.int32)
    turn = jnp.minimum(jnp.abs(yaw), LARGEST_YAW_BIN)
    return jnp.where(yaw < 0, LARGEST_YAW_BIN + turn, turn)


@checks_arguments
def contour_at(head: FaceHead, rotation: Float[Array, "*batch 3 3"]) -> LandmarkEmbedding:
    """The 17 jaw-line points for each turned head, as an embedding with rows [*B, 17]."""
    row = contour_bin(rotation)
    table = jax.tree.map(jnp.asarray, head.landmarks_contour)
    return LandmarkEmbedding(table.face_index[row], table.barycentric[row])


def landmarks68(head: FaceHead, output: FlameOutput) -> Float[Array, "*batch 68 3"]:
    """The 68 landmarks as a detector sees them: 17 on the visible jaw line, then 51 fixed; world frame, metres.

    The jaw line follows the turn of the neck joint in the world (global and neck rotation together).
    """
    neck = head.joint_names.index("neck")
    rotation = jnp.broadcast_to(output.rotations[..., neck, :, :], (*output.vertices.shape[:-2], 3, 3))
    contour = points_on_mesh(output.vertices, head.faces, contour_at(head, rotation))
    static = points_on_mesh(output.vertices, head.faces, head.landmarks_static)
    return jnp.concatenate([contour, static], axis=-2)


@checks_arguments
def landmarks68_fixed(head: FaceHead, vertices: Float[Array, "*batch vertices 3"]) -> Float[Array, "*batch 68 3"]:
    """The 68 landmarks as anatomical points that stay on the skin however the head turns; frame of `vertices`."""
    return points_on_mesh(vertices, head.faces, head.landmarks_full)


@checks_arguments
def landmarks_mediapipe(head: FaceHead, vertices: Float[Array, "*batch vertices 3"]) -> Float[Array, "*batch points 3"]:
    """Points of MediaPipe's face mesh; row i is MediaPipe's point `head.mediapipe_index[i]`; frame of `vertices`."""
    return points_on_mesh(vertices, head.faces, head.landmarks_mediapipe)

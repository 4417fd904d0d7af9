"""A head reduced to the vertices under a set of mesh points, so that a landmark fit poses 1,000 vertices, not 5,000."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emoca_jax.flame.head import FaceHead, LandmarkEmbedding
from emoca_jax.products import precise_einsum


def point_head(head: FaceHead, embedding: LandmarkEmbedding) -> tuple[FaceHead, LandmarkEmbedding]:
    """The smallest head on which `embedding`'s points move exactly as on `head`, and the embedding on it.

    Joints keep their place: each becomes one extra vertex that already holds its regressed position per code, so
    `flame.forward` on the result gives the same joints and the same points (FLAME regresses joints from the shaped,
    unposed vertices, which is linear). Faces hold the embedding's triangles only; uv and albedo are dropped.
    """
    corners = np.asarray(head.faces)[np.asarray(embedding.face_index)]
    kept, local = np.unique(corners, return_inverse=True)
    regressor = np.asarray(head.joint_regressor, np.float32)
    joints = regressor.shape[0]

    def reduced(per_vertex: object) -> np.ndarray:
        values = np.asarray(per_vertex, np.float32)
        return np.concatenate([values[kept], np.tensordot(regressor, values, axes=1)])

    points = LandmarkEmbedding(
        face_index=jax.device_put(np.arange(corners.shape[0], dtype=np.int32)),
        barycentric=jax.device_put(np.asarray(embedding.barycentric)),
    )
    small = head.replace(
        template=reduced(head.template),
        shape_dirs=reduced(head.shape_dirs),
        expression_dirs=reduced(head.expression_dirs),
        pose_dirs=reduced(head.pose_dirs),
        skin_weights=reduced(head.skin_weights),
        joint_regressor=np.concatenate([np.zeros((joints, len(kept))), np.eye(joints)], axis=1, dtype=np.float32),
        faces=local.reshape(-1, 3).astype(np.int32),
        uv=np.zeros((1, 2), np.float32),
        uv_faces=np.zeros((corners.shape[0], 3), np.int32),
        face_part=np.zeros(corners.shape[0], np.int32),
        landmarks_mediapipe=points,
        landmark_lag=None,
        albedo=None,
        mesh_edges=None,
    )
    # All in NumPy until here: on the device every step would be a program of its own to compile.
    return jax.device_put((small, points))


def mixed_head(head: FaceHead, corners: Int[Array, "points 3"], shares: Float[Array, "points 3"]) -> FaceHead:
    """A head without faces whose first vertices are points of `head`'s, and the others its joints, as in `point_head`.

    corners: vertices that each point is a mixture of, by `shares`, which sum to 1. A point moves as the mixture does,
    but for where skinning weights and their product with what they move differ between its corners. Traceable.
    """
    joints, count = head.joint_regressor.shape[0], corners.shape[0]

    def mixed(per_vertex: Array) -> Array:
        points = precise_einsum("pc,pc...->p...", shares, per_vertex[corners])
        return jnp.concatenate([points, precise_einsum("jv,v...->j...", head.joint_regressor, per_vertex)])

    none = jnp.zeros((0, 3), jnp.int32)
    return head.replace(
        template=mixed(head.template),
        shape_dirs=mixed(head.shape_dirs),
        expression_dirs=mixed(head.expression_dirs),
        pose_dirs=mixed(head.pose_dirs),
        skin_weights=mixed(head.skin_weights),
        joint_regressor=jnp.concatenate([jnp.zeros((joints, count)), jnp.eye(joints)], axis=1),
        faces=none,
        uv=jnp.zeros((1, 2)),
        uv_faces=none,
        face_part=none[:, 0],
        landmark_lag=None,
        albedo=None,
        mesh_edges=None,
    )

"""A head reduced to the vertices that a set of mesh points hangs on, so that a landmark fit poses 1,000 vertices, not 5,000."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from emoca_jax.flame.head import FaceHead, LandmarkEmbedding


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

    def reduced(per_vertex: object) -> jnp.ndarray:
        values = np.asarray(per_vertex, np.float32)
        return jnp.asarray(np.concatenate([values[kept], np.tensordot(regressor, values, axes=1)]))

    points = LandmarkEmbedding(
        face_index=jnp.arange(corners.shape[0], dtype=jnp.int32), barycentric=jnp.asarray(embedding.barycentric)
    )
    small = head.replace(
        template=reduced(head.template),
        shape_dirs=reduced(head.shape_dirs),
        expression_dirs=reduced(head.expression_dirs),
        pose_dirs=reduced(head.pose_dirs),
        skin_weights=reduced(head.skin_weights),
        joint_regressor=jnp.concatenate([jnp.zeros((joints, len(kept))), jnp.eye(joints)], axis=1),
        faces=jnp.asarray(local.reshape(-1, 3).astype(np.int32)),
        uv=jnp.zeros((0, 2)),
        uv_faces=jnp.zeros((0, 3), jnp.int32),
        face_part=jnp.zeros((corners.shape[0],), jnp.int32),
        landmarks_mediapipe=points,
        albedo=None,
    )
    return small, points

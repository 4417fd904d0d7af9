"""A tiny random head for tests that need no anatomy: quick to trace, awkward sizes."""

import numpy as np

from emoca_jax.flame import AlbedoModel, FaceHead, LandmarkEmbedding
from emoca_jax.render import mesh_edges

VERTICES, FACES, SHAPES, EXPRESSIONS, POINTS = 23, 31, 4, 3, 7


def small_head(correctives: int = 36) -> FaceHead:
    draw = np.random.default_rng(3)

    def numbers(*shape: int) -> np.ndarray:
        return draw.normal(0, 0.1, shape).astype(np.float32)

    def weights(*shape: int) -> np.ndarray:
        raw = draw.uniform(0.1, 1, shape)
        return (raw / raw.sum(-1, keepdims=True)).astype(np.float32)

    def embedding(*shape: int) -> LandmarkEmbedding:
        return LandmarkEmbedding(draw.integers(0, FACES, shape).astype(np.int32), weights(*shape, 3))

    faces = np.stack([draw.permutation(VERTICES)[:3] for _ in range(FACES)]).astype(np.int32)
    return FaceHead(
        template=numbers(VERTICES, 3),
        shape_dirs=numbers(VERTICES, 3, SHAPES),
        expression_dirs=numbers(VERTICES, 3, EXPRESSIONS),
        pose_dirs=numbers(VERTICES, 3, correctives),
        joint_regressor=weights(5, VERTICES),
        skin_weights=weights(VERTICES, 5),
        faces=faces,
        uv=draw.uniform(0, 1, (VERTICES, 2)).astype(np.float32),
        uv_faces=faces,
        face_part=np.zeros(FACES, np.int32),
        landmarks_static=embedding(51),
        landmarks_contour=embedding(79, 17),
        landmarks_full=embedding(68),
        landmarks_mediapipe=embedding(POINTS),
        mediapipe_index=np.arange(POINTS, dtype=np.int32),
        albedo=AlbedoModel(
            draw.uniform(0, 1, (4, 5, 3)).astype(np.float32), numbers(4, 5, 3, 2), names=("darker", "redder")
        ),
        mesh_edges=mesh_edges(faces),
        expression_names=("smile", "frown", "blink"),
        name="small",
        bounded_expression=True,
    )

"""A made-up person: a ball with two small balls for eyes, and all a FaceResult holds."""

from pathlib import Path

import numpy as np

from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.faces import Emotion
from emoca_jax.flame import AlbedoModel, FaceHead, LandmarkEmbedding
from emoca_jax.jobs.result import FaceResult
from emoca_jax.model import pose

UNITS = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft")


def ball(centre, radius, rows=9, columns=12):
    """Vertices, faces, uv, uv_faces; the uv has a seam behind, where the surface has none."""
    polar, turn = np.meshgrid(np.linspace(0, np.pi, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    points = np.stack([np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)], -1)
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(1, 0, rows))
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")

    def quads(width, wrap):
        right = (column + 1) % wrap
        a, b = row * width + column, row * width + right
        c, d = (row + 1) * width + column, (row + 1) * width + right
        return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])

    # Front (+z) in the middle of the texture.
    points = np.roll(points, columns // 2, axis=1)
    return (
        points.reshape(-1, 3) * radius + centre,
        quads(columns, columns),
        np.stack([u, v], -1).reshape(-1, 2),
        quads(columns + 1, columns + 1),
    )


def made_up_head(correctives: bool = False) -> FaceHead:
    draw = np.random.default_rng(0)
    parts = [ball((0, 0, 0), 0.1), ball((0.03, 0.03, 0.08), 0.015, 5, 6), ball((-0.03, 0.03, 0.08), 0.015, 5, 6)]
    counts = np.cumsum([0, *(len(part[0]) for part in parts)])
    uv_counts = np.cumsum([0, *(len(part[2]) for part in parts)])
    template = np.concatenate([part[0] for part in parts]).astype(np.float32)
    faces = np.concatenate([part[1] + start for part, start in zip(parts, counts, strict=False)]).astype(np.int32)
    uv = np.concatenate([part[2] * [1, 0.5] + [0, 0.5 * (i == 0)] for i, part in enumerate(parts)])
    uv_faces = np.concatenate([part[3] + start for part, start in zip(parts, uv_counts, strict=False)])
    vertices = len(template)

    skin = np.zeros((vertices, 5), np.float32)
    height = np.clip((template[:, 1] + 0.1) / 0.2, 0, 1)
    low_front = np.clip(template[:, 2] / 0.1, 0, 1) * (height < 0.4)
    skin[:, 0], skin[:, 1], skin[:, 2] = 1 - height, height * (1 - low_front), height * low_front
    for eye in (1, 2):
        skin[counts[eye] : counts[eye + 1]] = np.eye(5)[2 + eye]
    regressor = np.zeros((5, vertices), np.float32)
    regressor[:3] = draw.dirichlet(np.ones(vertices) * 0.3, 3)
    for eye in (1, 2):
        regressor[2 + eye, counts[eye] : counts[eye + 1]] = 1 / (counts[eye + 1] - counts[eye])
    near = np.exp(-((template[:, None] - template[[40, 45, 50, 60]]) ** 2).sum(-1) / 0.03**2)
    expression = near[:, None, :] * draw.normal(0, 0.01, (1, 3, 4))
    expression[np.abs(expression) < 1e-4] = 0

    def embedding(*shape):
        corner = draw.dirichlet(np.ones(3), shape)
        return LandmarkEmbedding(draw.integers(0, len(parts[0][1]), shape).astype(np.int32), corner.astype(np.float32))

    return FaceHead(
        template=template,
        shape_dirs=(template[..., None] * np.eye(3) * 0.05).astype(np.float32),  # wider, taller, deeper
        expression_dirs=expression.astype(np.float32),
        pose_dirs=draw.normal(0, 0.01, (vertices, 3, 36 if correctives else 0)).astype(np.float32),
        joint_regressor=regressor,
        skin_weights=skin,
        faces=faces,
        uv=uv.astype(np.float32),
        uv_faces=uv_faces.astype(np.int32),
        face_part=np.repeat([0, 1, 1], [len(part[1]) for part in parts]).astype(np.int32),
        landmarks_static=embedding(51),
        landmarks_contour=embedding(79, 17),
        landmarks_full=embedding(68),
        landmarks_mediapipe=embedding(30),
        mediapipe_index=np.arange(30, dtype=np.int32),
        albedo=AlbedoModel(np.full((4, 4, 3), 0.6, np.float32), np.zeros((4, 4, 3, 2), np.float32), ("dark", "red")),
        expression_names=UNITS,
        part_names=("skin", "eyes"),
        name="made-up",
        bounded_expression=True,
    )


def made_up_face(head: FaceHead | None = None, source: str | None = "photos/Anna Lee.jpg") -> FaceResult:
    head = made_up_head() if head is None else head
    assert head.albedo is not None
    draw = np.random.default_rng(1)
    codes = Codes(
        shape=draw.normal(0, 1, head.shape_dirs.shape[-1]).astype(np.float32),
        expression=draw.uniform(0, 0.8, head.expression_dirs.shape[-1]).astype(np.float32),
        pose=np.float32([[0.1, 0.3, -0.05], [0, 0, 0]]),
        jaw=np.float32([0.12, 0, 0]),
        eyes=np.float32([[0.05, 0.1, 0], [0.05, 0.12, 0]]),
        camera=np.float32([8, 0.005, -0.01]),
        light=np.float32([[3.5] * 3, [0] * 3, [0.8] * 3, [0.3] * 3, *[[0] * 3] * 5]),
        albedo=np.zeros(head.albedo.basis.shape[-1], np.float32),
    )
    posed = pose(head, codes)
    height, width = 150, 200
    photo = np.full((height, width, 3), (90, 110, 140), np.uint8)
    photo[30:120, 60:140] = (200, 160, 130)
    half = 60.0
    crop = np.array([[half, 0, 100], [0, half, 75], [0, 0, 1]], np.float32)
    landmarks = np.concatenate([draw.uniform(60, 130, (478, 2)), np.zeros((478, 1))], -1).astype(np.float32)
    points = len(head.mediapipe_index)
    return FaceResult(
        photo=photo,
        photo_scale=np.float32([2, 2]),
        source=Path(source) if source else None,
        face=0,
        box=np.float32([60, 30, 140, 120]),
        score=0.93,
        landmarks=landmarks,
        fitted_landmarks=landmarks[head.mediapipe_index, :2] + np.float32([0.4, -0.2]),
        landmark_visible=np.arange(points) % 3 > 0,
        crop=crop,
        head=head,
        codes=codes,
        vertices=np.asarray(posed.vertices),
        neutral_vertices=np.asarray(flame.unposed_vertices(head, codes.shape, 0 * codes.expression)),
        texture=draw.integers(0, 255, (64, 64, 3), np.uint8),
        photo_texture=draw.integers(0, 255, (64, 64, 3), np.uint8),
        emotion=Emotion(
            photo={"neutral": 0.2, "happy": 0.7, "sad": 0.1},
            rendering={"neutral": 0.3, "happy": 0.65, "sad": 0.05},
            valence=0.62,
            arousal=0.21,
        ),
        fit_error=0.41,
        seconds=1.5,
    )

"""Where MediaPipe's network sees its points on the head: rendered many times, detected, put back on the surface."""

from __future__ import annotations

import numpy as np

from emoca_jax.capture.detect import detect_faces, load_networks

from .landmarks import View, embed
from .mesh import HeadMesh
from .picture import draw, light_from, turn
from .surface_points import Embedding
from .units import UNITS

PICTURE_SIZE = 384
SCALE = 0.62
"""Half sides of the picture per decimetre: the head fills it."""
CENTRE = np.array([0.0, -0.35, 0.2])
POSES = ((0, 0), (20, 3), (-20, -3), (0, 10), (0, -10), (38, -4), (-38, 4), (0, 0))
EXPRESSIONS = (
    {},
    {"jawOpen": 0.35},
    {"mouthSmileLeft": 0.4, "mouthSmileRight": 0.4, "jawOpen": 0.2},
    {"browInnerUp": 0.4, "eyeWideLeft": 0.4, "eyeWideRight": 0.4, "jawOpen": 0.25},
)
MOUTH_OPEN = 0.15
"""From this much jawOpen on, upper and lower lip are told apart in the picture."""
LIGHTS = ((0.2, 0.5, 1.0), (-0.5, 0.4, 0.8), (0.5, 0.2, 0.9))
IDENTITY_SPREAD = 0.7
SEED = 3


def find_points(
    mesh: HeadMesh, template: np.ndarray, shape_dirs: np.ndarray, expression_dirs: np.ndarray, uv: np.ndarray,
    uv_faces: np.ndarray, mean: np.ndarray, basis: np.ndarray, regions: dict[str, np.ndarray], rounds: int,
) -> Embedding:  # fmt: skip
    """The 468 points from `rounds` random people in every pose and several expressions; round 0 is the mean head."""
    random = np.random.default_rng(SEED)
    networks = load_networks()
    views = []
    for round_ in range(rounds):
        spread = 0.0 if round_ == 0 else IDENTITY_SPREAD
        person = template + shape_dirs @ (spread * random.normal(size=shape_dirs.shape[-1]))
        texture = np.clip(mean + basis @ (spread * random.normal(size=basis.shape[-1])), 0, 1)
        for number, (yaw, pitch) in enumerate(POSES):
            expression = EXPRESSIONS[(number + round_) % len(EXPRESSIONS)]
            vertices = person + expression_dirs @ np.array([expression.get(unit, 0.0) for unit in UNITS])
            light = light_from(LIGHTS[(number + round_) % len(LIGHTS)])
            picture, face_index, pixels = draw(
                vertices, mesh.faces, uv, uv_faces, texture, turn(yaw, pitch), CENTRE, SCALE, light, PICTURE_SIZE
            )
            faces = detect_faces(networks, np.round(picture * 255).astype(np.uint8))
            if faces:
                is_open = expression.get("jawOpen", 0) >= MOUTH_OPEN
                views.append(View(pixels, face_index, faces[0].landmarks, is_open, yaw == 0 and not expression))
    print(f"landmark network: {len(views)} of {rounds * len(POSES)} pictures")
    return embed(views, template, mesh.faces, mesh.mirror, regions)

"""The 3D side of open faces alone: what EMO-MLP learns from, ten thousand faces in seconds, none of them drawn."""

from __future__ import annotations

import numpy as np

from data_pipelines.open_faces.recipe import recipe
from emoca_jax.flame.head import FaceHead


def coded_faces(head: FaceHead, seed: int, count: int) -> dict[str, np.ndarray]:
    """Faces 0 to `count` of the dataset `seed`: `codes` [count, units] (the head's expression code), `expression`,
    `valence` and `arousal` [count]."""
    tones = () if head.albedo is None else tuple(head.albedo.names)
    shapes = head.shape_dirs.shape[-1]
    shown = [recipe(head.expression_names, shapes, tones, seed, index).shown for index in range(count)]
    return {
        "codes": np.stack([face.units for face in shown]).astype(np.float32),
        "expression": np.array([face.label for face in shown], np.int32),
        "valence": np.array([face.valence for face in shown], np.float32),
        "arousal": np.array([face.arousal for face in shown], np.float32),
    }

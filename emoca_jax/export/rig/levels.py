"""Levels of detail: the head's own triangles, and fewer of them over the same vertices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from emoca_jax.flame.head import FaceHead


class Surface(NamedTuple):
    """Triangles over a head's vertices, as `FaceHead` keeps them."""

    faces: Int[np.ndarray, "faces 3"]
    uv_faces: Int[np.ndarray, "faces 3"]
    face_part: Int[np.ndarray, "faces"]


def whole_surface(head: FaceHead) -> Surface:
    """All triangles of the head."""
    return Surface(np.asarray(head.faces), np.asarray(head.uv_faces), np.asarray(head.face_part))

"""What a head without MediaPipe's embedding is compared with: the 51 inner ones of the 68 landmarks."""

from __future__ import annotations

import numpy as np

from emoca_jax.flame.head import FaceHead
from emoca_jax.mediapipe_points import INNER_OF_68


def with_landmarks(head: FaceHead) -> FaceHead:
    """The head itself, or with its inner landmarks in place of MediaPipe's where it has none of those."""
    if len(head.mediapipe_index):
        return head
    return head.replace(landmarks_mediapipe=head.landmarks_static, mediapipe_index=np.array(INNER_OF_68, np.int32))

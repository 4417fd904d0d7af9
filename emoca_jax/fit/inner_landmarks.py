"""What a head without MediaPipe's embedding is compared with: the 51 inner ones of the 68 landmarks."""

from __future__ import annotations

import numpy as np

from emoca_jax.flame.head import FaceHead

INNER_LANDMARKS = (
    *(70, 63, 105, 66, 107),  # right brow
    *(336, 296, 334, 293, 300),  # left brow
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144),  # right eye
    *(362, 385, 387, 263, 373, 380),  # left eye
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
)
"""Of MediaPipe's 478 points those nearest to points 17-67 of the 68-point markup (Sagonas et al. 2013, 300 faces in the
wild)."""


def with_landmarks(head: FaceHead) -> FaceHead:
    """The head itself, or with its inner landmarks in place of MediaPipe's where it has none of those."""
    if len(head.mediapipe_index):
        return head
    return head.replace(landmarks_mediapipe=head.landmarks_static, mediapipe_index=np.array(INNER_LANDMARKS, np.int32))

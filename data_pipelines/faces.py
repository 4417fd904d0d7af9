"""Fields that datasets of faces share, so that one loader and one set of augmentations serve them all.

Positions are pixels of the picture as it is stored; whole numbers are pixel centres, as in the official code. EXIF
orientation is not applied, by the official code neither.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

from data_pipelines.samples import Field, Label, Numbers, Picture, Words
from emoca_jax.capture.official_crop import official_square
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES

PICTURE = Picture("The picture, encoded as it came.")
FACE = Numbers(
    "Centre x, y and side of the square around the face, before any margin, in pixels: the official crop is 1.25 times "
    "as large, that of the NoW evaluation 1.6 times.",
    (3,),
)
BOX = Numbers("Left, top, right, bottom of the face detector's box, in pixels.", (4,))
LANDMARKS = Numbers("68 landmarks x, y in pixels, in the order of iBUG.", (68, 2))
EXPRESSION = Label("What the face expresses, in AffectNet's order.", AFFECTNET_CLASSES)
VALENCE = Numbers("From unpleasant, -1, to pleasant, 1.")
AROUSAL = Numbers("From calm, -1, to excited, 1.")
IDENTITY = Words("Who it is, as the dataset calls them.")
FILE = Words("The picture's file in the official folder.")

FIELDS: dict[str, Field] = {"image": PICTURE, "file": FILE}
"""What every one of them has."""


def face_square(box: Float[np.ndarray, "4"], kind: Literal["landmarks", "detector"]) -> Float[np.ndarray, "3"]:
    """`FACE` of a box around landmarks, or of a face detector's."""
    square = official_square(np.asarray(box, np.float64), kind)
    return np.array([*square.centre, square.face_size], np.float32)


def box_of(landmarks: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "4"]:
    """The smallest box around landmarks: left, top, right, bottom."""
    return np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])

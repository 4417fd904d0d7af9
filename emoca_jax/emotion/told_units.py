"""The expression units that a fit begins with: read off landmarks and in the picture, each where it sees better.

Measured on drawn people, whose units are known (benchmarks/drawn_units.py), and held against real photos.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emoca_jax.emotion.units import ARKIT_UNITS
from emoca_jax.nets.emotion.affect import AffectRead

EITHER = ("mouthFrown",)
"""Units, by name stem, of which folds in the picture tell what landmarks do not, and landmarks where there are no folds
(the landmark network follows a frown half of the way): shown as if each of two witnesses saw a part of them."""
PICTURE_SHARE = {"browDown": 0.7, "eyeWide": 0.5, "jawOpen": 0.5, "mouthSmile": 0.9}
"""How much of a unit is the picture's to tell, by name stem; the rest, and all other units, are the landmarks'."""
GRAVE = {"mouthFrown": 0.2}
"""What the picture reader says of people at rest who look grave, which is no expression."""
GAIN = {
    "browDown": 1.5,
    "mouthFrown": 2.0,
    "mouthFunnel": 2.0,
    "mouthLeft": 1.5,
    "mouthPress": 2.0,
    "mouthRight": 1.5,
}
"""How many times as strong as they are read off landmarks units are taken for: where little else is read as them, and
landmarks of nine photos are explained as well as without."""


def _by_unit(table: dict[str, float], otherwise: float) -> np.ndarray:
    """Of each of `ARKIT_UNITS` the entry of the key that its name begins with."""
    entry = [next((value for key, value in table.items() if name.startswith(key)), otherwise) for name in ARKIT_UNITS]
    return np.array(entry, np.float32)


SHARES, EITHERS = _by_unit(PICTURE_SHARE, 0.0), _by_unit(dict.fromkeys(EITHER, 1.0), 0.0)
GAINS, GRAVES = _by_unit(GAIN, 1.0), _by_unit(GRAVE, 0.0)
"""The tables, of each of `ARKIT_UNITS`."""


def told_units(off_landmarks: Float[np.ndarray, "52"], picture: AffectRead) -> Float[np.ndarray, "52"]:
    """Strengths of `ARKIT_UNITS`, 0 to 1, of one face.

    off_landmarks: as `landmark_units` reads them. picture: as `read_picture` reads the face's pixels.
    """
    assert picture.unit_logits is not None
    seen = 1 / (1 + np.exp(-np.asarray(picture.unit_logits, np.float32)))
    seen = np.maximum(seen - GRAVES, 0) / (1 - GRAVES)
    read = np.clip(GAINS * np.asarray(off_landmarks, np.float32), 0, 1)
    return np.where(EITHERS > 0, 1 - (1 - seen) * (1 - read), SHARES * seen + (1 - SHARES) * read).astype(np.float32)

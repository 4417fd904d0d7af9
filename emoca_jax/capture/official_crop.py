"""The official crop, to the pixel: what the released networks were evaluated on.

Positions here are the official code's: whole numbers are pixel centres (in `crop.py` they are pixel edges). Everything
in float64 NumPy. Source: DECA's TestData, EMOCA's bbox2point and bbpoint_warp, scikit-image's warp.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

LANDMARK_MARGIN = 1.1
"""A box around landmarks is taken this much larger."""
BOX_SHIFT = 0.12
"""A detector's box is shifted down by this part of its size."""
MARGIN = 1.25
"""Of the crop around the face; the NoW evaluation uses 1.6."""


class OfficialCrop(NamedTuple):
    """A square of the image."""

    centre: Float[np.ndarray, "2"]
    """x, y in image pixels."""
    face_size: float
    size: int
    """Side of the square: face_size times the margin, cut off to whole pixels."""


def official_square(
    box: Float[np.ndarray, "4"], kind: Literal["landmarks", "detector"], *, margin: float = MARGIN
) -> OfficialCrop:
    """The square to crop for a box (left, top, right, bottom) around landmarks, or of a face detector."""
    left, top, right, bottom = (float(side) for side in box)
    size = (right - left + bottom - top) / 2
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    if kind == "landmarks":
        size *= LANDMARK_MARGIN
    else:
        centre[1] += BOX_SHIFT * size
    return OfficialCrop(centre, size, int(size * margin))


def official_transform(centre: Float[np.ndarray, "2"], size: float, pixels: int) -> Float[np.ndarray, "3 3"]:
    """Homogeneous matrix from image to crop positions: the square's corners go to the centres of the corner pixels."""
    scale = (pixels - 1) / size
    offset = (size / 2 - np.asarray(centre, np.float64)) * scale
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1]])


def official_warp(
    image: Float[np.ndarray, "height width channels"],
    transform: Float[np.ndarray, "3 3"],
    pixels: int,
    *,
    order: Literal[1, 3] = 1,
) -> Float[np.ndarray, "pixels pixels channels"]:
    """The image through the inverse of `transform`, black outside it, without smoothing.

    order: 1 bilinear, 3 bicubic (Catmull-Rom) kept within the image's range of values.
    """
    inverse = np.linalg.inv(transform)
    columns, rows = np.meshgrid(np.arange(pixels), np.arange(pixels))
    x, y = np.tensordot(inverse[:2], np.stack([columns, rows, np.ones_like(rows)]), axes=1)
    taps = 2 if order == 1 else 4
    first_x, first_y = (np.floor(place).astype(int) - (taps // 2 - 1) for place in (x, y))
    weights = _linear if order == 1 else _catmull_rom
    weights_x, weights_y = weights(x - np.floor(x)), weights(y - np.floor(y))
    height, width = image.shape[:2]
    result = np.zeros((pixels, pixels, image.shape[2]))
    for i in range(taps):
        for j in range(taps):
            row, column = first_y + i, first_x + j
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            values = image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
            result += values * (inside * weights_y[i] * weights_x[j])[..., None]
    return np.clip(result, min(float(image.min()), 0.0), max(float(image.max()), 0.0))


def _linear(part: np.ndarray) -> list[np.ndarray]:
    return [1 - part, part]


def _catmull_rom(part: np.ndarray) -> list[np.ndarray]:
    """Keys' cubic convolution with a = -1/2, for the taps at -1, 0, 1 and 2."""
    square, cube = part**2, part**3
    return [
        (-cube + 2 * square - part) / 2,
        (3 * cube - 5 * square + 2) / 2,
        (-3 * cube + 4 * square + part) / 2,
        (cube - square) / 2,
    ]

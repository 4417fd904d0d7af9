"""What the face detectors look at: the whole photo, and tiles of it fine enough for small faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from emoca_jax.capture.crop import shrink

FINE_HEIGHT = 480
TILE_OVERLAP = 48
"""Small faces: the photo is scaled to this height, so that a face of 5 % of it has 24 pixels, and cut into tiles that
overlap by 48 pixels: a tenth of the height, the size from which on the view of the whole photo is enough."""
MIN_FINE_SIDE = 256
"""A photo not much larger than one tile gains nothing from tiles."""
MAX_FINE_WIDTH = 4 * FINE_HEIGHT
"""Bounds the work on a panorama."""


@dataclass(frozen=True)
class DetectorInput:
    """A square detector input and the way back: image position = transform @ (view position, 1)."""

    pixels: UInt8[np.ndarray, "size size 3"]
    transform: Float[np.ndarray, "2 3"]


def whole_input(image: UInt8[np.ndarray, "height width 3"], size: int, turns: int) -> DetectorInput:
    """The photo scaled to fit a size x size square, black below or to the right, turned by quarters."""
    scale = size / max(image.shape[:2])
    canvas, transform = _resized(image, scale)
    return _turned(_square(canvas, size), transform, turns)


def tile_inputs(image: UInt8[np.ndarray, "height width 3"], size: int, turns: int) -> list[DetectorInput]:
    """Overlapping size x size tiles of the photo, fine enough for faces of 5 % of its height; none for a tiny photo."""
    height, width = image.shape[:2]
    if max(height, width) < MIN_FINE_SIDE:
        return []
    canvas, transform = _resized(image, _fine_scale(height, width))
    views = []
    for y in _starts(canvas.shape[0], size):
        for x in _starts(canvas.shape[1], size):
            offset = transform[:, 2] + transform[:, :2] @ np.array([x, y], np.float32)
            moved = np.concatenate([transform[:, :2], offset[:, None]], axis=1)
            views.append(_turned(_square(canvas[y : y + size, x : x + size], size), moved, turns))
    return views


def tile_side(image: UInt8[np.ndarray, "height width 3"], size: int) -> float:
    """Side of a tile in pixels of the photo, which no face in it passes; 0 where there are no tiles."""
    height, width = image.shape[:2]
    return size / _fine_scale(height, width) if max(height, width) >= MIN_FINE_SIDE else 0.0


def _fine_scale(height: int, width: int) -> float:
    return min(1.0, FINE_HEIGHT / height, MAX_FINE_WIDTH / width)


def _starts(length: int, size: int) -> list[int]:
    """Where tiles begin along an axis: as few as overlap enough, evenly spread."""
    if length <= size:
        return [0]
    count = -(-(length - TILE_OVERLAP) // (size - TILE_OVERLAP))
    return [round(i * (length - size) / (count - 1)) for i in range(count)]


def _resized(image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The photo resized with smoothing, and the transform from it to the photo."""
    small = shrink(image, max(1, min(int(0.5 / scale), *image.shape[:2])))
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    resized = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))
    factors = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
    return resized, np.concatenate([np.diag(factors), np.zeros((2, 1), np.float32)], axis=1)


def _square(pixels: np.ndarray, size: int) -> np.ndarray:
    """Black is what MediaPipe's detectors saw outside the photo in training."""
    square = np.zeros((size, size, 3), np.uint8)
    square[: pixels.shape[0], : pixels.shape[1]] = pixels
    return square


def _turned(pixels: np.ndarray, transform: np.ndarray, turns: int) -> DetectorInput:
    """The view turned counter-clockwise by quarters."""
    linear, offset = transform[:, :2], transform[:, 2]
    for _ in range(turns):
        # A position (x, y) of the turned square lies at (size - y, x) of the one before.
        offset = offset + linear @ np.array([pixels.shape[0], 0], np.float32)
        linear = linear @ np.array([[0, -1], [1, 0]], np.float32)
    return DetectorInput(np.rot90(pixels, turns), np.concatenate([linear, offset[:, None]], axis=1))

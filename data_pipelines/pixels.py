"""Encoded pictures to uint8 squares around faces, for batches; the work is done outside Python's lock."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from data_pipelines.official import CONVERTED, FORMATS

try:
    import simplejpeg
except ImportError:  # Pillow decodes the same pixels, two to four times slower
    simplejpeg = None

JPEG_START = b"\xff\xd8"


def decoded(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of an encoded picture, RGB, as they are stored (EXIF's orientation is not applied)."""
    if simplejpeg is not None and data[:2] == JPEG_START:
        try:
            return simplejpeg.decode_jpeg(data, colorspace="RGB")
        except ValueError:
            pass  # CMYK and the like
    with Image.open(io.BytesIO(data), formats=(*FORMATS, *CONVERTED)) as image:
        return np.asarray(image.convert("RGB"))


def square(
    pixels: UInt8[np.ndarray, "height width 3"], face: Float[np.ndarray, "3"] | None, *, margin: float, side: int
) -> tuple[UInt8[np.ndarray, "side side 3"], Float[np.ndarray, "3"]]:
    """The square `margin` times as large as the face's, side x side pixels, black beyond the picture.

    face: centre x, y and side in pixels (`faces.FACE`); None for the largest square in the picture's middle.
    Returns it, and left, top and scale: a position p of the picture lies at (p + 0.5 - (left, top)) * scale - 0.5.
    """
    height, width = pixels.shape[:2]
    if face is None:
        size = float(min(height, width))
        left, top = (width - size) / 2, (height - size) / 2
    else:
        size = max(float(face[2]) * margin, 1.0)
        left, top = float(face[0]) + 0.5 - size / 2, float(face[1]) + 0.5 - size / 2
    place = np.array([left, top, side / size], np.float32)
    if (left, top) == (0, 0) and size == side == width == height:
        return pixels, place
    return _resized(pixels, (left, top, left + size, top + size), side), place


def _resized(
    pixels: UInt8[np.ndarray, "height width 3"], box: tuple[float, float, float, float], side: int
) -> UInt8[np.ndarray, "side side 3"]:
    """The part of the picture within `box`, which may reach beyond it, by Pillow's antialiased bilinear filter."""
    height, width = pixels.shape[:2]
    result = np.zeros((side, side, 3), np.uint8)
    scale = side / (box[2] - box[0])
    # Whole pixels of the result that lie within the picture.
    first = [max(0, int(np.ceil(-box[i] * scale))) for i in (0, 1)]
    last = [min(side, int(np.floor((end - box[i]) * scale))) for i, end in ((0, width), (1, height))]
    if first[0] >= last[0] or first[1] >= last[1]:
        return result
    inner = (*(box[i] + first[i] / scale for i in (0, 1)), *(box[i] + last[i] / scale for i in (0, 1)))
    bounded = (max(inner[0], 0.0), max(inner[1], 0.0), min(inner[2], width), min(inner[3], height))
    image = Image.fromarray(pixels)
    part = image.resize((last[0] - first[0], last[1] - first[1]), Image.Resampling.BILINEAR, bounded, reducing_gap=2.0)
    result[first[1] : last[1], first[0] : last[0]] = np.asarray(part)
    return result

"""Encoded pictures to uint8 squares around faces, for batches; the work is done outside Python's lock."""

from __future__ import annotations

import contextlib
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
REDUCTIONS = (2, 4, 8)
"""How many times as coarse a JPEG can be decoded, each block from fewer of its waves, in half the time."""


def decoded(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of an encoded picture, RGB, as they are stored (EXIF's orientation is not applied)."""
    if simplejpeg is not None and data[:2] == JPEG_START:
        with contextlib.suppress(ValueError):  # CMYK and the like
            return simplejpeg.decode_jpeg(data, colorspace="RGB")
    with Image.open(io.BytesIO(data), formats=(*FORMATS, *CONVERTED)) as image:
        return np.asarray(image.convert("RGB"))


def cut_into(
    result: UInt8[np.ndarray, "side side 3"], data: bytes, face: Float[np.ndarray, "3"] | None, *, margin: float
) -> Float[np.ndarray, "3"]:
    """`square` of an encoded picture, written into `result`; returns its place.

    A JPEG that is more than twice as fine as the square is decoded coarser: pixels are then means of blocks, where
    Pillow's filter overlaps them.
    """
    side = len(result)
    if simplejpeg is not None and data[:2] == JPEG_START:
        with contextlib.suppress(ValueError):  # as above
            height, width = map(int, simplejpeg.decode_jpeg_header(data)[:2])
            left, top, size = _square_place((height, width), face, margin)
            place = _place(left, top, size, side)
            if height == width == side == size and left == top == 0:
                simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=result)
                return place
            coarser = max((reduction for reduction in REDUCTIONS if size >= reduction * side), default=1)
            if coarser > 1:
                # Sides are rounded up; a coarse pixel is that of so many fine ones, exactly.
                rows, columns = -(-height // coarser), -(-width // coarser)
                pixels = simplejpeg.decode_jpeg(
                    data, colorspace="RGB", min_height=rows, min_width=columns, min_factor=coarser
                )
                result[:] = _cut(pixels, (left / coarser, top / coarser, size / coarser), side)
                return place
    result[:], place = square(decoded(data), face, margin=margin, side=side)
    return place


def square(
    pixels: UInt8[np.ndarray, "height width 3"], face: Float[np.ndarray, "3"] | None, *, margin: float, side: int
) -> tuple[UInt8[np.ndarray, "side side 3"], Float[np.ndarray, "3"]]:
    """The square `margin` times as large as the face's, side x side pixels, black beyond the picture.

    face: centre x, y and side in pixels (`faces.FACE`); None for the largest square in the picture's middle.
    Returns it, and left, top and scale: a position p of the picture lies at (p + 0.5 - (left, top)) * scale - 0.5.
    """
    left, top, size = _square_place(pixels.shape[:2], face, margin)
    return _cut(pixels, (left, top, size), side), _place(left, top, size, side)


def _square_place(
    extent: tuple[int, ...], face: Float[np.ndarray, "3"] | None, margin: float
) -> tuple[float, float, float]:
    """Left, top and side of the square, in pixels of a picture so high and wide."""
    height, width = extent
    if face is None:
        size = float(min(height, width))
        return (width - size) / 2, (height - size) / 2, size
    size = max(float(face[2]) * margin, 1.0)
    return float(face[0]) + 0.5 - size / 2, float(face[1]) + 0.5 - size / 2, size


def _place(left: float, top: float, size: float, side: int) -> Float[np.ndarray, "3"]:
    return np.array([left, top, side / size], np.float32)


def _cut(
    pixels: UInt8[np.ndarray, "height width 3"], place: tuple[float, float, float], side: int
) -> UInt8[np.ndarray, "side side 3"]:
    """The square, which may reach beyond the picture, by Pillow's antialiased bilinear filter."""
    height, width = pixels.shape[:2]
    left, top, size = place
    if (left, top) == (0, 0) and size == side == width == height:
        return pixels
    result = np.zeros((side, side, 3), np.uint8)
    scale = side / size
    # Whole pixels of the result that lie within the picture.
    first = [max(0, int(np.ceil(-start * scale))) for start in (left, top)]
    ends = [(end - start) * scale for start, end in ((left, width), (top, height))]
    last = [min(side, int(np.floor(end))) for end in ends]
    if first[0] >= last[0] or first[1] >= last[1]:
        return result
    begin = [max(start + pixel / scale, 0.0) for start, pixel in zip((left, top), first, strict=True)]
    end = [
        min(start + pixel / scale, extent)
        for start, pixel, extent in zip((left, top), last, (width, height), strict=True)
    ]
    # No more of the picture than the filter reaches: what Pillow takes is copied first.
    reach = int(np.ceil(2 / scale)) + 2
    low = [max(0, int(start) - reach) for start in begin]
    part = Image.fromarray(pixels[low[1] : int(end[1]) + reach + 1, low[0] : int(end[0]) + reach + 1])
    box = (begin[0] - low[0], begin[1] - low[1], end[0] - low[0], end[1] - low[1])
    shown = part.resize((last[0] - first[0], last[1] - first[1]), Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    result[first[1] : last[1], first[0] : last[0]] = np.asarray(shown)
    return result

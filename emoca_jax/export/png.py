"""Pictures as the bytes of a png that says who made it."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emoca_jax.files.version import package_version
from emoca_jax.files.whole import MARK


def png_bytes(image: UInt8[np.ndarray, "height width channels"]) -> bytes:
    """A uint8 picture: grey, RGB or RGBA by its channels."""
    return _packed(image)


def grey_png(values: UInt16[np.ndarray, "rows columns"]) -> bytes:
    """A 16-bit grey picture."""
    return _packed(values)


def _packed(pixels: np.ndarray) -> bytes:
    buffer, made_by = io.BytesIO(), PngInfo()
    made_by.add_text("Software", f"{MARK} {package_version()}")
    # Level 4 takes half the time of Pillow's 6 and 4 % more space.
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4, pnginfo=made_by)
    return buffer.getvalue()

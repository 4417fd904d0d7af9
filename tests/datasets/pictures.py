"""Small pictures in the files that official folders hold."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (48, 40), kind: str = "JPEG") -> bytes:
    """Coarse coloured noise, encoded; the same seed gives the same bytes. size: width, height."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR).save(stream, kind)
    return stream.getvalue()


def write(path: Path, data: bytes | str) -> None:
    """Write a file and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)

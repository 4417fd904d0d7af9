"""Colours, type and corners shared by everything drawn."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (255, 255, 255)
TILE = (237, 239, 242)
INK = (33, 37, 43)
FAINT = (108, 116, 128)
TRACK = (221, 225, 231)
"""What a bar fills."""
ACCENT = (245, 124, 40)
SECOND = (66, 122, 196)


@lru_cache
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The typeface inside Pillow, at a size in pixels; no font file of the machine is needed."""
    return ImageFont.load_default(max(6, round(size)))


@lru_cache
def rounded(size: int, radius: float) -> Image.Image:
    """Mask of a square with smooth round corners."""
    fine = 4
    mask = Image.new("L", (size * fine, size * fine))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size * fine - 1, size * fine - 1), radius * fine, fill=255)
    return mask.resize((size, size), Image.Resampling.BOX)

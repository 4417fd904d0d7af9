"""The annotated picture of a face's emotion: where it is in the photo, and what every network reads in it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from emoca_jax.export.pictures import paper
from emoca_jax.export.pictures.pen import FINE, Colour, Pen, affect_plane
from emoca_jax.faces import EmotionReading, EmotionResult
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES

ASPECT = 4 / 3
"""Of the two tiles, width over height."""
SMALLEST_FACE = 0.3
"""Part of the photo tile's height that a face takes at least: the tile closes in on smaller ones."""
COLOURS: tuple[Colour, ...] = (paper.ACCENT, paper.SECOND, (38, 150, 110), (142, 84, 190))
"""One for each network, in order; four can be told apart in bars four pixels high."""


def emotion_picture(result: EmotionResult, *, size: int = 384) -> UInt8[np.ndarray, "height width 3"]:
    """The photo with a box around the face; bars of every network's probabilities, and its dot in the affect plane.

    size: height in pixels of each of the two tiles.
    """
    unit = size / 384
    width = round(size * ASPECT)
    margin, gap, header = (round(value * unit) for value in (28, 16, 44))
    sheet = Image.new("RGB", (2 * margin + 2 * width + gap, 2 * margin + header + size), paper.BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((margin, margin), result.source_name, fill=paper.INK, font=paper.font(22 * unit))
    note = f"face {result.face}   found with {result.score:.0%} confidence"
    place = (sheet.width - margin, margin + 4 * unit)
    draw.text(place, note, fill=paper.FAINT, font=paper.font(16 * unit), anchor="ra")
    for index, tile in enumerate((_photo_tile(result, width, size), _reading_tile(result.readings, width, size))):
        sheet.paste(Image.fromarray(tile), (margin + index * (width + gap), margin + header))
    return np.array(sheet)


def photo_window(
    shape: tuple[int, int], box: Float[np.ndarray, "4"], *, aspect: float = ASPECT
) -> tuple[float, float, float]:
    """Left, top and height, in photo pixels, of what the photo tile shows: all of the photo, or the part about a face
    that would be too small in it."""
    height, width = shape
    whole = max(height, width / aspect)
    shown = min(whole, max(box[3] - box[1], 1.0) / SMALLEST_FACE)
    corner = []
    for middle, length, full in (
        ((box[0] + box[2]) / 2, shown * aspect, width),
        ((box[1] + box[3]) / 2, shown, height),
    ):
        # As much of the photo as the window holds; beside a photo narrower than it, paper on both sides.
        free = full - length
        corner.append(free / 2 if free < 0 else float(np.clip(middle - length / 2, 0, free)))
    return corner[0], corner[1], float(shown)


def _photo_tile(result: EmotionResult, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    left, top, shown = photo_window(result.photo.shape[:2], result.box, aspect=width / height)
    scale = shown / height
    # Average first where the tile is coarser than the photo: the resampling below looks at 4 x 4 pixels only.
    factor = max(1, int(scale))
    image = Image.fromarray(result.photo)
    image = image.reduce(factor) if factor > 1 else image
    coefficients = [value / factor for value in (scale, 0, left, 0, scale, top)]
    tile = image.transform(
        (width * FINE, height * FINE),
        Image.Transform.AFFINE,
        [value / FINE if place % 3 < 2 else value for place, value in enumerate(coefficients)],
        Image.Resampling.BICUBIC,
        fillcolor=paper.TILE,
    )
    corners = (result.box.reshape(2, 2) - [left, top]) / scale * FINE
    unit = height * FINE / 384
    draw = ImageDraw.Draw(tile)
    for grown, colour in ((0.0, paper.INK), (1.5, paper.BACKGROUND)):
        # A light line inside a dark one shows on any photo.
        (x0, y0), (x1, y1) = corners - np.array([[1.0], [-1.0]]) * (1.5 - grown) * unit
        draw.rounded_rectangle((x0, y0, x1, y1), 8 * unit, outline=colour, width=max(1, round(2 * unit)))
    return np.array(tile.resize((width, height), Image.Resampling.BOX))


def _reading_tile(readings: tuple[EmotionReading, ...], width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """Bars by class, the affect plane, and a line of text for every network."""
    image = Image.new("RGB", (width * FINE, height * FINE), paper.TILE)
    pen = Pen(image, height * FINE / 384)
    coloured = [(reading, COLOURS[index % len(COLOURS)]) for index, reading in enumerate(readings)]
    lines = len(readings) * 22
    known = [name for name in AFFECTNET_CLASSES if any(name in reading.probabilities for reading in readings)]
    step = (384 - 20 - 46 - lines) / len(known)
    thick = min(7.0, (step - 5) / len(readings) - 1)
    y = 20.0
    for name in known:
        block = len(readings) * (thick + 1) - 1
        pen.text(20, y + block / 2, name, 13, paper.INK, anchor="lm")
        for index, (reading, colour) in enumerate(coloured):
            if name in reading.probabilities:
                pen.bar(98, y + index * (thick + 1), 172, thick, reading.probabilities[name], colour)
        y += step
    affect_plane(pen, 302, 26, 178, [(reading.valence, reading.arousal, colour) for reading, colour in coloured])
    pen.text(391, 22, "excited", 11, paper.FAINT, anchor="ms")
    pen.text(391, 208, "calm", 11, paper.FAINT, anchor="ma")
    pen.text(309, 112, "unpleasant", 10, paper.FAINT, anchor="ls")
    pen.text(473, 112, "pleasant", 10, paper.FAINT, anchor="rs")

    y = 384 - 14 - lines
    pen.line(20, y - 26, 492, y - 26)
    for x, title, anchor in ((150, "emotion", "ls"), (424, "valence", "rs"), (492, "arousal", "rs")):
        pen.text(x, y - 6, title, 11, paper.FAINT, anchor=anchor)
    for reading, colour in coloured:
        pen.disc(25, y + 8, 4.5, colour)
        pen.text(36, y + 8, reading.network, 13, paper.INK, anchor="lm")
        pen.text(150, y + 8, f"{reading.label} {reading.probabilities[reading.label]:.0%}", 13, paper.INK, anchor="lm")
        pen.text(424, y + 8, f"{reading.valence:+.2f}", 13, paper.INK, anchor="rm")
        pen.text(492, y + 8, f"{reading.arousal:+.2f}", 13, paper.INK, anchor="rm")
        y += 22
    return np.array(image.resize((width, height), Image.Resampling.BOX))

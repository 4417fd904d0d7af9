"""The tile that tells the emotion: expression classes, valence and arousal, strongest expression units."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from emoca_jax.capture.result import FaceResult
from emoca_jax.export import paper
from emoca_jax.export.names import unit_names

Length = int | float

FINE = 2
"""Drawn this much larger and averaged down: smooth discs and bars."""
UNITS_SHOWN = 6
SMALLEST_WEIGHT = 0.02
"""Less cannot be seen in a face."""


def emotion_panel(result: FaceResult, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Classes read on photo and rendering as pairs of bars, a valence-arousal plane, the strongest units as bars."""
    image = Image.new("RGB", (size * FINE, size * FINE), paper.TILE)
    pen = _Pen(image, size * FINE / 384)
    emotion = result.emotion
    pen.text(20, 18, emotion.label, 26, paper.INK)
    pen.text(364, 24, f"{emotion.photo[emotion.label]:.0%}", 20, paper.ACCENT, "ra")

    y = 64
    classes = sorted(emotion.photo, key=lambda name: -emotion.photo[name])
    for name in classes:
        pen.text(20, y - 3, name, 12.5, paper.INK)
        pen.bar(92, y, 100, 5, emotion.photo[name], paper.ACCENT)
        pen.bar(92, y + 6, 100, 5, emotion.rendering[name], paper.SECOND)
        y += 19
    pen.legend(92, y + 6, (("photo", paper.ACCENT), ("rendering", paper.SECOND)))

    _affect_plane(pen, 220, 64, 132, emotion.valence, emotion.arousal)

    pen.line(20, 232, 364, 232)
    y = 248
    for name, weight in strongest_units(result, UNITS_SHOWN):
        pen.text(20, y - 5, name, 12.5, paper.INK)
        pen.bar(166, y, 152, 7, abs(weight) if result.head.bounded_expression else abs(weight) / 3, paper.INK)
        pen.text(364, y - 5, f"{weight:.2f}", 12.5, paper.FAINT, "ra")
        y += 21
    return np.array(image.resize((size, size), Image.Resampling.BOX))


def strongest_units(result: FaceResult, count: int) -> list[tuple[str, float]]:
    """Names and weights of the units that act most, idle ones left out; left and right share a line by their mean."""
    names = unit_names(result.head)
    weights: dict[str, list[float]] = {}
    for name, weight in zip(names, np.asarray(result.codes.expression).tolist(), strict=True):
        weights.setdefault(name.removesuffix("Left").removesuffix("Right"), []).append(weight)
    means = [(name, sum(sides) / len(sides)) for name, sides in weights.items()]
    acting = [(name, weight) for name, weight in means if abs(weight) >= SMALLEST_WEIGHT]
    return sorted(acting, key=lambda unit: -abs(unit[1]))[:count]


class _Pen:
    """Draws in units of 1/384 of the tile."""

    def __init__(self, image: Image.Image, unit: float):
        self.draw, self.unit = ImageDraw.Draw(image), unit

    def _scaled(self, *values: Length) -> list[float]:
        return [value * self.unit for value in values]

    def text(
        self, x: Length, y: Length, text: str, height: Length, colour: tuple[int, int, int], anchor: str = "la"
    ) -> None:
        self.draw.text(
            (x * self.unit, y * self.unit), text, fill=colour, font=paper.font(height * self.unit), anchor=anchor
        )

    def bar(
        self, x: Length, y: Length, width: Length, height: Length, share: Length, colour: tuple[int, int, int]
    ) -> None:
        radius = height * self.unit / 2
        self.draw.rounded_rectangle(self._scaled(x, y, x + width, y + height), radius, fill=paper.TRACK)
        filled = width * min(max(share, 0.0), 1.0)
        if filled > 0.5:
            self.draw.rounded_rectangle(self._scaled(x, y, x + max(filled, height), y + height), radius, fill=colour)

    def line(self, x0: Length, y0: Length, x1: Length, y1: Length) -> None:
        self.draw.line(self._scaled(x0, y0, x1, y1), fill=paper.TRACK, width=max(1, round(1.5 * self.unit)))

    def disc(self, x: Length, y: Length, radius: Length, colour: tuple[int, int, int]) -> None:
        self.draw.ellipse(self._scaled(x - radius, y - radius, x + radius, y + radius), fill=colour)

    def legend(self, x: Length, y: Length, entries: tuple[tuple[str, tuple[int, int, int]], ...]) -> None:
        for name, colour in entries:
            self.disc(x + 4, y + 4, 3.5, colour)
            self.text(x + 12, y - 3, name, 11, paper.FAINT)
            x += 46


def _affect_plane(pen: _Pen, x: Length, y: Length, side: Length, valence: float, arousal: float) -> None:
    """Valence across, arousal up, both -1 to 1, with the face as a dot."""
    middle_x, middle_y, radius = x + side / 2, y + side / 2, side / 2
    pen.disc(middle_x, middle_y, radius, paper.BACKGROUND)
    pen.line(x, middle_y, x + side, middle_y)
    pen.line(middle_x, y, middle_x, y + side)
    # The plane is a square drawn as a disc: pull corners in to its rim.
    reach = max(1.0, float(np.hypot(valence, arousal)))
    pen.disc(middle_x + valence / reach * radius * 0.94, middle_y - arousal / reach * radius * 0.94, 6, paper.ACCENT)
    pen.text(middle_x, y + side + 10, f"valence {valence:+.2f}   arousal {arousal:+.2f}", 11.5, paper.FAINT, "ma")

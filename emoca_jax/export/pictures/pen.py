"""Drawing in units of a tile, so that a picture looks the same at every size: text, bars, discs, the affect plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from emoca_jax.export.pictures import paper

Length = int | float
Colour = tuple[int, int, int]

FINE = 2
"""Pictures are drawn this much larger and averaged down: smooth discs and bars."""


class Pen:
    """Draws on an image; lengths are multiples of `unit` pixels."""

    def __init__(self, image: Image.Image, unit: float):
        self.draw, self.unit = ImageDraw.Draw(image), unit

    def _scaled(self, *values: Length) -> list[float]:
        return [value * self.unit for value in values]

    def text(self, x: Length, y: Length, text: str, height: Length, colour: Colour, *, anchor: str = "la") -> None:
        self.draw.text(
            (x * self.unit, y * self.unit), text, fill=colour, font=paper.font(height * self.unit), anchor=anchor
        )

    def bar(self, x: Length, y: Length, width: Length, height: Length, share: Length, colour: Colour) -> None:
        radius = height * self.unit / 2
        self.draw.rounded_rectangle(self._scaled(x, y, x + width, y + height), radius, fill=paper.TRACK)
        filled = width * min(max(share, 0.0), 1.0)
        if filled > 0.5:
            self.draw.rounded_rectangle(self._scaled(x, y, x + max(filled, height), y + height), radius, fill=colour)

    def line(self, x0: Length, y0: Length, x1: Length, y1: Length) -> None:
        self.draw.line(self._scaled(x0, y0, x1, y1), fill=paper.TRACK, width=max(1, round(1.5 * self.unit)))

    def disc(self, x: Length, y: Length, radius: Length, colour: Colour) -> None:
        self.draw.ellipse(self._scaled(x - radius, y - radius, x + radius, y + radius), fill=colour)

    def width(self, text: str, height: Length) -> float:
        return paper.font(height * self.unit).getlength(text) / self.unit

    def legend(self, x: Length, y: Length, entries: Sequence[tuple[str, Colour]]) -> None:
        for name, colour in entries:
            self.disc(x + 4, y + 4, 3.5, colour)
            self.text(x + 12, y - 3, name, 11, paper.FAINT)
            x += 22 + self.width(name, 11)


def affect_plane(
    pen: Pen, x: Length, y: Length, side: Length, dots: Sequence[tuple[float, float, Colour]], *, radius: Length = 6
) -> None:
    """Valence across, arousal up, both -1 to 1, with a dot for each (valence, arousal, colour)."""
    middle_x, middle_y, reach = x + side / 2, y + side / 2, side / 2
    pen.disc(middle_x, middle_y, reach, paper.BACKGROUND)
    pen.line(x, middle_y, x + side, middle_y)
    pen.line(middle_x, y, middle_x, y + side)
    for valence, arousal, colour in dots:
        # The plane is a square drawn as a disc: pull corners in to its rim.
        beyond = max(1.0, float(np.hypot(valence, arousal)))
        pen.disc(middle_x + valence / beyond * reach * 0.94, middle_y - arousal / beyond * reach * 0.94, radius, colour)

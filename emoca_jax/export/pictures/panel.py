"""The tile that tells the emotion: expression classes, valence and arousal, strongest expression units."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from emoca_jax.export.names import unit_names
from emoca_jax.export.pictures import paper
from emoca_jax.export.pictures.pen import FINE, Pen, affect_plane
from emoca_jax.faces import ReconstructedFace

UNITS_SHOWN = 6
CLASSES_HEIGHT = 133
"""Of the block of bars, in units of the pen: seven classes of the open networks, eight of AffectNet."""
SMALLEST_WEIGHT = 0.02
"""Less cannot be seen in a face."""


def emotion_panel(result: ReconstructedFace, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Classes read on photo and rendering as pairs of bars, a valence-arousal plane, the strongest units as bars."""
    image = Image.new("RGB", (size * FINE, size * FINE), paper.TILE)
    pen = Pen(image, size * FINE / 384)
    emotion = result.emotion
    pen.text(20, 18, emotion.label, 26, paper.INK)
    pen.text(364, 24, f"{emotion.photo[emotion.label]:.0%}", 20, paper.ACCENT, anchor="ra")

    y = 64
    classes = sorted(emotion.photo, key=lambda name: -emotion.photo[name])
    step = CLASSES_HEIGHT / len(classes)
    for name in classes:
        pen.text(20, y - 3, name, 12.5, paper.INK)
        pen.bar(92, y, 100, 5, emotion.photo[name], paper.ACCENT)
        pen.bar(92, y + 6, 100, 5, emotion.rendering[name], paper.SECOND)
        y += step
    pen.legend(20, y + 6, (("photo", paper.ACCENT), ("rendering", paper.SECOND)))

    affect_plane(pen, 220, 64, 132, [(emotion.valence, emotion.arousal, paper.ACCENT)])
    caption = f"valence {emotion.valence:+.2f}   arousal {emotion.arousal:+.2f}"
    pen.text(286, 206, caption, 11.5, paper.FAINT, anchor="ma")

    pen.line(20, 232, 364, 232)
    y = 248
    for name, weight in strongest_units(result, UNITS_SHOWN):
        pen.text(20, y - 5, name, 12.5, paper.INK)
        pen.bar(166, y, 152, 7, abs(weight) if result.head.bounded_expression else abs(weight) / 3, paper.INK)
        pen.text(364, y - 5, f"{weight:.2f}", 12.5, paper.FAINT, anchor="ra")
        y += 21
    return np.array(image.resize((size, size), Image.Resampling.BOX))


def strongest_units(result: ReconstructedFace, count: int) -> list[tuple[str, float]]:
    """Names and weights of the units that act most, idle ones left out; left and right share a line by their mean."""
    names = unit_names(result.head)
    weights: dict[str, list[float]] = {}
    for name, weight in zip(names, np.asarray(result.codes.expression).tolist(), strict=True):
        weights.setdefault(name.removesuffix("Left").removesuffix("Right"), []).append(weight)
    means = [(name, sum(sides) / len(sides)) for name, sides in weights.items()]
    acting = [(name, weight) for name, weight in means if abs(weight) >= SMALLEST_WEIGHT]
    return sorted(acting, key=lambda unit: -abs(unit[1]))[:count]

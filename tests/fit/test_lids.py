"""Lids from pixels: the two people of `examples/` with their eyes drawn shut over the photo, one eye, or none."""

from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest

import emoca_jax as ej
from emoca_jax import render
from emoca_jax.export.pictures.comparison import photo_tile

EXAMPLES = Path(__file__).parents[2] / "examples"
PEOPLE = {"astronaut.jpg": 0.5, "grace_hopper.jpg": 0.4}
"""How closed a closed eye is at least; the second person wears spectacles."""
PURSED = {"astronaut.jpg": 0.4, "grace_hopper.jpg": 0.1}
"""How pursed lips pursed by .9 are at least; the second person's are thin, and still found as .11."""
SIZE = 448
EACH = pytest.mark.parametrize("person", ["astronaut.jpg", pytest.param("grace_hopper.jpg", marks=pytest.mark.slow)])
REST = dict.fromkeys(("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"), 0.0)


@cache
def model():
    return ej.load_model("open")


@cache
def fitted(person: str):
    (face,) = ej.reconstruct(model(), EXAMPLES / person, faces="largest")
    return face


@cache
def decode():
    return jax.jit(ej.decode, static_argnums=2)


@cache
def units_of(person: str, **units: float) -> dict[str, float]:
    """What the whole way makes of the photo with the person's own head, wearing these units, drawn into it."""
    face = fitted(person)
    names, expression = face.head.expression_names, np.array(face.codes.expression)
    for name, value in units.items():
        expression[names.index(name)] = value
    drawn = decode()(face.head, face.codes.replace(expression=expression), (SIZE, SIZE), face.texture / np.float32(255))
    photo = (photo_tile(face, SIZE) / 255).astype(np.float32)
    picture = np.clip(np.asarray(render.over(jax.numpy.asarray(photo), drawn.rendering, drawn.alpha)), 0, 1)
    (found,) = ej.reconstruct(model(), np.round(255 * picture).astype(np.uint8), faces="largest")
    return dict(zip(names, np.asarray(found.codes.expression).tolist(), strict=True))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("left", "right"), [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)], ids=["open", "closed", "left", "right"]
)
@EACH
def test_lids_are_read_from_pixels(person: str, left: float, right: float):
    units = units_of(person, eyeBlinkLeft=left, eyeBlinkRight=right, **REST)
    for side, closed in (("Left", left), ("Right", right)):
        found = units[f"eyeBlink{side}"]
        assert found >= PEOPLE[person] if closed else found <= 0.2, f"{side}: {found:.2f}"


@pytest.mark.thorough
@EACH
def test_pursed_lips_are_seen(person: str):
    flat = dict.fromkeys(
        ("mouthSmileLeft", "mouthSmileRight", "jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight"), 0.0
    )
    assert units_of(person, mouthPucker=0.9, **flat)["mouthPucker"] >= PURSED[person]

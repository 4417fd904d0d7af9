"""Units of a drawn person, from pixels to codes: what is shown is found on its side, and hardly where it is not."""

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import render
from emoca_jax.capture.found_faces import found_faces
from emoca_jax.capture.images import as_photo
from emoca_jax.jobs.look import look
from emoca_jax.jobs.open_model import codes_by_landmarks, head_units, picture_of
from emoca_jax.objectives.photo import FitWeights
from tests.fit.test_fit import codes_of, decode, model

SIZE, PAPER = 320, 0.7
FRONT = jnp.array([[0.05, 0.0, 0.0], [0, 0, 0]])


@cache
def found(*shown: tuple[str, float]) -> dict[str, float]:
    """Units that the landmark fit finds in a drawing of the average person on grey paper, who shows these."""
    kit = model()
    drawn = decode()(kit.head, codes_of(kit.head, **dict(shown)).replace(pose=FRONT), (SIZE, SIZE))
    paper = jnp.full((SIZE, SIZE, 3), PAPER)
    picture = np.round(255 * np.clip(np.asarray(render.over(paper, drawn.rendering, drawn.alpha)), 0, 1))
    (face,) = found_faces(kit.detector, as_photo(picture.astype(np.uint8)), "largest")
    seen = look(kit.expression, face)
    units = head_units(kit, seen, picture_of(kit, seen))
    codes = codes_by_landmarks(kit, seen, FitWeights(), units, method="fit")
    return dict(zip(kit.head.expression_names, np.asarray(codes.expression).tolist(), strict=True))


def both(stem: str, strength: float) -> tuple[tuple[str, float], ...]:
    return (f"{stem}Left", strength), (f"{stem}Right", strength)


@pytest.mark.parametrize(("side", "other"), [("Left", "Right"), ("Right", "Left")])
def test_a_mouth_drawn_aside_goes_to_its_side(side: str, other: str):
    units = found((f"mouth{side}", 0.9))
    assert units[f"mouth{side}"] >= 0.4 and units[f"mouth{other}"] <= 0.05


def test_a_frown_is_found_and_a_face_at_rest_does_not_frown():
    """On smooth skin; where folds are drawn, too, frowns of .9 are found at .3 (benchmarks/drawn_units.py)."""
    frowning, still = found(*both("mouthFrown", 0.9)), found()
    for name, _ in both("mouthFrown", 0.9):
        assert frowning[name] >= 0.15 and still[name] <= 0.03
    assert frowning["mouthSmileLeft"] <= 0.08


def test_pursed_lips_are_found_and_lips_at_rest_are_not_pursed():
    assert found(("mouthPucker", 0.9))["mouthPucker"] >= 0.4
    assert found()["mouthPucker"] <= 0.25


def test_lips_drawn_to_a_funnel_are_found():
    assert found(("mouthFunnel", 0.9))["mouthFunnel"] >= 0.45


def test_lowered_brows_are_found():
    lowered, still = found(*both("browDown", 0.9)), found()
    for name, _ in both("browDown", 0.9):
        assert lowered[name] >= 0.33 and still[name] <= 0.15

"""What landmarks and picture tell of units, laid together: each unit by the one that sees it."""

import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.emotion.told_units import told_units
from emoca_jax.emotion.units import ARKIT_UNITS
from emoca_jax.nets.emotion.affect import affect_read


def told(unit: str, off_landmarks: float, in_picture: float) -> float:
    """Of one unit, all others read as .1 by either."""
    place = ARKIT_UNITS.index(unit)
    points, seen = (np.full(len(ARKIT_UNITS), 0.1, np.float32) for _ in range(2))
    points[place], seen[place] = off_landmarks, in_picture
    logits = jnp.asarray(np.log(seen / (1 - seen)))
    return float(told_units(points, affect_read(jnp.zeros(10), jnp.zeros(1), unit_logits=logits))[place])


@pytest.mark.parametrize(
    ("unit", "off_landmarks", "in_picture", "expected"),
    [
        ("eyeBlinkLeft", 0.7, 0.2, 0.7),  # the landmarks' alone
        ("jawOpen", 0.2, 0.8, 0.5),  # a mean of both
        ("mouthSmileRight", 0.2, 0.5, 0.47),  # nearly the picture's
        ("browDownLeft", 0.4, 0.5, 0.7 * 0.5 + 0.3 * 0.6),  # mostly the picture's
        ("mouthFrownLeft", 0.2, 0.6, 0.7),  # 1 - .5 x .6: whoever sees it
        ("mouthFrownLeft", 0.001, 0.6, 0.501),
        ("mouthFrownLeft", 0.001, 0.2, 0.002),  # a grave face at rest
        ("mouthPucker", 0.3, 0.9, 0.3),
        ("mouthFunnel", 0.2, 0.1, 0.4),
        ("mouthFunnel", 0.8, 0.1, 1.0),
    ],
)
def test_each_unit_is_told_by_who_sees_it(unit: str, off_landmarks: float, in_picture: float, expected: float):
    assert told(unit, off_landmarks, in_picture) == pytest.approx(expected, abs=1e-5)

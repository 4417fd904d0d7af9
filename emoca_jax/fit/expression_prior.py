"""What is known about expression units before seeing landmarks: bounds, sparsity, opponents, symmetry and emotion.

Landmarks alone explain a smile as a raised upper lip and let left and right shifts cancel; these terms are what keeps a
fit readable. All of them are residuals or linear costs of `least_squares.bounded_least_squares`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from emoca_jax.nets.emotion.open import EXPRESSION_CLASSES
from emoca_jax.products import precise_matmul

OPPONENTS = (
    ("jawLeft", "jawRight"),
    ("mouthLeft", "mouthRight"),
    ("mouthSmileLeft", "mouthFrownLeft"),
    ("mouthSmileRight", "mouthFrownRight"),
    ("mouthSmileLeft", "mouthPucker"),
    ("mouthSmileRight", "mouthPucker"),
    ("mouthPucker", "mouthStretchLeft"),
    ("mouthPucker", "mouthStretchRight"),
    ("mouthSmileLeft", "mouthFunnel"),
    ("mouthSmileRight", "mouthFunnel"),
    ("mouthFunnel", "mouthRollUpper"),
    ("mouthFunnel", "mouthRollLower"),
    ("mouthRollUpper", "mouthUpperUpLeft"),
    ("mouthRollUpper", "mouthUpperUpRight"),
    ("mouthRollLower", "mouthLowerDownLeft"),
    ("mouthRollLower", "mouthLowerDownRight"),
    ("mouthShrugLower", "mouthLowerDownLeft"),
    ("mouthShrugLower", "mouthLowerDownRight"),
    ("mouthPressLeft", "mouthUpperUpLeft"),
    ("mouthPressRight", "mouthUpperUpRight"),
    ("mouthPressLeft", "mouthLowerDownLeft"),
    ("mouthPressRight", "mouthLowerDownRight"),
    ("jawOpen", "mouthClose"),
    ("browDownLeft", "browOuterUpLeft"),
    ("browDownRight", "browOuterUpRight"),
    ("eyeBlinkLeft", "eyeWideLeft"),
    ("eyeBlinkRight", "eyeWideRight"),
    ("eyeLookUpLeft", "eyeLookDownLeft"),
    ("eyeLookUpRight", "eyeLookDownRight"),
    ("eyeLookInLeft", "eyeLookOutLeft"),
    ("eyeLookInRight", "eyeLookOutRight"),
)
"""Units that pull the same skin in opposite directions: both at once is a fit fighting itself."""

CONJUGATE_GAZE = (
    ("eyeLookUpLeft", "eyeLookUpRight"),
    ("eyeLookDownLeft", "eyeLookDownRight"),
    ("eyeLookInLeft", "eyeLookOutRight"),
    ("eyeLookOutLeft", "eyeLookInRight"),
)
"""Eyes turn together (Hering's law of equal innervation)."""

NOT_MIRRORED = ("jaw", "mouth", *(f"eyeLook{way}" for way in ("Up", "Down", "In", "Out")))
"""Stems whose Left and Right are directions, not sides, or are coupled as gaze."""

DEFAULT_COST = 1.0
UNIT_COST = {
    "jawOpen": 0.2,
    "mouthSmile": 0.3,
    "eyeBlink": 0.1,
    "eyeSquint": 0.5,
    "mouthFrown": 0.5,
    "browInnerUp": 0.8,
    "browOuterUp": 0.3,
    "browDown": 0.7,
    "mouthUpperUp": 1.6,
    "mouthShrugUpper": 4.0,
    "mouthClose": 2.0,
    "mouthDimple": 1.5,
    "mouthPucker": 0.8,
    "mouthFunnel": 1.0,
    "mouthLeft": 3.0,
    "mouthRight": 3.0,
    "mouthLowerDown": 1.5,
    "mouthRoll": 2.5,
    "jawForward": 4.0,
    "cheekPuff": 4.0,
    "tongueOut": 20.0,
}
"""Relative price of a unit at full strength, by name stem: cheap where landmarks see it well (jaw, corners, lids), dear
where they mistake it for something else (a raised lip for a smile) or cannot see it (tongue, cheeks). Set by hand on
the labelled photos."""

READ_TRUST = {
    "cheekPuff": 0.05,
    "jawForward": 0.5,
    "jawLeft": 0.05,
    "jawRight": 0.05,
    "mouthClose": 0.05,
    "tongueOut": 0.0,
    "eyeWide": 0.2,
    "browDown": 1.0,
    "brow": 0.4,
    "eyeBlink": 0.05,
    "eyeLookDown": 0.5,
    "mouthLeft": 1.5,
    "mouthRight": 1.5,
    "mouthPress": 2.5,
    "mouthPucker": 4.0,
    "mouthFunnel": 2.0,
}
"""How much is believed of what networks read off landmarks and in the picture, by name stem; 1 where not given. Nothing
of what they cannot read, little where geometry sees it better (wide eyes, raised brows, lids), much where that is blind
(lips) or takes crooked faces for moved mouths."""

RAISING = {"browInnerUp": 0.5, "browOuterUpLeft": 0.25, "browOuterUpRight": 0.25}
"""Units that raise brows, and what share of both brows is theirs."""

EMOTION_UNITS = {
    "happy": {"mouthSmile": 0.70, "cheekSquint": 0.40, "mouthDimple": 0.05},
    "sad": {"browInnerUp": 0.45, "mouthFrown": 0.40, "browDown": 0.15, "mouthShrugLower": 0.15},
    "surprise": {"browInnerUp": 0.60, "browOuterUp": 0.60, "eyeWide": 0.50, "jawOpen": 0.50},
    "fear": {"browInnerUp": 0.60, "browOuterUp": 0.35, "eyeWide": 0.50, "mouthStretch": 0.40, "jawOpen": 0.35},
    "disgust": {"noseSneer": 0.55, "browDown": 0.30, "mouthUpperUp": 0.30, "mouthFrown": 0.20},
    "anger": {"browDown": 0.60, "eyeSquint": 0.25, "mouthPress": 0.20, "noseSneer": 0.25, "jawOpen": 0.15},
}
"""Typical units of each emotion: EMFACS prototypes (Ekman and Friesen 1983: happy AU 6+12, sad 1+4+15, surprise
1+2+5B+26, fear 1+2+4+5+20+26, disgust 9+15+16, anger 4+5+7+23) written as ARKit units, at mid intensity."""


QUIET_UNITS = {
    "neutral": ("brow", "mouthSmile", "mouthFrown", "mouthShrug", "mouthUpperUp", "noseSneer", "cheek"),
    "happy": ("mouthFrown", "mouthShrug", "noseSneer", "browInnerUp", "browDown"),
    "anger": ("mouthShrug", "mouthSmile"),
    "surprise": ("mouthShrug",),
}
"""Units an emotion speaks against, by name stem: what landmarks like to mistake it for."""


class ExpressionPrior(struct.PyTreeNode):
    """Arrays of the prior for one head's expression units; zero rows where a head has no named units."""

    lower: Float[Array, "units"]
    upper: Float[Array, "units"]
    cost: Float[Array, "units"]
    """Linear price (sparsity)."""
    couplings: Float[Array, "rows units"]
    """Rows that a readable expression keeps near zero: sums of opponents, differences of mirrored units."""
    emotion_mean: Float[Array, "7 units"]
    """Units expected under each class of EXPRESSION_CLASSES."""
    emotion_weight: Float[Array, "7 units"]
    """How much each class says about each unit (0 = nothing)."""
    trust: Float[Array, "units"]
    """How much is believed of what networks read off landmarks and in the picture."""
    raising: Float[Array, "units"]
    """Share of each unit in how far brows are raised."""


OPPONENT_WEIGHT, SYMMETRY_WEIGHT = 0.6, 0.7
LATERAL = ("browDown", "browOuterUp", "eyeBlink", "eyeSquint", "eyeWide")
"""Units people move on one side alone (a wink, a raised brow) are coupled at this share of the symmetry weight."""
LATERAL_SHARE = 0.4
FREE_UNIT_LIMIT = 4.0
"""Bound on unnamed (PCA) expression coordinates, in standard deviations."""


def stem(name: str) -> str:
    """A unit's name without its side."""
    return name.removesuffix("Left").removesuffix("Right")


def expression_prior(names: tuple[str, ...], count: int) -> ExpressionPrior:
    """The prior for named ARKit units, or a plain bounded one for `count` unnamed PCA coordinates (FLAME)."""
    if not names:
        limit = np.full(count, FREE_UNIT_LIMIT)
        nothing = np.zeros((7, count))
        none = np.zeros(count)
        return _on_device(-limit, limit, none, np.zeros((0, count)), nothing, nothing, none, none)
    mean, weight = _emotion_tables(names)
    cost = np.array([_by_stem(UNIT_COST, name, DEFAULT_COST) for name in names])
    trust = np.array([_by_stem(READ_TRUST, name, 1.0) for name in names])
    raising = np.array([RAISING.get(name, 0.0) for name in names])
    return _on_device(np.zeros(count), np.ones(count), cost, _couplings(names), mean, weight, trust, raising)


def _on_device(*arrays: np.ndarray) -> ExpressionPrior:
    """The prior from its fields in order, made in NumPy: on the device each step would be a program to compile."""
    return ExpressionPrior(*jax.device_put([array.astype(np.float32) for array in arrays]))


def expected_units(
    prior: ExpressionPrior, probabilities: Float[Array, "7"]
) -> tuple[Float[Array, "units"], Float[Array, "units"]]:
    """Mean and weight of each unit given the expression network's probabilities (order EXPRESSION_CLASSES).

    The mean is taken over the classes that say something about the unit, weighted by probability.
    """
    weight = precise_matmul(probabilities, prior.emotion_weight)
    mean = precise_matmul(probabilities, prior.emotion_weight * prior.emotion_mean) / jnp.maximum(weight, 1e-6)
    return mean, weight


def brows_raised(prior: ExpressionPrior, units: Float[Array, "units"] | None) -> Float[Array, ""]:
    """0 for brows at rest, or of which nothing was read, 1 for both fully raised. units: as read, NaN for none."""
    if units is None:
        return jnp.zeros(())
    return jnp.clip(jnp.sum(prior.raising * jnp.nan_to_num(units)), 0.0, 1.0)


def _by_stem(table: dict[str, float], name: str, otherwise: float) -> float:
    """The entry of the first key that the name begins with."""
    return next((value for key, value in table.items() if name.startswith(key)), otherwise)


def _couplings(names: tuple[str, ...]) -> np.ndarray:
    index = {name: i for i, name in enumerate(names)}
    rows = []

    def add(first: str, second: str, sign: float, weight: float) -> None:
        row = np.zeros(len(names))
        row[index[first]], row[index[second]] = weight, sign * weight
        rows.append(row)

    for first, second in OPPONENTS:
        if first in index and second in index:
            add(first, second, 1.0, OPPONENT_WEIGHT)
    for first, second in CONJUGATE_GAZE:
        if first in index and second in index:
            add(first, second, -1.0, SYMMETRY_WEIGHT)
    for name in names:
        mirrored = f"{stem(name)}Right"
        if name.endswith("Left") and mirrored in index and stem(name) not in NOT_MIRRORED:
            share = LATERAL_SHARE if stem(name) in LATERAL else 1.0
            add(name, mirrored, -1.0, SYMMETRY_WEIGHT * share)
    return np.asarray(rows)


def _emotion_tables(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """[7, units] means and weights: a class speaks about its own units, and happy or neutral against the others'."""
    mean = np.zeros((len(EXPRESSION_CLASSES), len(names)))
    weight = np.zeros_like(mean)
    for row, emotion in enumerate(EXPRESSION_CLASSES):
        units = EMOTION_UNITS.get(emotion, {})
        for column, name in enumerate(names):
            if stem(name) in units:
                mean[row, column], weight[row, column] = units[stem(name)], 1.0
            elif stem(name).startswith(QUIET_UNITS.get(emotion, ())):
                weight[row, column] = 1.0
    return mean, weight

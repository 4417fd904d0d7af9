"""Valence and arousal from named expression units by a rule, until a trained network does better.

Units (ARKit) are read as action units (AU) of the Facial Action Coding System (Ekman and Friesen 1978), these as basic
emotions by their prototypes in EMFACS (Friesen and Ekman 1983), and both as valence and arousal the way FaceReader
does (Loijens and Krips, FaceReader Methodology Note, Noldus): valence is the intensity of happy minus that of the
strongest negative emotion, with surprise on neither side; arousal is the mean of the five strongest action units.
FaceReader corrects action units by their mean over the last minute and counts closed eyes against arousal; one photo
has no past, so both are left out.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments
from emoca_jax.products import precise_matmul

ACTION_UNITS = {
    "1": ("browInnerUp",),
    "2": ("browOuterUpLeft", "browOuterUpRight"),
    "4": ("browDownLeft", "browDownRight"),
    "5": ("eyeWideLeft", "eyeWideRight"),
    "6": ("cheekSquintLeft", "cheekSquintRight"),
    "7": ("eyeSquintLeft", "eyeSquintRight"),
    "9": ("noseSneerLeft", "noseSneerRight"),
    "10": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "12": ("mouthSmileLeft", "mouthSmileRight"),
    "14L": ("mouthDimpleLeft",),
    "14R": ("mouthDimpleRight",),
    "15": ("mouthFrownLeft", "mouthFrownRight"),
    "16": ("mouthLowerDownLeft", "mouthLowerDownRight"),
    "17": ("mouthShrugLower",),
    "18": ("mouthPucker",),
    "20": ("mouthStretchLeft", "mouthStretchRight"),
    "22": ("mouthFunnel",),
    "23": ("mouthPressLeft", "mouthPressRight"),
    "26": ("jawOpen",),
}
"""Each action unit as the mean of the ARKit units that show it, by Apple's descriptions of ARFaceAnchor's blend shapes.
ARKit does not tell lip tightener (23) and lip pressor (24), nor jaw drop (26) and mouth stretch (27), apart."""

NEGATIVE_EMOTIONS = ("sad", "anger", "fear", "disgust", "contempt")
STRONGEST_UNITS = 5


CLASS_AFFECT = {
    "neutral": (0.0, 0.0),
    "happy": (0.81, 0.51),
    "sad": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
    "fear": (-0.64, 0.60),
    "disgust": (-0.60, 0.35),
    "anger": (-0.51, 0.59),
    "contempt": (-0.23, 0.31),
}
"""Mean pleasure and arousal of happy, sad, surprised, fearful, disgusted, angry and contemptuous in the ratings of
Russell and Mehrabian (1977), Evidence for a three-factor theory of emotions."""


@checks_arguments
def affect_from_units(
    expression: Float[Array, "*batch units"], names: tuple[str, ...]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    """Valence and arousal, each in [-1, 1], of expression weights in [0, 1] whose ARKit names are `names`.

    Valence 0 is neutral or mixed. Arousal maps FaceReader's 0..1 to -1 (no action unit active) .. 1 (five at full
    strength). Differentiable almost everywhere; the same for a face and its mirror image; units that a head lacks count
    as still. NaN where no name is an ARKit unit (FLAME's unnamed coordinates say nothing to this rule).
    """
    if not set(names) & {unit for units in ACTION_UNITS.values() for unit in units}:
        unknown = jnp.full(jnp.shape(expression)[:-1], jnp.nan)
        return unknown, unknown
    units = action_units(expression, names)
    emotions = emotion_intensities(units)
    negative = jnp.stack([emotions[name] for name in NEGATIVE_EMOTIONS], axis=-1).max(axis=-1)
    dimple = (units["14L"] + units["14R"]) / 2
    whole = [value for name, value in units.items() if not name.startswith("14")]
    strongest, _ = jax.lax.top_k(jnp.stack([*whole, dimple], axis=-1), STRONGEST_UNITS)
    return emotions["happy"] - negative, 2 * strongest.mean(axis=-1) - 1


def affect_from_classes(probabilities: Mapping[str, float]) -> tuple[float, float]:
    """Valence and arousal as the mean of the classes' places in the plane, weighted by their probabilities.

    For heads whose expression directions have no names, so that no action unit can be read off them.
    """
    places = np.array([CLASS_AFFECT[name] for name in probabilities])
    valence, arousal = np.array(list(probabilities.values())) @ places
    return float(valence), float(arousal)


@checks_arguments
def action_units(expression: Float[Array, "*batch units"], names: tuple[str, ...]) -> dict[str, Float[Array, "*batch"]]:
    """Intensity in [0, 1] of each of `ACTION_UNITS`."""
    values = precise_matmul(jnp.clip(expression, 0, 1), _unit_matrix(names))
    return {name: values[..., column] for column, name in enumerate(ACTION_UNITS)}


def emotion_intensities(units: dict[str, Float[Array, "*batch"]]) -> dict[str, Float[Array, "*batch"]]:
    """Intensity in [0, 1] of each basic emotion from action units, by its EMFACS prototype.

    A prototype has a key, without which it is not that emotion, and support, which carries the key from half to full
    strength. Happy 6+12, sad 1+4+15 (1 as far as it exceeds 2: raised together they are surprise), surprise 1+2+5+26,
    fear 1+2+4+5+20+26 (told from surprise by 4 and 20), disgust 9+15+16 (with 10), anger 4+5+7+23 (5 or 7: the units
    oppose each other), contempt 14 on one side.
    """

    def prototype(key: Array, support: Array) -> Array:
        return key * (1 + support) / 2

    def mean(*names: str) -> Array:
        return sum((units[name] for name in names[1:]), start=units[names[0]]) / len(names)

    def strongest(*names: str) -> Array:
        return functools.reduce(jnp.maximum, [units[name] for name in names])

    return {
        "happy": prototype(units["12"], units["6"]),
        "sad": prototype((jnp.maximum(units["1"] - units["2"], 0) + units["15"]) / 2, units["4"]),
        "surprise": prototype(mean("1", "2"), mean("5", "26")),
        "fear": prototype(mean("4", "20"), mean("1", "2", "5", "26")),
        "disgust": prototype(units["9"], strongest("10", "15", "16")),
        "anger": prototype(units["4"], (strongest("5", "7") + units["23"]) / 2),
        "contempt": jnp.abs(units["14L"] - units["14R"]),
    }


@functools.lru_cache(maxsize=8)
def _unit_matrix(names: tuple[str, ...]) -> np.ndarray:
    """[units, action units]: what each named unit adds to each action unit."""
    matrix = np.zeros((len(names), len(ACTION_UNITS)), np.float32)
    for column, parts in enumerate(ACTION_UNITS.values()):
        for part in parts:
            if part in names:
                matrix[names.index(part), column] = 1 / len(parts)
    return matrix

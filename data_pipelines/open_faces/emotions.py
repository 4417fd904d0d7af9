"""What a face shows: an emotion's action units at some strength, blended, asymmetric, among blinks, gazes and words.

Where the prototypes come from:
- EFH: Ekman, Friesen and Hager (2002), FACS Investigator's Guide, table 10-1 (prototypes and major variants).
- DTM: Du, Tao and Martinez (2014), Compound facial expressions of emotion, PNAS 111:E1454, table 1: units shown by more
  than 70 % of 230 people, others with the share of people who show them.
- RE: Ruch and Ekman (2001), The expressive pattern of laughter: 6+12 with the jaw dropped.
- EF: Ekman and Friesen (1986), A new pan-cultural facial expression of emotion, and Matsumoto and Ekman (2004), The
  relationship among expressions, labels, and descriptions of contempt: one lip corner tightened, raised or both.
The strengths (FACS letters C to E are about .4 to 1) are ours: chosen by eye on the open head, whose units differ in
strength.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from emoca_jax.emotion.class_affect import CLASS_AFFECT
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES

CLASSES = AFFECTNET_CLASSES
"""neutral, happy, sad, surprise, fear, disgust, anger, contempt: a class is its place here."""

AU_UNITS: dict[str, dict[str, float]] = {
    "1": {"browInnerUp": 1.0},
    "2": {"browOuterUp": 1.0, "browInnerUp": 0.2},
    "4": {"browDown": 1.0},
    "5": {"eyeWide": 1.0},
    "6": {"cheekSquint": 1.0, "eyeSquint": 0.3},
    "7": {"eyeSquint": 1.0},
    "9": {"noseSneer": 1.0, "mouthUpperUp": 0.25, "browDown": 0.3, "eyeSquint": 0.2},
    "10": {"mouthUpperUp": 0.8, "noseSneer": 0.25},
    "11": {"mouthUpperUp": 0.12, "noseSneer": 0.15},
    "12": {"mouthSmile": 1.0},
    "14": {"mouthDimple": 1.0},
    "15": {"mouthFrown": 1.0},
    "16": {"mouthLowerDown": 0.8},
    "17": {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.15},
    "20": {"mouthStretch": 1.0},
    "22": {"mouthFunnel": 0.7},
    "23": {"mouthPress": 0.5, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    "24": {"mouthPress": 1.0, "mouthRollLower": 0.15},
    "25": {"mouthLowerDown": 0.4, "mouthUpperUp": 0.25},
    "26": {"jawOpen": 0.5},
    "27": {"jawOpen": 0.9},
    "43": {"eyeBlink": 1.0},
    "64": {"eyeLookDown": 0.7},
}
"""Action units as the named units that show them, by name stem (both sides), after Apple's descriptions of
ARFaceAnchor's blend shapes; 9 pulls brows and lip along (FACS manual), 11, 22 and 25 have no unit of their own."""

ONE_SIDED = "U"
"""Prefix of an action unit on one side only, the same for a whole face."""

Strengths = dict[str, tuple[float, ...]]


class Variant(NamedTuple):
    """One way to show an emotion: action unit to least and greatest strength, and in which share of faces (1)."""

    weight: float
    units: Strengths
    source: str


PROTOTYPES: dict[str, tuple[Variant, ...]] = {
    "neutral": (Variant(1, {}, "EFH"),),
    "happy": (
        Variant(3, {"12": (0.85, 1.1), "25": (0.6, 1.2), "6": (0.5, 1.0, 0.7)}, "DTM"),
        Variant(2, {"6": (0.5, 1.0), "12": (0.85, 1.1)}, "EFH"),
        Variant(2, {"6": (0.7, 1.0), "12": (0.9, 1.1), "25": (0.8, 1.3), "26": (0.4, 1.0)}, "RE"),
    ),
    # Inner brows up and together: the head's browDown undoes browInnerUp, so 4 stays weak beside 1.
    "sad": (
        Variant(3, {"4": (0.15, 0.4), "15": (0.7, 1.0), "1": (0.6, 1.0, 0.75), "6": (0.2, 0.5, 0.4),
                    "11": (0.3, 0.8, 0.26), "17": (0.4, 0.9, 0.67)}, "DTM"),
        Variant(3, {"1": (0.7, 1.0), "4": (0.1, 0.35), "15": (0.6, 1.0), "64": (0.2, 0.7, 0.4)}, "EFH"),
        Variant(2, {"1": (0.6, 1.0), "4": (0.1, 0.35), "11": (0.4, 0.9), "15": (0.5, 0.9), "17": (0.5, 1.0)}, "EFH"),
    ),
    "surprise": (
        Variant(3, {"1": (0.7, 1.0), "2": (0.7, 1.0), "25": (0.0, 0.3), "26": (0.7, 1.2),
                    "5": (0.4, 0.9, 0.75)}, "DTM"),
        Variant(2, {"1": (0.7, 1.0), "2": (0.7, 1.0), "5": (0.4, 0.9), "26": (0.5, 1.0)}, "EFH"),
        Variant(2, {"1": (0.7, 1.0), "2": (0.7, 1.0), "5": (0.5, 1.0), "27": (0.6, 1.0)}, "EFH"),
    ),
    "fear": (
        Variant(3, {"1": (0.7, 1.0), "4": (0.2, 0.5), "20": (0.6, 1.0), "25": (0.4, 0.9), "2": (0.3, 0.8, 0.57),
                    "5": (0.7, 1.0, 0.8), "26": (0.3, 0.8, 0.33)}, "DTM"),
        Variant(3, {"1": (0.6, 1.0), "2": (0.4, 0.8), "4": (0.2, 0.5), "5": (0.7, 1.0), "20": (0.6, 1.0),
                    "25": (0.4, 0.9), "26": (0.2, 0.9, 0.6)}, "EFH"),
        Variant(1, {"1": (0.6, 1.0), "2": (0.4, 0.8), "4": (0.2, 0.5), "5": (0.8, 1.0), "27": (0.5, 0.9),
                    "20": (0.5, 0.9)}, "EFH"),
    ),
    "disgust": (
        Variant(3, {"9": (0.7, 1.0), "10": (0.5, 0.9), "17": (0.3, 0.8), "4": (0.3, 0.7, 0.4),
                    "24": (0.2, 0.5, 0.26)}, "DTM"),
        Variant(2, {"9": (0.7, 1.0), "16": (0.4, 0.8), "15": (0.5, 0.9), "26": (0.2, 0.7, 0.6)}, "EFH"),
        Variant(2, {"10": (0.8, 1.0), "16": (0.5, 0.9), "25": (0.4, 0.9), "9": (0.4, 0.9)}, "EFH"),
        Variant(1, {"9": (0.8, 1.0), "17": (0.5, 1.0), "7": (0.3, 0.8)}, "EFH"),
    ),
    "anger": (
        Variant(3, {"4": (0.8, 1.0), "7": (0.4, 0.9), "24": (0.5, 1.0), "10": (0.2, 0.5, 0.26),
                    "17": (0.3, 0.8, 0.52), "23": (0.4, 0.9, 0.29)}, "DTM"),
        Variant(2, {"4": (0.8, 1.0), "5": (0.4, 0.8), "7": (0.2, 0.5), "23": (0.5, 1.0)}, "EFH"),
        Variant(3, {"4": (0.8, 1.0), "5": (0.3, 0.8), "7": (0.2, 0.6), "10": (0.5, 1.0), "22": (0.1, 0.4),
                    "25": (0.5, 1.0), "26": (0.5, 1.4), "9": (0.2, 0.6, 0.5)}, "EFH"),
    ),
    "contempt": (
        Variant(3, {"U14": (0.7, 1.0), "U12": (0.2, 0.5, 0.5)}, "EF"),
        Variant(2, {"U12": (0.5, 0.9), "U14": (0.5, 1.0)}, "EF"),
        Variant(1, {"U14": (0.6, 1.0), "U10": (0.3, 0.7)}, "EF"),
    ),
}  # fmt: skip

VISEMES: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.35},
    {"jawOpen": 0.2, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15},
    {"mouthFunnel": 1.0, "jawOpen": 0.2},
    {"mouthPucker": 0.8},
    {"mouthPucker": 0.4, "jawOpen": 0.2},
    {"mouthPress": 0.5, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    {"mouthRollLower": 0.6, "mouthUpperUp": 0.3},
    {"mouthStretch": 0.4, "jawOpen": 0.12, "mouthLowerDown": 0.3},
    {"tongueOut": 0.2, "jawOpen": 0.2},
    {"jawOpen": 0.3, "mouthClose": 0.3},
)
"""Mouths of speech: ah, eh, oh, oo, w, m, f, ee, th, and lips that meet over an open jaw."""

INTENSITY = (2.4, 1.2, 0.42)
"""Beta distribution and least value of an emotion's intensity: weaker ones nobody would name."""
FAINTEST = 0.12
"""Up to this intensity neutral faces have some emotion."""
BLEND_SHARE, BLEND_MOST = 0.25, 0.4
"""Faces with a second emotion, and its greatest intensity in parts of the first."""
ASYMMETRY = 0.13
"""Deviation of the logarithm of a side's strength."""
SPEECH_SHARE, BLINK_SHARE, WINK_SHARE, SQUINT_SHARE, PLAY_SHARE = 0.16, 0.06, 0.025, 0.1, 0.25
GAZE, GLANCE_SHARE = 0.2, 0.08
"""Deviation of gaze units sideways, up and down half of it; share of faces that look as far as eyes can turn."""
STRAY_UNITS, STRAY_MOST = 4, 0.22
"""Up to so many units at random, up to this strength."""
STRAYING = ("brow", "cheek", "eyeSquint", "jaw", "mouth", "nose")
TIED = ("mouthClose", "eyeLook", "eyeBlink", "eyeWide", "tongueOut")
"""Units that mean nothing alone or have a part of their own here."""
PLAYS: tuple[dict[str, float], ...] = (
    {"mouthPucker": 1.0},
    {"cheekPuff": 1.0, "mouthPress": 0.4},
    {"mouthLeft": 1.0},
    {"mouthRight": 1.0},
    {"mouthRollLower": 1.0, "mouthRollUpper": 1.0},
    {"mouthPucker": 0.8, "mouthLeft": 0.7},
    {"mouthPucker": 0.8, "mouthRight": 0.7},
    {"tongueOut": 1.0, "jawOpen": 0.35},
    {"jawLeft": 1.0},
    {"jawRight": 1.0},
    {"jawForward": 1.0},
    {"mouthShrugUpper": 1.0, "mouthShrugLower": 0.6},
)
"""What faces do without any emotion; neutral only, so that every unit is seen at full strength."""


class Shown(NamedTuple):
    """What one face shows."""

    units: Float[np.ndarray, "units"]
    """Activations in [0, 1], in the order of the head's names."""
    label: int
    intensity: float
    """In [0, 1]; 0 for a neutral face."""
    second: int
    """The emotion blended in, `label` where there is none."""
    second_intensity: float
    valence: float
    arousal: float


def show(label: int, names: tuple[str, ...], random: np.random.Generator) -> Shown:
    """A face of this class. Pure: all that is random comes from the generator."""
    emotion = CLASSES[label]
    emotional = emotion != "neutral"
    intensity = INTENSITY[2] + (1 - INTENSITY[2]) * random.beta(*INTENSITY[:2]) if emotional else 0.0
    others = [number for number, name in enumerate(CLASSES) if name not in (emotion, "neutral")]
    second, blended = int(random.choice(others)), random.random() < BLEND_SHARE
    second_intensity = random.uniform(0, BLEND_MOST) * intensity if emotional else random.uniform(0, FAINTEST)
    if not blended:
        second, second_intensity = label, 0.0
    units = intensity * activation(emotion, names, random)
    units = np.maximum(units, second_intensity * activation(CLASSES[second], names, random))
    units = _stray(units, names, random)
    units = _act(units, emotion, names, random)
    units = units * np.exp(ASYMMETRY * random.standard_normal(len(names)) * _sided(names))
    affect = intensity * np.array(CLASS_AFFECT[emotion]) + second_intensity * np.array(CLASS_AFFECT[CLASSES[second]])
    valence, arousal = np.clip(affect, -1, 1)
    return Shown(
        np.clip(units, 0, 1).astype(np.float32), label, float(intensity), second, float(second_intensity),
        float(valence), float(arousal),
    )  # fmt: skip


def activation(emotion: str, names: tuple[str, ...], random: np.random.Generator) -> Float[np.ndarray, "units"]:
    """One variant of an emotion at full intensity, [units]; drawn at random."""
    variants = PROTOTYPES[emotion]
    weights = np.array([variant.weight for variant in variants], float)
    chosen = variants[int(random.choice(len(variants), p=weights / weights.sum()))]
    side = ("Left", "Right")[int(random.integers(2))]
    units = np.zeros(len(names))
    for name, (low, high, *share) in chosen.units.items():
        strength, shown = random.uniform(low, high), random.random() < (share[0] if share else 1.0)
        if shown:
            one_sided = name.startswith(ONE_SIDED)
            added = written(AU_UNITS[name.removeprefix(ONE_SIDED)], names, sides=(side,) if one_sided else SIDES)
            units += strength * added
    return units


SIDES = ("Left", "Right")


def written(
    strengths: dict[str, float], names: tuple[str, ...], *, sides: tuple[str, ...] = SIDES
) -> Float[np.ndarray, "units"]:
    """Activations [units] from strengths by whole name or by stem, which stands for the given sides."""
    units = np.zeros(len(names))
    for stem, strength in strengths.items():
        for number, name in enumerate(names):
            if name == stem or name in [stem + side for side in sides]:
                units[number] = strength
    return units


def _sided(names: tuple[str, ...]) -> Float[np.ndarray, "units"]:
    return np.array([float(name.endswith(SIDES) and name not in GAZED) for name in names])


GAZED = tuple(f"eyeLook{way}{side}" for way in ("Up", "Down", "In", "Out") for side in SIDES)


def _stray(units: np.ndarray, names: tuple[str, ...], random: np.random.Generator) -> np.ndarray:
    free = [number for number, name in enumerate(names) if name.startswith(STRAYING) and not name.startswith(TIED)]
    chosen = random.permutation(free)[: int(random.integers(STRAY_UNITS + 1))]
    units = units.copy()
    units[chosen] += random.uniform(0, STRAY_MOST, len(chosen))
    return units


def _act(units: np.ndarray, emotion: str, names: tuple[str, ...], random: np.random.Generator) -> np.ndarray:
    """What faces do beside showing emotions: they speak, play, blink, wink, squint and look about."""
    speech, play = VISEMES[int(random.integers(len(VISEMES)))], PLAYS[int(random.integers(len(PLAYS)))]
    strength, kind, lids = random.uniform(0.4, 1.0), random.random(2), random.random(2)
    (across, up), wink_side = GAZE * random.standard_normal(2) * (1, 0.5), int(random.integers(2))
    glance, glances = random.uniform(-1, 1, 2), random.random() < GLANCE_SHARE
    across, up = glance if glances else (across, up)
    if kind[0] < SPEECH_SHARE:
        # A word leaves room for the mouth of an emotion: whichever is stronger shows.
        units = np.maximum(units, (strength if emotion == "neutral" else 0.5 * strength) * written(speech, names))
    elif emotion == "neutral" and kind[1] < PLAY_SHARE:
        units = np.maximum(units, strength * written(play, names))
    looks = {
        "eyeLookInLeft": -across, "eyeLookOutRight": -across, "eyeLookOutLeft": across, "eyeLookInRight": across,
        "eyeLookUp": up, "eyeLookDown": -up,
    }  # fmt: skip
    units = units + np.maximum(written(looks, names), 0)
    if emotion in ("surprise", "fear"):
        return units
    closed = {"eyeBlink": random.uniform(0.85, 1.0)}
    if lids[0] < BLINK_SHARE:
        units = _closed(units, written(closed, names), names)
    elif lids[0] < BLINK_SHARE + WINK_SHARE:
        units = _closed(units, written(closed, names, sides=(SIDES[wink_side],)), names)
    elif lids[1] < SQUINT_SHARE:
        units = np.maximum(units, written({"eyeBlink": 0.5 * strength, "eyeSquint": 0.4 * strength}, names))
    return units


def _closed(units: np.ndarray, lids: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """With lids closed; a lid that is closed is not wide."""
    wide = np.array([name.replace("eyeWide", "eyeBlink") for name in names])
    shut = {name for name, strength in zip(names, lids, strict=True) if strength > 0}
    kept = [0.0 if own != name and own in shut else 1.0 for own, name in zip(wide, names, strict=True)]
    return np.maximum(units * np.array(kept), lids)

"""What one network, or what ships together, reads in one face."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from emoca_jax.arrays import AnyArray
from emoca_jax.codes import Codes
from emoca_jax.emotion.class_affect import affect_from_classes
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader
from emoca_jax.emotion.units import ARKIT_UNITS, UNITS_NETWORK, knows_units, load_units_network, read_units
from emoca_jax.flame.head import FaceHead
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES, AffectRead
from emoca_jax.nets.emotion.open import EXPRESSION_CLASSES, ExpressionRead

OPEN_NETWORKS = "open networks"
"""What the networks that ship are called together."""
CLASS_COUNTS = {
    "neutral": 74_874, "happy": 134_415, "sad": 25_459, "surprise": 14_090, "fear": 6_378, "disgust": 3_803,
    "anger": 24_882,
}  # fmt: skip
"""Photos of each class in AffectNet's training set (Mollahosseini et al. 2017, table 3), as common as in what networks
learn from that was gathered from the web."""
BALANCE = 0.5
"""Power to which the expression networks' shares are freed of how common a class is: they hardly ever say fear and
disgust. Chosen on drawn faces (docs/emotion.md)."""
UNITS_POWER = 0.75
"""Power with which EMO-MLP's shares count beside theirs. Drawn faces alone would have 1, with which low brows of calm
people are read as anger (docs/emotion.md)."""
LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class EmotionReading:
    """What one network reads in one face."""

    network: str
    probabilities: dict[str, float]
    """Of each expression class; they sum to 1."""
    valence: float
    """-1 unpleasant .. 1 pleasant; a trained network may answer beyond."""
    arousal: float
    """-1 calm .. 1 excited; a trained network may answer beyond."""

    @property
    def label(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


def reading_of(network: str, read: AffectRead) -> EmotionReading:
    """The answer of an emotion network for one face, by name."""
    logits = np.asarray(read.expression_logits, np.float64)
    shares = np.exp(logits - logits.max())
    probabilities = {str(name): float(p) for name, p in zip(AFFECTNET_CLASSES, shares / shares.sum(), strict=True)}
    return EmotionReading(network, probabilities, float(read.valence), float(read.arousal))


def open_reading(read: ExpressionRead) -> EmotionReading:
    """The answer of the expression networks that ship for one face: seven classes, and where these lie in the plane."""
    probabilities = {name: float(p) for name, p in zip(EXPRESSION_CLASSES, np.asarray(read.probabilities), strict=True)}
    return EmotionReading(OPEN_NETWORKS, probabilities, *affect_from_classes(probabilities))


def joint_reading(read: ExpressionRead, units: EmotionReading) -> EmotionReading:
    """What the expression networks see and what EMO-MLP reads in units of the same face, as independent witnesses.

    The networks know no contempt: as to that they are taken to say nothing. Valence and arousal are the classes' places
    in the plane, by their shares.
    """
    shares = dict(zip(EXPRESSION_CLASSES, np.asarray(read.probabilities, np.float64), strict=True))
    freed = {name: (share + LEAST_SHARE) / CLASS_COUNTS[name] ** BALANCE for name, share in shares.items()}
    silent = float(np.mean(list(freed.values())))
    weights = {
        name: freed.get(name, silent) * (units.probabilities[name] + LEAST_SHARE) ** UNITS_POWER
        for name in AFFECTNET_CLASSES
    }
    probabilities = {name: float(weight / sum(weights.values())) for name, weight in weights.items()}
    return EmotionReading(OPEN_NETWORKS, probabilities, *affect_from_classes(probabilities))


def photo_reading(read: ExpressionRead, landmarks: Float[AnyArray, "478 _axes"]) -> EmotionReading:
    """`joint_reading` of a photo: what the expression networks see there, and the units read off its landmarks.

    landmarks: MediaPipe's, x right, y down, in one unit for both.
    """
    units = landmark_units(load_unit_reader(), jax.numpy.asarray(landmarks))
    told = read_units(load_units_network(), units, ARKIT_UNITS)
    return joint_reading(read, reading_of(UNITS_NETWORK, jax.tree.map(np.asarray, told)))


def compared_readings(
    head: FaceHead, codes: Codes, photo: ExpressionRead, landmarks: Float[AnyArray, "478 _axes"], drawn: ExpressionRead
) -> tuple[EmotionReading, EmotionReading]:
    """Of a photo and of the drawing of its reconstruction, by the same networks: a head's own units stand for the
    landmarks of its drawing, and of a head that names none the expression networks tell alone."""
    if not knows_units(head.expression_names):
        return open_reading(photo), open_reading(drawn)
    return photo_reading(photo, landmarks), joint_reading(drawn, units_reading(head, codes))


def units_reading(head: FaceHead, codes: Codes) -> EmotionReading:
    """What EMO-MLP reads in the expression units of one face, whose head names them."""
    read = read_units(load_units_network(), jax.numpy.asarray(codes.expression), head.expression_names)
    return reading_of(UNITS_NETWORK, jax.tree.map(np.asarray, read))

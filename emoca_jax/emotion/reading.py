"""What one network reads in one face."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from emoca_jax.codes import Codes
from emoca_jax.emotion.class_affect import affect_from_classes
from emoca_jax.emotion.units import UNITS_NETWORK, load_units_network, read_units
from emoca_jax.flame.head import FaceHead
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES, AffectRead
from emoca_jax.nets.emotion.open import EXPRESSION_CLASSES, ExpressionRead

OPEN_NETWORKS = "open networks"
"""What the expression networks that ship are called."""


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
    """The answer of the networks that ship for one face; they tell classes only, so valence and arousal are theirs."""
    probabilities = {name: float(p) for name, p in zip(EXPRESSION_CLASSES, np.asarray(read.probabilities), strict=True)}
    return EmotionReading(OPEN_NETWORKS, probabilities, *affect_from_classes(probabilities))


def units_reading(head: FaceHead, codes: Codes) -> EmotionReading:
    """What EMO-MLP reads in the expression units of one face, whose head names them."""
    read = read_units(load_units_network(), jax.numpy.asarray(codes.expression), head.expression_names)
    return reading_of(UNITS_NETWORK, jax.tree.map(np.asarray, read))

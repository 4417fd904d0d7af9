"""Valence and arousal of the basic emotions, for what tells classes alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

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


def affect_from_classes(probabilities: Mapping[str, float]) -> tuple[float, float]:
    """Valence and arousal as the mean of the classes' places in the plane, weighted by their probabilities."""
    places = np.array([CLASS_AFFECT[name] for name in probabilities])
    valence, arousal = np.array(list(probabilities.values())) @ places
    return float(valence), float(arousal)

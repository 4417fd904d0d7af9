"""What one network, or what ships together, reads in one face."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float

from emoca_jax.arrays import AnyArray
from emoca_jax.codes import Codes
from emoca_jax.emotion.class_affect import affect_from_classes
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader
from emoca_jax.emotion.pictures import PictureNetworks, read_picture
from emoca_jax.emotion.units import ARKIT_UNITS, UNITS_NETWORK, knows_units, load_units_network, read_units
from emoca_jax.flame.head import FaceHead
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES, AffectRead
from emoca_jax.nets.emotion.crop import ExpressionCrop
from emoca_jax.nets.emotion.open import EXPRESSION_CLASSES, ExpressionRead
from emoca_jax.objectives.photo import SeenFace

OPEN_NETWORKS = "open networks"
"""What the networks that ship are called together."""
EXPRESSION_NETWORKS, PICTURE_READER, LANDMARK_UNITS = "expression networks", "picture reader", "EMO-MLP (landmarks)"
"""The witnesses, where they are heard alone; the last is `UNITS_NETWORK` on what is read off landmarks."""
CLASS_COUNTS = {
    "neutral": 74_874, "happy": 134_415, "sad": 25_459, "surprise": 14_090, "fear": 6_378, "disgust": 3_803,
    "anger": 24_882,
}  # fmt: skip
"""Photos of each class in AffectNet's training set (Mollahosseini et al. 2017, table 3), as common as in what networks
learn from that was gathered from the web."""
BALANCE = 0.2
"""Power to which the expression networks' shares are freed of how common a class is: they hardly ever say fear and
disgust. Chosen on drawn faces (docs/emotion.md)."""
PICTURE_POWER, UNITS_POWER = 0.55, 0.4
"""Powers with which the shares of the picture reader and of EMO-MLP count beside theirs. Drawn faces alone would have
the picture reader tell nearly everything, with which calm people are read as sad or disgusted (docs/emotion.md)."""
PICTURE_AFFECT = 0.3
"""Share of the picture reader's own valence and arousal in the joint ones: multiplied shares draw faint and mixed faces
to the calm class that the networks of photos know best (docs/emotion.md)."""
PLACES = 0.5
"""Share of its classes' places in the picture reader's own valence and arousal, the rest as it tells them: each errs
where the other need not (docs/emotion.md)."""
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


def joint_reading(read: ExpressionRead, picture: EmotionReading, units: EmotionReading) -> EmotionReading:
    """What the expression networks, the picture reader and EMO-MLP, which reads units, see in one face.

    They are taken for witnesses who know little of each other. The networks know no contempt: as to that they are taken
    to say nothing. Valence and arousal are the classes' places in the plane, by their joint shares, and the picture
    reader's own.
    """
    shares = dict(zip(EXPRESSION_CLASSES, np.asarray(read.probabilities, np.float64), strict=True))
    freed = {name: (share + LEAST_SHARE) / CLASS_COUNTS[name] ** BALANCE for name, share in shares.items()}
    silent = float(np.mean(list(freed.values())))
    weights = {
        name: freed.get(name, silent)
        * (picture.probabilities[name] + LEAST_SHARE) ** PICTURE_POWER
        * (units.probabilities[name] + LEAST_SHARE) ** UNITS_POWER
        for name in AFFECTNET_CLASSES
    }
    probabilities = {name: float(weight / sum(weights.values())) for name, weight in weights.items()}
    joint, alone = np.array(affect_from_classes(probabilities)), np.array([picture.valence, picture.arousal])
    valence, arousal = (1 - PICTURE_AFFECT) * joint + PICTURE_AFFECT * alone
    return EmotionReading(OPEN_NETWORKS, probabilities, float(valence), float(arousal))


def picture_reading(
    networks: PictureNetworks, image: Float[AnyArray, "height width 3"], crop: ExpressionCrop
) -> EmotionReading:
    """What the picture reader alone sees in a face of a picture, RGB in [0, 1]."""
    return _alone(read_picture(networks, jax.numpy.asarray(image), crop))


def _alone(read: AffectRead) -> EmotionReading:
    """What the picture reader has read, with its classes' places in its valence and arousal."""
    told = reading_of(PICTURE_READER, jax.tree.map(np.asarray, read))
    own, places = np.array([told.valence, told.arousal]), np.array(affect_from_classes(told.probabilities))
    valence, arousal = (1 - PLACES) * own + PLACES * places
    return replace(told, valence=float(valence), arousal=float(arousal))


def witnesses(
    networks: PictureNetworks, seen: SeenFace, *, told: AffectRead | None = None
) -> tuple[EmotionReading, EmotionReading, EmotionReading]:
    """What the expression networks, the picture reader and EMO-MLP, off landmarks, tell of a photo, each by itself.

    told: what the picture reader sees, where it has looked already.
    """
    picture = read_picture(networks, seen.image, seen.crop) if told is None else told
    units = landmark_units(load_unit_reader(), jax.numpy.asarray(seen.landmarks))
    by_units = read_units(load_units_network(), units, ARKIT_UNITS)
    alone = open_reading(seen.read)
    return (
        EmotionReading(EXPRESSION_NETWORKS, alone.probabilities, alone.valence, alone.arousal),
        _alone(picture),
        reading_of(LANDMARK_UNITS, jax.tree.map(np.asarray, by_units)),
    )


def photo_reading(networks: PictureNetworks, seen: SeenFace, *, told: AffectRead | None = None) -> EmotionReading:
    """`joint_reading` of a photo; units are those read off its landmarks. told: as of `witnesses`."""
    _, picture, units = witnesses(networks, seen, told=told)
    return joint_reading(seen.read, picture, units)


def compared_readings(
    networks: PictureNetworks,
    head: FaceHead,
    codes: Codes,
    seen: SeenFace,
    picture: Float[AnyArray, "height width 3"],
    drawn: ExpressionRead,
    *,
    told: AffectRead | None = None,
) -> tuple[EmotionReading, EmotionReading]:
    """Of a photo and of the drawing of its reconstruction in its place, by the same networks.

    drawn: what the expression networks see in the drawing. A head's own units stand for the landmarks of its drawing,
    and of a head that names none the expression networks tell alone. told: as of `witnesses`.
    """
    if not knows_units(head.expression_names):
        return open_reading(seen.read), open_reading(drawn)
    rendering = joint_reading(drawn, picture_reading(networks, picture, seen.crop), units_reading(head, codes))
    return photo_reading(networks, seen, told=told), rendering


def units_reading(head: FaceHead, codes: Codes) -> EmotionReading:
    """What EMO-MLP reads in the expression units of one face, whose head names them."""
    read = read_units(load_units_network(), jax.numpy.asarray(codes.expression), head.expression_names)
    return reading_of(UNITS_NETWORK, jax.tree.map(np.asarray, read))

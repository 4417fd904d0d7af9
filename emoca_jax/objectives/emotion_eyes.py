"""The judges of emotion consistency: networks that feel emotion in pictures of faces, and how they look at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from emoca_jax.errors import InputError
from emoca_jax.nets.emotion.affect import AffectRead
from emoca_jax.nets.emotion.crop import CROP_SIZE, crop_image, expression_crop
from emoca_jax.nets.emotion.on_open import HEAD, TRUNK, OpenFaceReader
from emoca_jax.nets.emotion.open import DENSE_SIZE, expression_features
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.emotion.small import SMALL_TRAINED_SIDE, SmallFaceReader
from emoca_jax.objectives.judges import as_batch, is_folded


class EmotionRead(struct.PyTreeNode):
    """What a network reads in a batch of pictures."""

    features: Float[Array, "pictures dimensions"]
    """What the loss compares."""
    expression_logits: Float[Array, "pictures classes"]
    valence: Float[Array, "pictures"] | None = None
    """None for networks that know classes alone."""
    arousal: Float[Array, "pictures"] | None = None


Read = Callable[[Mapping, Array, Array | None], EmotionRead]
"""Of variables, pictures [*batch, H, W, 3] and MediaPipe's landmarks in their plane, where they are known."""


@dataclass(frozen=True)
class EmotionEye:
    """How one kind of network looks at faces."""

    read: Read
    over_photo: bool
    """Whether a rendering is shown in the photo's place, hair and background kept; else on black."""


def _official(variables: Mapping, pictures: Array, landmarks: Array | None) -> EmotionRead:
    network = EmotionResNet50(folded=is_folded(variables))
    read: Any = network.apply(variables, as_batch(pictures))
    return _told(read)


def _open(variables: Mapping, pictures: Array, landmarks: Array | None) -> EmotionRead:
    read = expression_features(dict(variables), _upright(pictures, landmarks, CROP_SIZE))
    return EmotionRead(read.features, jnp.log(read.probabilities + 1e-6))


def _small(variables: Mapping, pictures: Array, landmarks: Array | None) -> EmotionRead:
    read: Any = SmallFaceReader().apply(variables, _upright(pictures, landmarks, SMALL_TRAINED_SIDE))
    return _told(read)


def _on_open(variables: Mapping, pictures: Array, landmarks: Array | None) -> EmotionRead:
    read: Any = OpenFaceReader().apply(variables, _upright(pictures, landmarks, DENSE_SIZE))
    return _told(read)


def _told(read: AffectRead) -> EmotionRead:
    return EmotionRead(read.features, read.expression_logits, read.valence, read.arousal)


def _upright(pictures: Array, landmarks: Array | None, size: int) -> Float[Array, "pictures size size 3"]:
    """The faces cut out as these networks know them."""
    if landmarks is None:
        raise InputError("This emotion network cuts faces out by their landmarks: give `landmarks_mediapipe`.")
    crop = expression_crop(landmarks.reshape(-1, *landmarks.shape[-2:]))
    return jax.vmap(lambda image, one: crop_image(image, one, size=size))(as_batch(pictures), crop)


OFFICIAL_EYE = EmotionEye(_official, over_photo=False)
"""EMOCA's emotion ResNet-50, on the crop itself."""
OPEN_EYE = EmotionEye(_open, over_photo=True)
"""The two networks that ship (nets/emotion/open.py)."""
SMALL_EYE = EmotionEye(_small, over_photo=True)
"""A small recogniser (nets/emotion/small.py), which configs/open/emotion_small.py trains."""
ON_OPEN_EYE = EmotionEye(_on_open, over_photo=True)
"""A recogniser on a frozen network's layers (nets/emotion/on_open.py), which configs/open/emotion_on_open.py trains;
192 numbers of its hidden layer are compared."""
EYES = {"official": OFFICIAL_EYE, "open": OPEN_EYE, "small": SMALL_EYE, "on_open": ON_OPEN_EYE}


def eye_of(variables: Mapping) -> EmotionEye:
    """The eye that a trained recogniser of drawn faces is, told by its layers; no gradient passes a name.

    Errors: InputError where it is none.
    """
    layers = set(variables.get("params", {}))
    if {TRUNK, HEAD} <= layers:
        return ON_OPEN_EYE
    if {"stem", "units"} <= layers:
        return SMALL_EYE
    raise InputError(
        f"a network of {', '.join(sorted(layers)) or 'no layers'} feels no emotion in pictures: train one by "
        "configs/open/emotion_on_open.py or emotion_small.py"
    )

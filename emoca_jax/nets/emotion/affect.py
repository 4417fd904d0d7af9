"""What every emotion network answers: eight expression classes, valence and arousal."""

from __future__ import annotations

from flax import struct
from jaxtyping import Array, Float

AFFECTNET_CLASSES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
"""AffectNet's eight expressions in its own order (Mollahosseini et al., arXiv:1708.03985, section 3)."""

AFFECT_OUTPUTS = len(AFFECTNET_CLASSES) + 2
"""Width of the last layer of every emotion network: a logit per class, then valence, then arousal."""


class AffectRead(struct.PyTreeNode):
    """What one network reads in a batch of faces."""

    expression_logits: Float[Array, "*batch 8"]
    """In the order of `AFFECTNET_CLASSES`; their softmax are the probabilities."""
    valence: Float[Array, "*batch"]
    """-1 unpleasant .. 1 pleasant. Not squashed: a network may answer beyond the range."""
    arousal: Float[Array, "*batch"]
    """-1 calm .. 1 excited, not squashed."""
    features: Float[Array, "*batch dimensions"]
    """What the last layers start from."""


def affect_read(outputs: Float[Array, "*batch 10"], features: Float[Array, "*batch dimensions"]) -> AffectRead:
    """Name the ten numbers of a network's last layer."""
    classes = len(AFFECTNET_CLASSES)
    return AffectRead(outputs[..., :classes], outputs[..., classes], outputs[..., classes + 1], features)

"""What every emotion network answers: eight expression classes, valence and arousal."""

from __future__ import annotations

from flax import struct
from jaxtyping import Array, Float

AFFECTNET_CLASSES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
"""AffectNet's eight expressions in its own order (Mollahosseini et al., arXiv:1708.03985, section 3)."""

AFFECT_OUTPUTS = len(AFFECTNET_CLASSES) + 2
"""Width of the last layer of every emotion network: a logit per class, then valence, then arousal."""


class AffectRead(struct.PyTreeNode):
    """What one network reads in a batch of faces; None is what it does not tell."""

    expression_logits: Float[Array, "*batch 8"]
    """In the order of `AFFECTNET_CLASSES`; their softmax are the probabilities."""
    valence: Float[Array, "*batch"]
    """-1 unpleasant .. 1 pleasant. Not squashed: a network may answer beyond the range."""
    arousal: Float[Array, "*batch"]
    """-1 calm .. 1 excited, not squashed."""
    features: Float[Array, "*batch dimensions"]
    """What the last layers start from."""
    unit_logits: Float[Array, "*batch 52"] | None = None
    """Their sigmoid is how strong each of ARKit's face units is, 0 to 1, in the open head's order."""
    heat_maps: Float[Array, "*batch 64 64 68"] | None = None
    """Where the landmarks are seen, not squashed; the larger, the likelier."""


def affect_read(
    outputs: Float[Array, "*batch 10"],
    features: Float[Array, "*batch dimensions"],
    *,
    unit_logits: Float[Array, "*batch 52"] | None = None,
    heat_maps: Float[Array, "*batch 64 64 68"] | None = None,
) -> AffectRead:
    """Name the ten numbers of a network's last layer, and what else it tells."""
    classes = len(AFFECTNET_CLASSES)
    expression, valence, arousal = outputs[..., :classes], outputs[..., classes], outputs[..., classes + 1]
    return AffectRead(expression, valence, arousal, features, unit_logits, heat_maps)


def affect_alone(read: AffectRead) -> AffectRead:
    """What every network tells, without what some tell beside it."""
    return read.replace(unit_logits=None, heat_maps=None)

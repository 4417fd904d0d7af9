"""The 15 mouth shapes of speech that lip-sync programs drive, made of ARKit's units."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead


def _both(unit: str, weight: float) -> dict[str, float]:
    return {f"{unit}Left": weight, f"{unit}Right": weight}


VISEMES: dict[str, dict[str, float]] = {
    "viseme_sil": {},
    "viseme_PP": {"mouthRollLower": 0.4, "mouthRollUpper": 0.4, "mouthPucker": 0.2, **_both("mouthPress", 0.1)},
    "viseme_FF": {"jawOpen": 0.05, "mouthRollLower": 0.6, "mouthShrugLower": 0.2, **_both("mouthUpperUp", 0.3)},
    "viseme_TH": {"jawOpen": 0.2, "tongueOut": 0.5, **_both("mouthLowerDown", 0.2), **_both("mouthUpperUp", 0.15)},
    "viseme_DD": {
        "jawOpen": 0.15,
        **_both("mouthLowerDown", 0.35),
        **_both("mouthUpperUp", 0.2),
        **_both("mouthStretch", 0.1),
    },
    "viseme_kk": {
        "jawOpen": 0.25,
        **_both("mouthLowerDown", 0.2),
        **_both("mouthUpperUp", 0.15),
        **_both("mouthDimple", 0.2),
    },
    "viseme_CH": {"jawOpen": 0.05, "mouthFunnel": 0.5, "mouthPucker": 0.3},
    "viseme_SS": {
        "jawOpen": 0.04,
        **_both("mouthLowerDown", 0.4),
        **_both("mouthUpperUp", 0.25),
        **_both("mouthStretch", 0.25),
        **_both("mouthDimple", 0.2),
    },
    "viseme_nn": {"jawOpen": 0.12, **_both("mouthLowerDown", 0.25), **_both("mouthUpperUp", 0.1)},
    "viseme_RR": {"jawOpen": 0.15, "mouthFunnel": 0.3, "mouthPucker": 0.3},
    "viseme_aa": {"jawOpen": 0.6, **_both("mouthLowerDown", 0.1), **_both("mouthUpperUp", 0.1)},
    "viseme_E": {
        "jawOpen": 0.3,
        **_both("mouthLowerDown", 0.2),
        **_both("mouthUpperUp", 0.15),
        **_both("mouthStretch", 0.3),
        **_both("mouthDimple", 0.2),
    },
    "viseme_I": {
        "jawOpen": 0.15,
        **_both("mouthLowerDown", 0.25),
        **_both("mouthUpperUp", 0.15),
        **_both("mouthStretch", 0.4),
        **_both("mouthSmile", 0.25),
    },
    "viseme_O": {"jawOpen": 0.4, "mouthFunnel": 0.35, "mouthPucker": 0.4},
    "viseme_U": {"jawOpen": 0.08, "mouthFunnel": 0.2, "mouthPucker": 0.9},
}
"""Viseme -> units and how far each is on.

Names, order and sounds: Oculus LipSync, which OpenXR's XR_META_face_tracking_visemes keeps (sil; p b m; f v; th; t d;
k g; tS dZ S; s z; n l; r; A; e; ih; oh; ou). Weights: from how each sound is made (PP: lips closed; FF: lower lip under
the upper teeth; TH: tongue between the teeth; CH, RR, O, U: lips rounded; SS, E, I: lips spread; open vowels by the
jaw), set by eye on the open head. The published table of another house (TalkingHead's `build-visemes-from-arkit.py`,
MIT), made for Ready Player Me's heads, has the same leading units in aa, O and TH; its mouthPress of .8 for vowels
widens this head's mouth and its PP shows teeth, so of its numbers only aa's jaw is ours as well.
"""


def has_visemes(head: FaceHead) -> bool:
    """Whether the head has every unit that visemes are made of: heads with ARKit's names do, FLAME does not."""
    return {unit for weights in VISEMES.values() for unit in weights} <= set(head.expression_names)


def viseme_codes(head: FaceHead) -> Float[Array, "15 units"]:
    """An expression code for each of `VISEMES`, in its order; `flame.forward` takes them as it takes any other.

    Errors: InputError for a head whose expression directions are no ARKit units.
    """
    if not has_visemes(head):
        raise InputError(f"The head {head.name!r} has no ARKit units to make visemes of: use the open head.")
    column = {name: index for index, name in enumerate(head.expression_names)}
    codes = np.zeros((len(VISEMES), len(column)), np.float32)
    for row, weights in enumerate(VISEMES.values()):
        for unit, weight in weights.items():
            codes[row, column[unit]] = weight
    return jnp.asarray(codes)

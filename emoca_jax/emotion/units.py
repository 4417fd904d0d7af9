"""Emotion of a 3D face with named expression units, by the EMO-MLP that ships: no pixel is seen.

Learned from open faces' units, changed at random as a fit changes them (configs/open/emo_mlp.py). It knows no side: an
answer is the mean of the face's and of its mirror image's.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emoca_jax.files.kept_programs import kept
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.nets.emotion.mlp import EmotionMLP
from emoca_jax.nets.weights import Parameters, load_shipped_weights
from emoca_jax.products import precise_matmul

UNITS_NETWORK = "EMO-MLP (3D, open head)"
ASSET = "emo_mlp_open"
LAYERS, FEATURES = 2, 256
ARKIT_UNITS = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""In the order in which the network takes them: the open head's (names of Apple's ARFaceAnchor.BlendShapeLocation)."""


def mirror_pairs(names: tuple[str, ...]) -> Int[np.ndarray, "units"]:
    """For each unit the place of the one that a mirror image shows in its stead: its pair, or itself."""
    swapped = [name.replace("Left", "?").replace("Right", "Left").replace("?", "Right") for name in names]
    return np.array([names.index(name) for name in swapped], np.int32)


MIRRORED = mirror_pairs(ARKIT_UNITS)


@functools.cache
def load_units_network() -> Parameters:
    """The weights that ship."""
    return load_shipped_weights(ASSET)


def knows_units(names: tuple[str, ...]) -> bool:
    """Whether any of a head's expression directions is one of `ARKIT_UNITS`."""
    return not set(names).isdisjoint(ARKIT_UNITS)


@kept(static=("names",))
def read_units(network: Parameters, expression: Float[Array, "*batch units"], names: tuple[str, ...]) -> AffectRead:
    """What the network reads in expression weights, 0 to 1, whose ARKit names are `names`; units that lack count as
    still. The same for a face and its mirror image. Differentiable almost everywhere."""
    units = precise_matmul(jnp.clip(expression, 0, 1), _in_order(names))
    both = jnp.stack([units, units[..., MIRRORED]])
    read = EmotionMLP(LAYERS, FEATURES, folded=True).apply(network, both)
    assert isinstance(read, AffectRead)
    outputs = jnp.concatenate([read.expression_logits, read.valence[..., None], read.arousal[..., None]], axis=-1)
    assert outputs.shape[-1] == AFFECT_OUTPUTS
    return affect_read(jnp.mean(outputs, axis=0), jnp.mean(read.features, axis=0))


@functools.lru_cache(maxsize=8)
def _in_order(names: tuple[str, ...]) -> np.ndarray:
    """[units, 52]: 1 where a name is one of the network's units."""
    return np.array([[float(name == unit) for unit in ARKIT_UNITS] for name in names], np.float32)

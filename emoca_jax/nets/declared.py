"""What the networks of a converted folder are made of: the shape of every array, as the modules declare them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Shaped

from emoca_jax.errors import InputError
from emoca_jax.nets.detail_decoder import LATENT, DetailDecoder
from emoca_jax.nets.emotion.crop import CROP_SIZE
from emoca_jax.nets.emotion.emonet import EMONET_SIZE, EmoNet
from emoca_jax.nets.emotion.mlp import CODE_INPUTS, DETAIL_INPUTS, EmotionMLP
from emoca_jax.nets.emotion.on_open import OpenFaceReader
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.emotion.small import SMALL_SIZE, SmallFaceReader
from emoca_jax.nets.emotion.swin import SWIN_SIZE, EmotionSwin
from emoca_jax.nets.encoders import (
    DETAIL_OUTPUTS,
    EXPRESSION_JAW_OUTPUTS,
    EXPRESSION_OUTPUTS,
    FLAME_OUTPUTS,
    IMAGE_SIZE,
    Encoder,
)
from emoca_jax.nets.resnet import ResNet50
from emoca_jax.nets.vgg import VGG19

LARGEST = 1e9
"""No trained number comes near it; beyond, single precision soon overflows."""
IMAGE = (1, IMAGE_SIZE, IMAGE_SIZE, 3)
NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "flame_encoder": (Encoder(FLAME_OUTPUTS), IMAGE),
    "detail_encoder": (Encoder(DETAIL_OUTPUTS), IMAGE),
    "detail_decoder": (DetailDecoder(), (1, LATENT)),
    "emotion_resnet50": (EmotionResNet50(), IMAGE),
    "emotion_swin": (EmotionSwin(), (1, SWIN_SIZE, SWIN_SIZE, 3)),
    "emonet": (EmoNet(), (1, EMONET_SIZE, EMONET_SIZE, 3)),
    "emotion_small": (SmallFaceReader(), (1, SMALL_SIZE, SMALL_SIZE, 3)),
    "emotion_on_open": (OpenFaceReader(), (1, CROP_SIZE, CROP_SIZE, 3)),
    "identity_resnet50": (ResNet50("vggface2"), IMAGE),
    "vgg19": (VGG19(), IMAGE),
}
VARIANCE = "/var"
"""End of the path of a batch normalisation's variances."""
MOST_NAMED = 3


def check_network(
    part: str,
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    place: str,
    *,
    jaw: bool = False,
    advice: str = "convert the file again",
) -> None:
    """Arrays by their path ("params/conv1/kernel") are those of the network `part`: all of them, float32, sound.

    jaw: whether the expression encoder tells the jaw as well. advice: what mends a damaged file. Errors: InputError
    naming the first that are not.
    """
    wanted = declared_shapes(part, jaw=jaw, inputs=_inputs(arrays))
    wrong = [f"lacks {path}" for path in wanted if path not in arrays]
    wrong += [f"has {path}, which the network does not" for path in arrays if path not in wanted]
    for path, shape in wanted.items():
        array = arrays.get(path)
        if array is None:
            continue
        if array.shape != shape or array.dtype != np.float32:
            wrong.append(f"has {path} as {array.dtype} {list(array.shape)} in place of float32 {list(shape)}")
        # NaN compares false.
        elif not (np.abs(array).max(initial=0.0) <= LARGEST):
            wrong.append(f"holds NaN, infinity or absurd numbers in {path}")
        elif path.endswith(VARIANCE) and array.min(initial=0.0) < 0:
            wrong.append(f"holds variances below zero in {path}")
    if wrong:
        more = f" and {len(wrong) - MOST_NAMED} more faults" if len(wrong) > MOST_NAMED else ""
        raise InputError(f"{place} is damaged: it {'; '.join(wrong[:MOST_NAMED])}{more}: {advice}.")


@functools.cache
def declared_shapes(part: str, *, jaw: bool = False, inputs: int = CODE_INPUTS) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a network by its path. inputs: how many numbers EMO-MLP takes."""
    if part == "expression_encoder":
        module, shape = Encoder(EXPRESSION_JAW_OUTPUTS if jaw else EXPRESSION_OUTPUTS), IMAGE
    elif part == "emotion_mlp":
        module, shape = EmotionMLP(), (1, inputs)
    else:
        module, shape = NETWORKS[part]
    # All of it abstract: nothing is drawn, nothing compiled.
    leaves: Any = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape)))
    flat: Any = flatten_dict(dict(leaves), sep="/")
    return {path: tuple(leaf.shape) for path, leaf in flat.items()}


def _inputs(arrays: Mapping[str, np.ndarray]) -> int:
    """Which of the two EMO-MLPs it is: with the detail code or without."""
    first = arrays.get("params/hidden0/kernel")
    wide = first is not None and first.shape[:1] == (CODE_INPUTS + DETAIL_INPUTS,)
    return CODE_INPUTS + DETAIL_INPUTS if wide else CODE_INPUTS

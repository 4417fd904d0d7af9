"""Emotion networks on one face: those that see its photo, and the one that sees its 3D codes."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.codes import Codes
from emoca_jax.model_folder import ModelFolder
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.affect import AffectRead, affect_alone
from emoca_jax.nets.emotion.crop import CROP_SIZE, ExpressionCrop, crop_image
from emoca_jax.nets.emotion.emonet import EmoNet, emonet_images
from emoca_jax.nets.emotion.mlp import CODE_INPUTS, EmotionMLP, emotion_inputs
from emoca_jax.nets.emotion.on_open import OpenFaceReader
from emoca_jax.nets.emotion.open import Parameters
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.emotion.small import SMALL_TRAINED_SIDE, SmallFaceReader
from emoca_jax.nets.emotion.swin import EmotionSwin
from emoca_jax.products import CUBLAS

IMAGE_NETWORKS = {
    "emotion_resnet50": "ResNet-50",
    "emotion_swin": "Swin-B",
    "emonet": "EmoNet",
    "emotion_small": "small recogniser",
    "emotion_on_open": "recogniser on open layers",
}
"""Parts of a converted folder that read emotion off a photo -> what they are called."""
UPRIGHT: dict[str, tuple[nn.Module, int]] = {
    "emotion_small": (SmallFaceReader(), SMALL_TRAINED_SIDE),
    "emotion_on_open": (OpenFaceReader(), CROP_SIZE),
}
"""Those of them that see the face as the networks that ship do, upright -> module, pixels a side."""
CODES_NETWORK = "emotion_mlp"
CODES_NETWORK_NAME = "EMO-MLP (3D)"


def load_image_networks(folder: ModelFolder) -> dict[str, Parameters]:
    """Variables of the image networks that a converted folder has, by part, ready for `read_crop`."""
    networks = {part: folder.variables(part) for part in IMAGE_NETWORKS if folder.has(part)}
    if "emotion_resnet50" in networks:
        networks["emotion_resnet50"] = fold_batch_norms(networks["emotion_resnet50"])
    # One by one: as a whole, their order would become that of the alphabet.
    return {part: jax.device_put(variables) for part, variables in networks.items()}


def read_crop(
    part: str, variables: Parameters, crop: Float[np.ndarray, "224 224 3"], upright: ExpressionCrop
) -> AffectRead:
    """What one of `IMAGE_NETWORKS` reads in a face cut out as EMOCA cuts it, RGB in [0, 1]; NumPy leaves, no batch.

    upright: the square in that picture which those of `UPRIGHT` see.
    """
    if part in UPRIGHT:
        return jax.tree.map(np.asarray, _read_upright(part, variables, jnp.asarray(crop), upright))
    return _alone(_read_image(part, variables, jnp.asarray(crop)[None]))


def read_codes(variables: Parameters, codes: Codes) -> AffectRead:
    """What EMO-MLP reads in the codes of one face; NumPy leaves, no batch."""
    detail = codes.detail if takes_detail(variables) else None
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (codes.shape, codes.expression, codes.jaw, detail))
    return _alone(_read_codes(variables, *batch))


def takes_detail(variables: Parameters) -> bool:
    """Whether an EMO-MLP reads the detail code too, by the width of its first layer."""
    return variables["params"]["hidden0"]["kernel"].shape[0] > CODE_INPUTS


@functools.partial(jax.jit, static_argnames="part", compiler_options=CUBLAS)
def _read_image(part: str, variables: Parameters, crops: Float[Array, "batch 224 224 3"]) -> AffectRead:
    if part == "emonet":
        return affect_alone(_apply(EmoNet(), variables, emonet_images(crops)))
    module = EmotionResNet50(folded=True) if part == "emotion_resnet50" else EmotionSwin()
    return _apply(module, variables, crops)


@functools.partial(jax.jit, static_argnames="part", compiler_options=CUBLAS)
def _read_upright(
    part: str, variables: Parameters, image: Float[Array, "height width 3"], crop: ExpressionCrop
) -> AffectRead:
    """The mean over the face and its mirror image, which no expression may depend on."""
    module, size = UPRIGHT[part]
    picture = crop_image(image, crop, size=size)
    read = _apply(module, variables, jnp.stack([picture, picture[:, ::-1]]))
    return jax.tree.map(lambda leaf: leaf.mean(axis=0), affect_alone(read))


@jax.jit
def _read_codes(variables: Parameters, shape: Array, expression: Array, jaw: Array, detail: Array | None) -> AffectRead:
    return _apply(EmotionMLP(), variables, emotion_inputs(shape, expression, jaw, detail=detail))


def _apply(module: nn.Module, variables: Parameters, inputs: Array) -> Any:
    return module.apply(variables, inputs)


def _alone(read: AffectRead) -> AffectRead:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], read)

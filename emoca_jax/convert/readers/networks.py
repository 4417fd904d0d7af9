"""The official encoders, detail decoder, identity network and VGG-19 as variables of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.convert.readers.translate import Translated, translate
from emoca_jax.errors import InputError
from emoca_jax.nets.detail_decoder import BLOCKS, LATENT, DetailDecoder
from emoca_jax.nets.encoders import IMAGE_SIZE, Encoder
from emoca_jax.nets.resnet import STAGES, ResNet50
from emoca_jax.nets.vgg import CONVOLUTIONS, VGG19

State = Mapping[str, np.ndarray]
IMAGE = (1, IMAGE_SIZE, IMAGE_SIZE, 3)


def resnet50_names(*, official: str = "", ours: str = "") -> dict[str, str]:
    """Modules of a PyTorch ResNet-50 -> ours, each with a prefix ("encoder.", "trunk/")."""
    names = {"conv1": "conv1/conv", "bn1": "conv1/norm"}
    for stage, (_, blocks) in enumerate(STAGES, start=1):
        for block in range(blocks):
            source, target = f"layer{stage}.{block}", f"layer{stage}_{block}"
            for index in (1, 2, 3):
                names[f"{source}.conv{index}"] = f"{target}/conv{index}/conv"
                names[f"{source}.bn{index}"] = f"{target}/conv{index}/norm"
        names[f"layer{stage}.0.downsample.0"] = f"layer{stage}_0/shortcut/conv"
        names[f"layer{stage}.0.downsample.1"] = f"layer{stage}_0/shortcut/norm"
    return {official + source: ours + target for source, target in names.items()}


def encoder(state: State, *, what: str = "encoder") -> Translated:
    """E_flame, E_expression or E_detail (`Encoder`): keys `encoder.conv1.weight`, ..., `layers.2.bias`.

    How many numbers the network gives is read off `layers.2`. Errors: InputError where keys are missing.
    """
    names = resnet50_names(official="encoder.", ours="trunk/") | {"layers.0": "hidden", "layers.2": "head"}
    outputs = np.shape(state["layers.2.bias"]) if "layers.2.bias" in state else ()
    if len(outputs) != 1 or not outputs[0]:
        raise InputError(f"This is not a complete {what}: it lacks layers.2.bias; take the official file again.")
    return translate(state, names, template(Encoder(outputs[0]), IMAGE), what=what)


def detail_decoder(state: State, *, what: str = "detail decoder") -> Translated:
    """D_detail (`DetailDecoder`): keys `l1.0.weight`, `conv_blocks.0.weight`, ..., `conv_blocks.21.bias`."""
    names = {"l1.0": "dense", "conv_blocks.0": "norm", "conv_blocks.21": "last"}
    for block in range(len(BLOCKS)):
        # Official sequence: norm, then [upsampling, convolution, norm, ReLU] five times, then the last convolution.
        names[f"conv_blocks.{4 * block + 2}"] = f"block{block}/conv"
        names[f"conv_blocks.{4 * block + 3}"] = f"block{block}/norm"
    return translate(state, names, template(DetailDecoder(), (1, LATENT)), what=what)


def identity_resnet50(state: State, *, what: str = "VGGFace2 ResNet-50") -> Translated:
    """The identity network (`ResNet50("vggface2")`): keys `conv1.weight`, ...; its classifier is left out."""
    shapes = template(ResNet50("vggface2"), IMAGE)
    return translate(state, resnet50_names(), shapes, what=what, skipped=_classifier)


def vgg19(state: State, *, what: str = "VGG-19") -> Translated:
    """VGG-19's convolutions (`VGG19`): keys `features.0.weight` or `0.weight`, ...; its classifier is left out.

    Those behind the last layer that `VGG19` shows are skipped.
    """
    prefix = "features." if any(key.startswith("features.") for key in state) else ""
    names = {f"{prefix}{index}": name for index, name in CONVOLUTIONS.items()}

    def skipped(key: str) -> str | None:
        if key.startswith("classifier."):
            return "classifier"
        place = key.removeprefix(prefix).partition(".")[0]
        behind = place.isdecimal() and int(place) > max(CONVOLUTIONS)
        return "behind the last layer in use" if behind else None

    return translate(state, names, template(VGG19(), IMAGE), what=what, skipped=skipped)


def template(module: nn.Module, shape: tuple[int, ...]) -> Any:
    """Shapes of a network's variables for an input of the given shape."""
    return jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape))


def _classifier(key: str) -> str | None:
    return "classifier of identities" if key.startswith("fc.") else None

"""The official emotion networks' state dictionaries as variables of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from emoca_jax.convert.readers.networks import resnet50_names, template
from emoca_jax.convert.readers.translate import Translated, translate
from emoca_jax.errors import InputError
from emoca_jax.nets.emotion.emonet import EMONET_SIZE, EmoNet
from emoca_jax.nets.emotion.mlp import CODE_INPUTS, DETAIL_INPUTS, HIDDEN_LAYERS, EmotionMLP
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.emotion.swin import SWIN_SIZE, EmotionSwin
from emoca_jax.nets.encoders import IMAGE_SIZE

State = Mapping[str, np.ndarray]


def emotion_resnet50(state: State, *, what: str = "emotion ResNet-50") -> Translated:
    """The emotion network (`EmotionResNet50`): keys `backbone.*` and `linear.*`.

    The trunk's own classifier is left out. Errors: InputError where keys are missing or have other shapes.
    """
    names = resnet50_names(official="backbone.", ours="trunk/") | {"linear": "head"}

    def skipped(key: str) -> str | None:
        return "classifier of identities" if key.startswith("backbone.fc.") else None

    shapes = template(EmotionResNet50(), (1, IMAGE_SIZE, IMAGE_SIZE, 3))
    return translate(state, names, shapes, what=what, skipped=skipped)


def emotion_swin(state: State, *, what: str = "emotion Swin-B") -> Translated:
    """Swin-B (`EmotionSwin`): keys `swin.*`, those of the official Swin transformer; or these without the prefix.

    Errors: InputError where keys are missing or have other shapes (Swin-T and Swin-S, for two).
    """
    return swin(state, EmotionSwin(), (1, SWIN_SIZE, SWIN_SIZE, 3), what=what)


def swin(state: State, module: EmotionSwin, images: tuple[int, ...], *, what: str) -> Translated:
    """`emotion_swin` for a Swin transformer of any size that takes pictures of the given shape."""
    prefix = "swin." if any(key.startswith("swin.") for key in state) else ""
    names = {"patch_embed.proj": "patch_embed", "patch_embed.norm": "patch_norm", "norm": "norm", "head": "head"}
    parts = {"norm1": "norm1", "norm2": "norm2", "mlp.fc1": "fc1", "mlp.fc2": "fc2"}
    parts |= {"attn": "attn", "attn.qkv": "attn/qkv", "attn.proj": "attn/proj"}
    for stage, depth in enumerate(module.depths):
        for block in range(depth):
            for official, ours in parts.items():
                names[f"layers.{stage}.blocks.{block}.{official}"] = f"stage{stage}_block{block}/{ours}"
        for part in ("norm", "reduction"):
            names[f"layers.{stage}.downsample.{part}"] = f"downsample{stage}/{part}"
    names = {prefix + official: ours for official, ours in names.items()}
    return translate(state, names, template(module, images), what=what, skipped=_computed)


def emonet(state: State, *, what: str = "EmoNet (emonet_8.pth)") -> Translated:
    """EmoNet (`EmoNet`): keys as in emonet_8.pth, with `module.` in front or without.

    Errors: InputError where keys are missing or have other shapes (the five-class file, for one).
    """
    shapes = template(EmoNet(), (1, EMONET_SIZE, EMONET_SIZE, 3))
    return translate(state, _emonet_name, shapes, what=what)


def emotion_mlp(state: State, *, what: str = "EMO-MLP") -> Translated:
    """EMO-MLP (`EmotionMLP`) out of an EmoDECA checkpoint: keys `mlp.model.N.*`; the 3D network beside it is skipped.

    Errors: InputError where keys are missing, or the network takes other codes than `emotion_inputs` offers.
    """
    names = {f"mlp.model.{3 * HIDDEN_LAYERS}": "output"}
    for index in range(HIDDEN_LAYERS):
        names[f"mlp.model.{3 * index}"] = f"hidden{index}"
        names[f"mlp.model.{3 * index + 1}"] = f"norm{index}"
    known = (CODE_INPUTS, CODE_INPUTS + DETAIL_INPUTS)
    first = np.shape(state.get("mlp.model.0.weight", ()))
    inputs = first[1] if len(first) == 2 else CODE_INPUTS
    if inputs not in known:
        raise InputError(
            f"This {what} takes {inputs} numbers; give one on shape, expression and jaw ({known[0]}), or on these and "
            f"the detail code ({known[1]})."
        )
    shapes = template(EmotionMLP(), (1, inputs))
    return translate(state, names, shapes, what=what, skipped=_face_network)


def _computed(key: str) -> str | None:
    buffers = {"relative_position_index", "attn_mask"}
    return "table that follows from the window's size" if key.rpartition(".")[2] in buffers else None


def _face_network(key: str) -> str | None:
    return "3D face network, converted from its own checkpoint" if key.startswith("deca.") else None


EMONET_NAMES = {
    "conv1x1_input_emo_2": "emotion_input",
    "emo_fc_2.0": "emotion_hidden",
    "emo_fc_2.1": "emotion_bn",
    "emo_fc_2.3": "emotion_output",
}
EMONET_BLOCK = re.compile(r"emo_net_2\.(\d*[02468])\.")
"""The emotion branch of EmoNet: its blocks stand at even places of a sequence, pooling between them."""


def _emonet_name(module: str) -> str | None:
    module = module.removeprefix("module.")
    module = EMONET_NAMES.get(module, module)
    module = EMONET_BLOCK.sub(lambda found: f"emotion_block{int(found[1]) // 2}.", module)
    return module.replace("downsample.0", "skip_bn").replace("downsample.2", "skip_conv").replace(".", "/")

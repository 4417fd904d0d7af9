"""Made-up weights in the official key names and layouts: the ones that the reference numbers were computed with.

`make_reference.py` beside the reference numbers draws every tensor from its name and a seed; here only what a test asks
for is drawn, in memory (FLAME's: `tests.flame.made_up_flame`). Every function skips the test where the reference folder
is absent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.flame.made_up_flame import reference_module
from tests.shared_data import shared_path

State = dict[str, np.ndarray]
RUNS = {"emoca": "EMOCA.", "emoca_jaw": "EMOCA_v2.", "deca": ""}
"""Variant -> prefix of its own tensors' names; the coarse encoder is the same in all of them."""


def _draw(seed: int) -> Any:
    return reference_module().Draw(seed)


def flame_encoder(seed: int = 0) -> State:
    """E_flame, 236 outputs: keys `encoder.conv1.weight`, ..., `layers.2.bias`. One for all variants."""
    module = reference_module()
    return dict(module.encoder_sd(_draw(seed), "E_flame.", 236, module.FLAME_LAYOUT))


def expression_encoder(variant: str = "emoca", seed: int = 0) -> State:
    """E_expression of "emoca" (50 outputs) or "emoca_jaw" (53)."""
    layout = {"emoca": [("exp", 0, 50)], "emoca_jaw": [("exp", 0, 50), ("jaw", 50, 53)]}[variant]
    outputs = layout[-1][2]
    return dict(reference_module().encoder_sd(_draw(seed), RUNS[variant] + "E_expression.", outputs, layout))


def detail_encoder(variant: str = "emoca", seed: int = 0) -> State:
    """E_detail, 128 outputs, of "emoca", "emoca_jaw" or "deca"."""
    return dict(reference_module().encoder_sd(_draw(seed), RUNS[variant] + "E_detail.", 128, [("detail", 0, 128)]))


def detail_decoder(variant: str = "emoca", seed: int = 0) -> State:
    """D_detail: keys `l1.0.weight`, ..., `conv_blocks.21.bias`."""
    return dict(reference_module().generator_sd(_draw(seed), RUNS[variant] + "D_detail."))


def vggface2(seed: int = 0) -> State:
    """The identity network, as `resnet50_ft_weight.pkl` holds it (no counters, `fc` of 8631)."""
    module = reference_module()
    return dict(module.fill(_draw(seed), module.resnet50("", tracked=False, fc=8631), "VGGFace2.", module.gain_face))


def vgg19(seed: int = 0) -> State:
    """VGG-19's convolutions: keys `features.0.weight`, ..."""
    module = reference_module()
    filled = module.fill(_draw(seed), module.vgg19_features(""), "vgg19.features.")
    return {f"features.{key}": value for key, value in filled.items()}


def emotion_resnet(seed: int = 0) -> State:
    """The emotion network: keys `backbone.conv1.weight`, ..., `backbone.fc.bias`, `linear.weight`, `linear.bias`."""
    module = reference_module()
    spec = module.resnet50("backbone.", fc=8631) + module.linear("linear", 10, 2048)
    return dict(module.fill(_draw(seed), spec, "EmoCnn.", module.gain_emo))


def emonet(seed: int = 0) -> State:
    """EmoNet with 8 classes, without the file's `module.` prefix."""
    module = reference_module()

    def gain(key: str) -> float:
        if key in ("l0.weight", "l1.weight", "conv1x1_input_emo_2.weight"):
            return 0.005
        if key == "emo_fc_2.3.weight":
            return 0.3
        inner = ".conv" in key and key.endswith("weight") and not key.startswith("conv")
        return 0.35 if inner else 1.0

    return dict(module.fill(_draw(seed), module.emonet(""), "EmoNet.", gain))


def emotion_mlp(seed: int = 0) -> State:
    """EMO-MLP without detail code: keys `mlp.model.0.weight`, ..."""
    module = reference_module()
    return dict(module.fill(_draw(seed), module.mlp("mlp.", 153, 10, [2048] * 4), "EmoDECA."))


def albedo(kind: str = "BFM", seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean [512, 512, 3] and basis [512, 512, 3, 199 or 200] of "BFM" (in [0, 1]) or "FLAME" (in [0, 255]), BGR."""
    name, components, scale = {"BFM": ("texture.bfm", 199, 1.0), "FLAME": ("texture.flame", 200, 255.0)}[kind]
    return reference_module().texture(_draw(seed), name, components, scale)


def golden(name: str, seed: int = 0) -> dict[str, np.ndarray]:
    """The arrays of one file of reference numbers, e.g. `golden("encoders")`."""
    with np.load(shared_path(f"reference/golden/seed{seed}/{name}.npz"), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def images(seed: int = 0) -> np.ndarray:
    """The reference's inputs: [4, 224, 224, 3] float32 RGB in [0, 1]; two photos, two patterns."""
    return np.ascontiguousarray(golden("inputs", seed)["images_u8"].transpose(0, 2, 3, 1)).astype(np.float32) / 255

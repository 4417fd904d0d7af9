"""EMOCA checkpoints and DECA's weights as the parts of one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict

from emoca_jax.convert.readers import networks
from emoca_jax.convert.readers.flame import EXPRESSIONS, SHAPES
from emoca_jax.convert.readers.pieces import shape_of
from emoca_jax.convert.readers.translate import UNKNOWN, Row, Translated
from emoca_jax.errors import InputError

OUTPUTS = {"flame_encoder": (236,), "expression_encoder": (50, 53), "detail_encoder": (128,)}
"""How many numbers each encoder gives; 53 = expression and jaw (`exp_deca_jaw_pose`)."""
WITH_JAW = 53
OFFICIAL_NAMES = {
    "flame_encoder": "E_flame",
    "expression_encoder": "E_expression",
    "detail_encoder": "E_detail",
    "detail_decoder": "D_detail",
}
SKIPPED_PREFIXES = {
    "deca.perceptual_loss.": "VGG-19 of the ID-MRF loss, converted from its own file",
    "deca.id_loss.": "identity loss, converted from resnet50_ft_weight.pkl",
    "id_loss.": "identity loss, converted from resnet50_ft_weight.pkl",
    "deca.emonet_loss.": "emotion network of the loss, converted from its own run folder",
    "emonet_loss.": "emotion network of the loss, converted from its own run folder",
    "deca.lipread_loss.": "lip-reading loss, used in training only",
    "lipread_loss.": "lip-reading loss, used in training only",
    "deca.render.": "constant of the official renderer",
}
"""Prefix of keys -> why they are left out."""
BESIDE = {
    "optimizer_states": "optimizer states, used to go on training only",
    "lr_schedulers": "optimizer states, used to go on training only",
    "callbacks": "bookkeeping of the training",
    "hparams_name": "bookkeeping of the training",
    "hyper_parameters": "settings, taken from cfg.yaml",
}
"""What a Lightning checkpoint holds beside its weights -> why it is left out."""
ALBEDO_PARTS = {"BFM": "bfm", "FLAME": "flame"}
"""`tex_type` of the configuration -> the albedo part that the model was trained with."""


class Model(NamedTuple):
    """A model's networks and what model.json says of it."""

    variant: str
    parts: dict[str, Translated]
    options: dict[str, Any]


def emoca_model(state: Mapping[str, Any], settings: Mapping[str, Any], place: str) -> Model:
    """Networks of a `deca.*` state dictionary; `settings` is the section "model" of its configuration, or {}.

    Errors: InputError where keys are missing, shapes differ, or configuration and weights contradict each other.
    """
    groups = {
        part: {
            key.removeprefix(f"deca.{name}."): value for key, value in state.items() if key.startswith(f"deca.{name}.")
        }
        for part, name in OFFICIAL_NAMES.items()
    }
    if not groups["expression_encoder"]:
        del groups["expression_encoder"]
    outputs = np.shape(groups.get("expression_encoder", {}).get("layers.2.bias", ()))
    says_jaw = settings.get("exp_deca_jaw_pose")
    if outputs and says_jaw is not None and bool(says_jaw) != (outputs[0] == WITH_JAW):
        raise InputError(
            f"{place}: cfg.yaml says exp_deca_jaw_pose: {says_jaw}, but E_expression gives {outputs[0]} numbers: take "
            "the configuration and the checkpoint of one release."
        )
    parts = {part: _network(part, group, f"deca.{OFFICIAL_NAMES[part]}.", place) for part, group in groups.items()}
    variant = "deca"
    if "expression_encoder" in parts:
        variant = "emoca_jaw" if _outputs(parts["expression_encoder"]) == WITH_JAW else "emoca"
    return Model(variant, parts, _options(settings))


def deca_model(content: Mapping[str, Any], place: str) -> Model:
    """Networks of `deca_model.tar`: state dictionaries E_flame, E_detail, D_detail."""
    names = {part: name for part, name in OFFICIAL_NAMES.items() if part != "expression_encoder"}
    parts = {part: _network(part, content.get(name, {}), f"{name}.", place) for part, name in names.items()}
    return Model("deca", parts, _options({}))


def tensors(translated: Translated) -> dict[str, np.ndarray]:
    """Arrays by their path, as a part's file holds them."""
    flat: Any = flatten_dict(translated.variables, sep="/")
    return flat


def other_rows(state: Mapping[str, Any], used: set[str], beside: tuple[str, ...]) -> list[Row]:
    """Rows of the keys that are no network and no head, and of what lies beside the state dictionary."""
    rows = [Row(key, None, shape_of(value), _reason(key)) for key, value in state.items() if key not in used]
    return rows + [Row(name, None, (), BESIDE.get(name, "bookkeeping of the training")) for name in beside]


def _reason(key: str) -> str:
    return next((reason for prefix, reason in SKIPPED_PREFIXES.items() if key.startswith(prefix)), UNKNOWN)


def _network(part: str, state: Mapping[str, Any], prefix: str, place: str) -> Translated:
    what = f"{prefix.rstrip('.')} in {place}"
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    translate: Callable[..., Translated] = networks.detail_decoder if part == "detail_decoder" else networks.encoder
    translated = translate(state, what=what)
    if part in OUTPUTS and _outputs(translated) not in OUTPUTS[part]:
        expected = " or ".join(f"({number},)" for number in OUTPUTS[part])
        raise InputError(
            f"{place}: {prefix}layers.2.bias has shape ({_outputs(translated)},), expected {expected}: this model has "
            "other codes than EMOCA and DECA."
        )
    rows = [
        row._replace(source=prefix + row.source, target=row.target and f"{part}: {row.target}")
        for row in translated.rows
    ]
    return translated._replace(rows=rows)


def _outputs(translated: Translated) -> int:
    return translated.variables["params"]["head"]["bias"].shape[0]


def _options(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "shape": SHAPES,
        "expression": EXPRESSIONS,
        "albedo_components": 50,
        "detail": 128,
        "light": 27,
        "image_size": 224,
        "uv_size": 256,
        "albedo": ALBEDO_PARTS.get(str(settings.get("tex_type", "BFM")), "bfm"),
    }

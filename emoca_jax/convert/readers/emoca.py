"""EMOCA checkpoints and DECA's weights as the parts of one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict

from emoca_jax.convert.kinds import Found
from emoca_jax.convert.readers import albedo, flame, networks, uv_maps
from emoca_jax.convert.readers.flame import EXPRESSIONS, SHAPES
from emoca_jax.convert.readers.pieces import Pieces, shape_of
from emoca_jax.convert.readers.translate import UNKNOWN, Row, Translated
from emoca_jax.convert.run_folders import CONFIG_NAME, config_of, read_config, settings, stage_of
from emoca_jax.errors import InputError
from emoca_jax.nets.encoders import (
    DETAIL_OUTPUTS,
    EXPRESSION_JAW_OUTPUTS,
    EXPRESSION_OUTPUTS,
    FLAME_OUTPUTS,
    IMAGE_SIZE,
)

OUTPUTS = {
    "flame_encoder": (FLAME_OUTPUTS,),
    "expression_encoder": (EXPRESSION_OUTPUTS, EXPRESSION_JAW_OUTPUTS),
    "detail_encoder": (DETAIL_OUTPUTS,),
}
"""How many numbers each encoder gives; the jaw with the expression where `exp_deca_jaw_pose` is set."""
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
    """What a checkpoint gives: a model, and copies of what other official files give as well."""

    name: str
    """As the run folder is called."""
    variant: str
    """One of VARIANTS of `model_folder`."""
    networks: dict[str, Pieces]
    """By MODEL_PARTS of `model_folder`."""
    options: dict[str, Any]
    """What model.json says of it."""
    copies: dict[str, Pieces]
    """Of the parts "head", "maps" and "albedo_*", those that the checkpoint carries."""
    others: list[Row]
    """Rows of all else in the file."""
    notes: list[str]


def read_emoca(found: Found, place: str) -> Model:
    """An EMOCA checkpoint with the settings of the run folder around it, where there is one.

    Errors: InputError where keys are missing, shapes differ, or configuration and weights contradict each other.
    """
    config_place = config_of(found.path)
    config = read_config(config_place) if config_place else {}
    stage = stage_of(config_place.parent, found.path) if config_place else ""
    chosen = settings(config, stage, "model")
    variant, parts = emoca_networks(found.content, chosen, place)
    options = _options(chosen) | {"source": place} | ({"stage": stage} if stage else {})
    copies = _copies(found.content, f"albedo_{options['albedo']}", place)
    used = {row.source for pieces in (*parts.values(), *copies.values()) for row in pieces.rows}
    name = config_place.parent.name if config_place else variant.upper()
    notes = [] if config_place else [f"no {CONFIG_NAME} beside it: settings read off the shapes"]
    return Model(name, variant, parts, options, copies, _other_rows(found.content, used, found.beside), notes)


def read_deca(found: Found, place: str) -> Model:
    """`deca_model.tar`: state dictionaries E_flame, E_detail, D_detail. Errors: InputError as for `read_emoca`."""
    names = {part: name for part, name in OFFICIAL_NAMES.items() if part != "expression_encoder"}
    parts = {part: _network(part, found.content.get(name, {}), f"{name}.", place) for part, name in names.items()}
    return Model("DECA", "deca", parts, _options({}) | {"source": place}, {}, [], [])


def emoca_networks(state: Mapping[str, Any], chosen: Mapping[str, Any], place: str) -> tuple[str, dict[str, Pieces]]:
    """Variant and networks of a `deca.*` state dictionary; `chosen`: the section "model" of its configuration."""
    groups = {
        part: {
            key.removeprefix(f"deca.{name}."): value for key, value in state.items() if key.startswith(f"deca.{name}.")
        }
        for part, name in OFFICIAL_NAMES.items()
    }
    if not groups["expression_encoder"]:
        del groups["expression_encoder"]
    outputs = np.shape(groups.get("expression_encoder", {}).get("layers.2.bias", ()))
    says_jaw = chosen.get("exp_deca_jaw_pose")
    if outputs and says_jaw is not None and bool(says_jaw) != (outputs[0] == EXPRESSION_JAW_OUTPUTS):
        raise InputError(
            f"{place}: cfg.yaml says exp_deca_jaw_pose: {says_jaw}, but E_expression gives {outputs[0]} numbers: take "
            "the configuration and the checkpoint of one release."
        )
    parts = {part: _network(part, group, f"deca.{OFFICIAL_NAMES[part]}.", place) for part, group in groups.items()}
    if "expression_encoder" not in parts:
        return "deca", parts
    return "emoca_jaw" if _outputs(parts["expression_encoder"]) == EXPRESSION_JAW_OUTPUTS else "emoca", parts


def _copies(state: Mapping[str, Any], albedo_part: str, place: str) -> dict[str, Pieces]:
    """What a checkpoint carries beside its networks: FLAME, uv maps and the albedo model."""
    readers = {
        "head": ("deca.flame.", lambda: flame.checkpoint_head(state, place)),
        "maps": ("deca.", lambda: uv_maps.checkpoint_maps(state, place)),
        albedo_part: ("deca.flametex.", lambda: albedo.checkpoint_albedo(state, albedo_part, place)),
    }
    return {
        part: read() for part, (prefix, read) in readers.items() if any(str(key).startswith(prefix) for key in state)
    }


def network_pieces(part: str, translated: Translated, *, beside: tuple[str, ...] = ()) -> Pieces:
    """A network's arrays by their path, as its file holds them; `beside`: what its checkpoint holds besides."""
    flat: Any = flatten_dict(translated.variables, sep="/")
    rows = [row._replace(target=row.target and f"{part}: {row.target}") for row in translated.rows]
    return Pieces(flat, rows + _other_rows({}, set(), beside))


def _other_rows(state: Mapping[str, Any], used: set[str], beside: tuple[str, ...]) -> list[Row]:
    """Rows of the keys that are no network and no head, and of what lies beside the state dictionary."""
    rows = [Row(key, None, shape_of(value), _reason(key)) for key, value in state.items() if key not in used]
    return rows + [Row(name, None, (), BESIDE.get(name, "bookkeeping of the training")) for name in beside]


def _reason(key: str) -> str:
    return next((reason for prefix, reason in SKIPPED_PREFIXES.items() if key.startswith(prefix)), UNKNOWN)


def _network(part: str, state: Mapping[str, Any], prefix: str, place: str) -> Pieces:
    what = f"{prefix.rstrip('.')} in {place}"
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    translate: Callable[..., Translated] = networks.detail_decoder if part == "detail_decoder" else networks.encoder
    pieces = network_pieces(part, translate(state, what=what))
    if part in OUTPUTS and _outputs(pieces) not in OUTPUTS[part]:
        expected = " or ".join(f"({number},)" for number in OUTPUTS[part])
        raise InputError(
            f"{place}: {prefix}layers.2.bias has shape ({_outputs(pieces)},), expected {expected}: this model has "
            "other codes than EMOCA and DECA."
        )
    return pieces._replace(rows=[row._replace(source=prefix + row.source) for row in pieces.rows])


def _outputs(network: Pieces) -> int:
    """How many numbers an encoder gives."""
    return len(network.arrays["params/head/bias"])


def _options(chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "shape": SHAPES,
        "expression": EXPRESSIONS,
        "albedo_components": 50,
        "detail": DETAIL_OUTPUTS,
        "light": 27,
        "image_size": IMAGE_SIZE,
        "uv_size": 256,
        "albedo": ALBEDO_PARTS.get(str(chosen.get("tex_type", "BFM")), "bfm"),
    }

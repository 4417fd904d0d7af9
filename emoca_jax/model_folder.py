"""Converted models on disk: `model.json` says what there is, safetensors beside it hold the numbers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open

from emoca_jax.errors import InputError
from emoca_jax.files.regular import LARGEST_DESCRIPTION, open_regular, read_regular
from emoca_jax.flame.head import FaceHead
from emoca_jax.flame.head_file import load_albedo, load_head
from emoca_jax.nets.declared import check_network

FORMAT_VERSION = 1
KIND = "emoca_jax model"
DESCRIPTION_NAME = "model.json"
LICENCE_NOTE = (
    "Converted from files of their owners: FLAME, DECA, EMOCA and the networks beside them keep their licences "
    "(most allow non-commercial research only). Do not pass this folder on; see `emoca fetch-help`."
)

SHARED_PARTS = {
    "head": "generic_model.pkl (FLAME), landmark_embedding.npy and head_template.obj, or an EMOCA checkpoint",
    "albedo_bfm": "FLAME_albedo_from_BFM.npz",
    "albedo_flame": "FLAME_texture.npz",
    "maps": "uv_face_eye_mask.png and fixed_displacement_256.npy of EMOCA's or DECA's assets",
    "emotion_resnet50": "the run folder ResNet50 of EMOCA's EmotionRecognition/image_based_networks",
    "emotion_swin": "the run folder SWIN-B of EMOCA's EmotionRecognition/image_based_networks",
    "emonet": "emonet_8.pth of the EmoNet repository",
    "emotion_small": "network.npz of a run of configs/open/emotion_small.py",
    "emotion_on_open": "network.npz of a run of configs/open/emotion_on_open.py",
    "emotion_mlp": "the run folder EMOCA-emorec of EMOCA's EmotionRecognition/face_reconstruction_based",
    "identity_resnet50": "resnet50_ft_weight.pkl (VGGFace2)",
    "vgg19": "vgg19-dcbb9e9d.pth (torchvision)",
}
"""Parts that all models of a folder share -> the official file that gives them."""
MODEL_PARTS = ("flame_encoder", "expression_encoder", "detail_encoder", "detail_decoder")
"""Networks of one model; plain DECA has no expression encoder."""
VARIANTS = ("emoca", "emoca_jaw", "deca")
"""Expression from E_expression; expression and jaw from it (v2); both from E_flame."""
MAP_SIDE = 256
MAP_NAMES = {
    "face_mask": "uv_face_mask.png",
    "face_eye_mask": "uv_face_eye_mask.png",
    "fixed_displacement": "fixed_displacement_256.npy",
    "dense_template": "texture_data_256.npy",
}
"""Arrays of the part `maps` -> the official file that gives them."""


@dataclass(frozen=True)
class ModelFolder:
    """A converted folder and one of its models; reads a part when it is asked for."""

    path: Path
    name: str | None
    """Which of the models; None where the folder holds none."""
    description: Mapping[str, Any]
    """`model.json` as it is."""

    @property
    def variant(self) -> str:
        """One of VARIANTS. Errors: InputError where the folder holds no model."""
        return self._model["variant"]

    @property
    def options(self) -> Mapping[str, Any]:
        """Sizes and switches of the model, from its `cfg.yaml` and its shapes."""
        return self._model["options"]

    @cached_property
    def head(self) -> FaceHead:
        """The head with the albedo model this model was trained with. Errors: InputError where it is incomplete."""
        place = self.file("head")
        head = load_head(place)
        if self.name is None:
            return head
        albedo = f"albedo_{self.options.get('albedo')}"
        # Codes of one texture space mean other colours in another: grey is honest.
        known = albedo in self.description["parts"]
        return head.replace(albedo=load_albedo(self.file(albedo)) if known else None)

    @cached_property
    def maps(self) -> dict[str, Any]:
        """Those of MAP_NAMES that there are.

        face_mask, face_eye_mask float32 [256, 256] in [0, 1], fixed_displacement [256, 256] in metres, row 0 at v = 1;
        dense_template: dictionary of the dense mesh over the uv map.
        """
        return unflatten_dict(read_tensors(self.file("maps")), sep="/")

    def map(self, name: str) -> Any:
        """One of `maps`. Errors: InputError where it is not there, naming the official file that gives it."""
        if not self.has("maps") or name not in self.maps:
            raise InputError(
                f"{self.path} has no {name}: convert {MAP_NAMES[name]} into it (`emoca fetch-help` says where that "
                "comes from)."
            )
        found = self.maps[name]
        if name in MAP_NAMES and isinstance(found, np.ndarray) and not _is_map(found):
            raise InputError(
                f"{self.path}: {name} is no map of {MAP_SIDE} x {MAP_SIDE} sound numbers: convert {MAP_NAMES[name]} "
                "again."
            )
        return found

    def variables(self, part: str) -> dict[str, Any]:
        """A network's {"params": ..., "batch_stats": ...}, nested dictionaries of float32 NumPy arrays.

        part: one of MODEL_PARTS, or of the networks among SHARED_PARTS. Errors: InputError where it is not there
        (naming the official file that gives it) or damaged.
        """
        place = self.file(part)
        arrays = read_tensors(place)
        check_network(part, arrays, str(place), jaw=part in MODEL_PARTS and self.variant == "emoca_jaw")
        return unflatten_dict(arrays, sep="/")

    def file(self, part: str) -> Path:
        """Where a part lies, whole.

        Errors: InputError where the folder lacks it, naming the official file that gives it; where it is not what was
        written (by its hash); and where links lead out of the folder.
        """
        parts = self._model["parts"] if part in MODEL_PARTS else self.description["parts"]
        if part not in parts:
            source = SHARED_PARTS.get(part, "an EMOCA run folder, or deca_model.tar for plain DECA")
            if part == "head" and self.description.get("missing"):
                source = ", ".join(self.description["missing"])
            place = self.path if part in SHARED_PARTS else self.path / (self.name or "")
            raise InputError(
                f"{place} has no {part}: convert {source} into {self.path} (`emoca fetch-help` says where that comes "
                "from)."
            )
        hashes = self.description.get("files", {})
        beside = [PurePosixPath(parts[part]).with_suffix(".json").as_posix()] if part == "head" else []
        for name in (parts[part], *beside):
            place = inside(self.path, name)
            if hashes.get(name) and file_sha256(place) != hashes[name]:
                raise InputError(f"{place} is damaged, its contents have changed: convert the official files again.")
        return self.path / parts[part]

    def has(self, part: str) -> bool:
        """Whether the folder (for one of MODEL_PARTS: this model) has that part."""
        return part in (self._model["parts"] if part in MODEL_PARTS else self.description["parts"])

    @property
    def _model(self) -> Mapping[str, Any]:
        if self.name is None:
            raise InputError(
                f"{self.path} holds no model yet: convert an EMOCA run folder or deca_model.tar into it (`emoca "
                "fetch-help` says where they come from)."
            )
        return self.description["models"][self.name]


def read_model_folder(path: str | Path) -> ModelFolder:
    """The folder that `emoca convert` made (its default model), or FOLDER/NAME for another of its models.

    Errors: InputError where there is none, or its description is damaged or of another version.
    """
    path = Path(path)
    if os.path.isfile(path / DESCRIPTION_NAME):
        description = read_description(path)
        return ModelFolder(path, description["default"], description)
    if os.path.isfile(path.parent / DESCRIPTION_NAME):
        description = read_description(path.parent)
        if path.name in description["models"]:
            return ModelFolder(path.parent, path.name, description)
        known = ", ".join(sorted(description["models"])) or "none"
        raise InputError(f"{path.parent} holds no model {path.name!r}; its models: {known}.")
    raise InputError(f"{path} is no converted model: make one with `emoca convert SOURCE --output {path}`.")


def read_description(folder: Path) -> dict[str, Any]:
    """`model.json` of a folder, checked. Errors: InputError where it is damaged, foreign or leads out of the folder."""
    place = folder / DESCRIPTION_NAME
    try:
        description = json.loads(read_regular(place, most=LARGEST_DESCRIPTION))
        if not isinstance(description, dict) or "kind" not in description:
            raise InputError(f"{place} is no description of a converted model: give a folder made by `emoca convert`.")
        if description["kind"] != KIND or description["format"] != FORMAT_VERSION:
            raise InputError(
                f"{place} is of kind {description['kind']!r:.80}, format {description['format']!r:.80}; this version "
                f"reads {KIND}, format {FORMAT_VERSION}: convert the official files again."
            )
        _check_kinds(description)
        models, default = description["models"], description["default"]
        files = [
            *description["parts"].values(),
            *(file for model in models.values() for file in model["parts"].values()),
        ]
        sound = (default is None or default in models) and all(
            isinstance(model["options"], dict) and model["variant"] in VARIANTS for model in models.values()
        )
        if not sound or not all(_stays_inside(file) for file in files):
            raise ValueError("its entries contradict each other")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{place} is damaged ({error!r}): convert the official files again.") from error
    return description


def read_tensors(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Arrays of a safetensors file by their path ("params/conv1/kernel"). Errors: InputError where it is damaged."""
    try:
        open_regular(path).close()
        with safe_open(path, framework="numpy") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no mapping)
    # Of kinds of numbers that NumPy does not have, safetensors asks it all the same.
    except (OSError, ValueError, TypeError, AttributeError, InputError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read ({error}): convert the official files again.") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces. Errors: InputError where it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, InputError) as error:
        raise InputError(f"{path} cannot be read ({str(error).removeprefix(f'{path}: ')}).") from error


def _is_map(array: Shaped[np.ndarray, "..."]) -> bool:
    # NaN compares false.
    sound = array.shape == (MAP_SIDE, MAP_SIDE) and array.dtype.kind == "f"
    return sound and bool(np.abs(array).max() <= 1)


def _check_kinds(description: Mapping[str, Any]) -> None:
    """That the entries are texts, lists and tables where they should be. Errors: ValueError or TypeError."""
    texts = [*description["parts"].values(), *description.get("missing", []), *description.get("optional", [])]
    texts += [description.get("licence", ""), *description.get("files", {}).values()]
    texts += [source["path"] for source in description.get("sources", [])]
    texts += [file for model in description["models"].values() for file in model["parts"].values()]
    tables = [origins for origins in description.get("origins", {}).values()]
    options = [value for model in description["models"].values() for value in model["options"].values()]
    if not (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(table, dict) for table in tables)
        and all(isinstance(option, str | int | float | None) for option in options)
    ):
        raise ValueError("an entry is of the wrong kind")


def inside(folder: Path, name: str) -> Path:
    """Where a file of the folder lies. Errors: InputError where links lead out of the folder."""
    place, root = folder / name, os.path.realpath(folder)
    try:
        outside = os.path.commonpath([root, os.path.realpath(place)]) != root
    except ValueError as error:
        raise InputError(f"{folder} speaks of {name!r}, which no file can be called: convert again.") from error
    if outside:
        raise InputError(f"{place} is reached by a link that leads out of {folder}: put the file itself there.")
    return place


def _stays_inside(file: str) -> bool:
    parts = PurePosixPath(file).parts
    return bool(parts) and not PurePosixPath(file).is_absolute() and ".." not in parts

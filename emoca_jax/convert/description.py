"""`model.json` of a conversion: what an earlier one left, and what there is now."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emoca_jax.convert.gathered import Gathered, missing_for_head
from emoca_jax.convert.merge import Folder
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular
from emoca_jax.files.version import package_version
from emoca_jax.model_folder import (
    DESCRIPTION_NAME,
    FORMAT_VERSION,
    KIND,
    LICENCE_NOTE,
    MAP_NAMES,
    SHARED_PARTS,
    file_sha256,
    inside,
    read_description,
    read_tensors,
)

HEAD_FILE, MAPS_FILE = "head.safetensors", "maps.safetensors"
OFFICIAL_DEFAULT = "EMOCA_v2_lr_mse_20"
"""The model that the official demos take."""
NEEDED_MAPS = ("face_eye_mask", "fixed_displacement")
"""Of MAP_NAMES, those without which there is no detail."""


def earlier_description(output: Path | None) -> dict[str, Any]:
    """The description that an earlier conversion left in the folder; {} where it is damaged or there is none.

    Errors: InputError where the folder holds something else's model.json.
    """
    if output is None or not os.path.lexists(output / DESCRIPTION_NAME):
        return {}
    try:
        return read_description(output)
    except InputError:
        if KIND.encode() in read_regular(output / DESCRIPTION_NAME):
            return {}
        raise InputError(f"{output} holds the {DESCRIPTION_NAME} of something else: give another --output.") from None


def earlier_folder(output: Path | None, description: Mapping[str, Any]) -> Folder:
    """What the description speaks of; head and maps that are damaged are made anew."""
    if output is None or not description:
        return Folder()
    gathered = {"head": Gathered(), "maps": Gathered()}
    for part, name in (("head", HEAD_FILE), ("maps", MAPS_FILE)):
        with contextlib.suppress(InputError):
            place = inside(output, name)
            digest = description.get("files", {}).get(name)
            if digest and file_sha256(place) != digest:
                continue
            origins = description.get("origins", {}).get(name, {})
            gathered[part] = Gathered(read_tensors(place), dict(origins))
    return Folder(gathered["head"], gathered["maps"], parts=description["parts"], models=description["models"])


def describe(
    folder: Folder, written: Mapping[str, str], sources: Mapping[str, Mapping[str, str]], before: Mapping[str, Any]
) -> dict[str, Any]:
    """`model.json` after a conversion: what was there before, renewed.

    written: name -> sha256 of the new files; sources: shown name -> entry of each file that was converted.
    """
    used = {*folder.parts.values(), *(file for model in folder.models.values() for file in model["parts"].values())}
    if folder.head.arrays:
        used |= {HEAD_FILE, Path(HEAD_FILE).with_suffix(".json").name}
    hashes = {**before.get("files", {}), **written}
    all_sources = {**{entry["path"]: entry for entry in before.get("sources", ())}, **sources}
    return {
        "format": FORMAT_VERSION,
        "kind": KIND,
        "made_by": f"emoca_jax {package_version()}",
        "licence": LICENCE_NOTE,
        "default": _default(folder.models, before.get("default")),
        "models": dict(folder.models),
        "parts": dict(sorted(folder.parts.items())),
        "missing": _missing(folder),
        "optional": _optional(folder),
        "sources": list(all_sources.values()),
        "files": {name: hashes.get(name, "") for name in sorted(used)},
        "origins": {HEAD_FILE: dict(folder.head.origins), MAPS_FILE: dict(folder.maps.origins)},
    }


def _missing(folder: Folder) -> list[str]:
    """Official files without which a model of the folder cannot be decoded in full."""
    maps = {name.partition("/")[0] for name in folder.maps.arrays}
    missing = missing_for_head(folder.head.arrays) + [MAP_NAMES[name] for name in NEEDED_MAPS if name not in maps]
    return missing if folder.models else [*missing, "an EMOCA run folder or deca_model.tar"]


def _optional(folder: Folder) -> list[str]:
    """Official files without which albedo is grey: nobody may pass on BFM's, so most downloads lack it."""
    albedos = {f"albedo_{model['options']['albedo']}" for model in folder.models.values()}
    return [SHARED_PARTS[part] for part in sorted(albedos - set(folder.parts))]


def _default(models: Mapping[str, Any], before: str | None) -> str | None:
    """The model meant where none is named: as before, else the official demos' one, else by variant and name."""
    if before in models:
        return before
    if OFFICIAL_DEFAULT in models:
        return OFFICIAL_DEFAULT
    rank = ("emoca_jaw", "emoca", "deca")
    return min(models, key=lambda name: (rank.index(models[name]["variant"]), name), default=None)

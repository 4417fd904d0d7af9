"""`emoca info`: what is installed and where things are kept, or what a file or model folder is."""

from __future__ import annotations

import argparse
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from emoca_jax.commands import compile_cache
from emoca_jax.files.version import package_version

if TYPE_CHECKING:
    from emoca_jax.model_folder import ModelFolder

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "pillow")


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "info",
        help="print versions, devices, the head and the cache folder; or what a file is and whether it is complete",
        description="Without PATH: versions, devices, the head and the cache folder. With PATH: what a model folder "
        "holds and what it lacks, or what an official file (or a folder of them) is. Exit code 1: incomplete.",
    )
    parser.add_argument("path", nargs="?", metavar="PATH", help="a model folder, or official files")
    parser.add_argument("--head", default="open", metavar="open|PATH", help="head to describe (default: open)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a short table. Errors: InputError where the head or the path cannot be read."""
    if arguments.path is not None:
        return _describe(Path(arguments.path))
    folder = compile_cache.enable()
    import jax

    from emoca_jax import flame

    head = flame.load_head(arguments.head)
    state = "filled" if compile_cache.is_warm(folder) else "empty: the next run compiles"
    rows = {
        "emoca_jax": package_version(),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: metadata.version(name) for name in PACKAGES},
        "devices": ", ".join(f"{device.device_kind} ({device.platform})" for device in jax.devices()),
        "head": (
            f"{head.name}: {head.template.shape[0]} vertices, {head.faces.shape[0]} triangles, "
            f"{head.shape_dirs.shape[-1]} identity and {head.expression_dirs.shape[-1]} expression directions"
        ),
        "parts": ", ".join(head.part_names),
        "cache": f"{folder} ({state})" if folder else "none: no folder can be written, every run compiles",
    }
    _print(rows)
    return 0


def _describe(path: Path) -> int:
    from emoca_jax.model_folder import DESCRIPTION_NAME, read_model_folder

    if path.name == DESCRIPTION_NAME:
        path = path.parent
    if os.path.isfile(path) and (owner := _owner(path)):
        print(f"{path.name}: part of the model folder {owner}")
        return _describe_folder(read_model_folder(owner))
    if any(os.path.isfile(place / DESCRIPTION_NAME) for place in (path, path.parent)) and not os.path.isfile(path):
        return _describe_folder(read_model_folder(path))
    from emoca_jax.jobs.open_encoder import DESCRIPTION_NAME as OPEN_DESCRIPTION
    from emoca_jax.jobs.open_encoder import is_open_encoder, load_open_encoder

    folder = path.parent if path.name == OPEN_DESCRIPTION else path
    if is_open_encoder(folder):
        model = load_open_encoder(folder)
        print(f"{folder}: encoders for the open head, {model.name}; complete: `emoca reconstruct --model` takes it")
        return 0
    from emoca_jax.commands.convert import convert_quietly, print_summary
    from emoca_jax.convert.report import DONE, FAILED, IGNORED

    outcome = convert_quietly([path], None)
    print_summary(outcome.reports)
    for report in outcome.reports:
        if report.state == IGNORED and len(outcome.reports) == 1:
            print(f"{report.path}: {'; '.join(report.notes)}")
    if outcome.count(FAILED) or not outcome.count(DONE):
        print("not complete" if outcome.count(FAILED) else "nothing that `emoca convert` takes")
        return 1
    print("complete: `emoca convert` takes " + ("it" if outcome.count(DONE) == 1 else "them"))
    return 0


def _owner(path: Path) -> Path | None:
    """The model folder that a file is a part of."""
    from emoca_jax.errors import InputError
    from emoca_jax.model_folder import DESCRIPTION_NAME, read_description

    for folder in list(path.absolute().parents)[:2]:
        if os.path.isfile(folder / DESCRIPTION_NAME):
            name = path.absolute().relative_to(folder).as_posix()
            try:
                return folder if name in read_description(folder).get("files", ()) else None
            except InputError:
                return None  # somebody else's model.json
    return None


def _describe_folder(folder: ModelFolder) -> int:
    """What the folder holds; 1 where something is missing or a file is not what it was when it was written."""
    from emoca_jax.model_folder import MODEL_PARTS, SHARED_PARTS

    description = folder.description
    rows = {"folder": f"{folder.path}, made by {description.get('made_by', 'an unknown version')}"}
    lacking = list(description.get("missing", ()))
    for name, model in sorted(description["models"].items()):
        absent = [part for part in MODEL_PARTS if part not in model["parts"]]
        absent = [part for part in absent if (part, model["variant"]) != ("expression_encoder", "deca")]
        lacking += [f"{part} of {name}" for part in absent]
        default = ", the default" if name == description["default"] else ""
        rows[name] = f"{model['variant']}{default}; from {model['options'].get('source', 'unknown')}"
    rows["parts"] = ", ".join(description["parts"]) or "none"
    rows["without"] = ", ".join(part for part in SHARED_PARTS if part not in description["parts"]) or "nothing"
    damaged = [
        name for name, digest in description.get("files", {}).items() if not _is_whole(folder.path, name, digest)
    ]
    rows["licence"] = description.get("licence", "")
    rows["state"] = "complete" if not lacking + damaged else "incomplete"
    if lacking:
        rows["missing"] = "; ".join(lacking) + " (see `emoca fetch-help`)"
    if description.get("optional"):
        rows["optional"] = "albedo is grey without " + "; ".join(description["optional"])
    if damaged:
        rows["damaged"] = ", ".join(damaged) + ": convert the official files again"
    _print(rows)
    return 1 if lacking + damaged else 0


def _is_whole(folder: Path, name: str, digest: str) -> bool:
    from emoca_jax.model_folder import file_sha256, inside

    path = inside(folder, name)
    return os.path.isfile(path) and (not digest or file_sha256(path) == digest)


def _print(rows: dict[str, str]) -> None:
    width = max(10, *map(len, rows))
    for name, value in rows.items():
        print(f"{name:{width}} {value}")

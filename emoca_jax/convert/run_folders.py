"""EMOCA's run folders: `cfg.yaml` and which of the checkpoints below it counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular

CONFIG_NAME = "cfg.yaml"
CHECKPOINT_SUFFIX = ".ckpt"
STAGES = ("detail", "coarse")
"""Sub-folders of a run and keys of its configuration; the detail stage holds all networks, so it comes first."""
LARGEST_CONFIG = 256 << 10
"""Bytes, ten times the largest; PyYAML takes a second for 100 KB."""
DEEPEST = 4
"""A checkpoint lies at most here: RUN/detail/checkpoints/deca-epoch=..-val_loss/dataloader_idx_0=...ckpt"""


class Run(NamedTuple):
    """A run folder, the checkpoint to take and why not the others."""

    folder: Path
    stage: str
    """"detail", "coarse", or "" for a run of one stage (emotion networks)."""
    checkpoint: Path
    others: list[tuple[Path, str]]


class _Inert(yaml.SafeLoader):
    """YAML as plain values; a node with a Python tag becomes the text or list it holds, and nothing is called."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge keys, which nobody's configuration has, double a table with every line."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.YAMLError("it merges tables (<<), which no configuration of a run does")
        super().flatten_mapping(node)


def _plain(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


_Inert.add_multi_constructor("tag:yaml.org,2002:python/", _plain)


def read_config(path: Path) -> dict[str, Any]:
    """`cfg.yaml` as nested dictionaries. Errors: InputError where it is damaged, too large or no table."""
    try:
        content = yaml.load(read_regular(path, most=LARGEST_CONFIG), Loader=_Inert)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({reason}): take the official file again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no table of settings: take the official file again.")
    return content


def find_runs(files: Iterable[Path]) -> list[Run]:
    """The runs among the files of a folder: every folder with a `cfg.yaml` and checkpoints below it."""
    files = sorted(files)
    folders = {file.parent for file in files if file.name == CONFIG_NAME}
    below: dict[Path, list[Path]] = {}
    for file in files:
        if file.suffix == CHECKPOINT_SUFFIX:
            owner = next((parent for parent in file.parents if parent in folders), None)
            if owner is not None:
                below.setdefault(owner, []).append(file)
    return [_choose(folder, checkpoints) for folder, checkpoints in sorted(below.items())]


def config_of(checkpoint: Path) -> Path | None:
    """The `cfg.yaml` of the run that a checkpoint belongs to; None where it lies alone."""
    places = [parent / CONFIG_NAME for parent in list(checkpoint.absolute().parents)[:DEEPEST]]
    return next((place for place in places if place.is_file()), None)


def stage_of(folder: Path, checkpoint: Path) -> str:
    """Which of STAGES a checkpoint of the run `folder` belongs to; "" where the run has no stages."""
    first = checkpoint.absolute().relative_to(folder.absolute()).parts[0]
    return first if first in STAGES else ""


def settings(config: Mapping[str, Any], stage: str, section: str) -> dict[str, Any]:
    """A section ("model", "data") of a stage's configuration; {} where there is none."""
    table = config.get(stage) if stage else config
    if not isinstance(table, Mapping):
        table = next((config[name] for name in STAGES if isinstance(config.get(name), Mapping)), config)
    found = table.get(section)
    return found if isinstance(found, dict) else {}


def validation_loss(checkpoint: Path) -> float | None:
    """The number after the last "=" of the path, as the official loader reads it; None where there is none."""
    text = str(checkpoint).removesuffix(CHECKPOINT_SUFFIX)
    try:
        loss = float(text.rpartition("=")[2]) if "=" in text else math.nan
    except ValueError:
        return None
    return None if math.isnan(loss) else loss


def _choose(folder: Path, checkpoints: list[Path]) -> Run:
    """The stage with all networks, and in it the smallest validation loss (the official loader's "best").

    `last.ckpt` and others without a number are taken only where no checkpoint has one.
    """
    stages = {checkpoint: stage_of(folder, checkpoint) for checkpoint in checkpoints}
    stage = next((name for name in (*STAGES, "") if name in stages.values()), "")
    candidates = [checkpoint for checkpoint in checkpoints if stages[checkpoint] == stage]
    losses = {checkpoint: validation_loss(checkpoint) for checkpoint in candidates}
    chosen = min(candidates, key=lambda checkpoint: (losses[checkpoint] is None, losses[checkpoint] or 0.0))
    others = []
    for checkpoint in checkpoints:
        if stages[checkpoint] != stage:
            others.append((checkpoint, f"the {stage} stage of this run holds all networks"))
        elif checkpoint != chosen:
            others.append((checkpoint, f"its validation loss is not the smallest ({chosen.name} has it)"))
    return Run(folder, stage, chosen, others)

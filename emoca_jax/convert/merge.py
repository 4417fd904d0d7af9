"""The merge: what a model folder holds already, and what a file gives, to what it holds afterwards.

Every step is a pure function of plain data. It answers with the folder after it, the arrays to write and the file's
report; where the arrays come to lie is told afterwards (`settled`), since equal contents share one file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emoca_jax.convert.gathered import EARLIER, Gathered, check_layout, with_copies, with_file
from emoca_jax.convert.kinds import Kind
from emoca_jax.convert.readers.emoca import Model
from emoca_jax.convert.readers.pieces import Pieces
from emoca_jax.convert.report import DONE, FAILED, UNUSED, FileReport
from emoca_jax.errors import InputError

FIRST_CHOICE = "generic_model"
"""Of FLAME's files of one download (generic, female, male) the official code takes this one."""


@dataclass(frozen=True)
class Folder:
    """What a model folder holds."""

    head: Gathered = field(default_factory=Gathered)
    maps: Gathered = field(default_factory=Gathered)
    parts: Mapping[str, str] = field(default_factory=dict)
    """One of SHARED_PARTS of `model_folder` -> its file."""
    models: Mapping[str, Any] = field(default_factory=dict)
    """Name -> entry of model.json."""
    given_by: Mapping[str, str] = field(default_factory=dict)
    """Part, kind of a map or name of a model -> the source that gave it in this run."""


class Given(NamedTuple):
    """A file that has been read."""

    shown: str
    kind: Kind
    pieces: Pieces


class Step(NamedTuple):
    """What becomes of one file."""

    report: FileReport
    folder: Folder
    parts: Mapping[str, Mapping[str, np.ndarray]] = {}
    """Part -> arrays to write for it."""
    model: str = ""
    """The model that has been added, its networks to be written as well."""
    networks: Mapping[str, Mapping[str, np.ndarray]] = {}

    @property
    def files(self) -> dict[str, Mapping[str, np.ndarray]]:
        """Name -> arrays of the files to write."""
        parts = {_part_file(part): arrays for part, arrays in self.parts.items()}
        return parts | {_network_file(self.model, part): arrays for part, arrays in self.networks.items()}

    @property
    def others(self) -> set[str]:
        """Files that other models refer to: they must not be replaced."""
        models = (model for name, model in self.folder.models.items() if name != self.model)
        return {file for model in models for file in model["parts"].values()}

    def settled(self, written: Mapping[str, str]) -> Folder:
        """The folder after this step; `written`: name of `files` -> the name they were written under."""
        parts = {part: written[_part_file(part)] for part in self.parts}
        models = dict(self.folder.models)
        if self.model:
            networks = {part: written[_network_file(self.model, part)] for part in self.networks}
            models[self.model] = models[self.model] | {"parts": networks}
        return replace(self.folder, parts={**self.folder.parts, **parts}, models=models)


def already_given(folder: Folder, part: str, shown: str, kind: Kind) -> FileReport | None:
    """The report of a file whose part came out of another file of this run; it need not be read."""
    if part not in folder.given_by:
        return None
    note = f"{folder.given_by[part]} gives {part}; convert this one alone to use it"
    return FileReport(shown, kind, UNUSED, notes=[note])


def add_part(folder: Folder, part: str, file: Given) -> Step:
    """A file that is a part of its own: albedo or a network."""
    after = replace(folder, given_by={**folder.given_by, part: file.shown})
    return Step(FileReport(file.shown, file.kind, DONE, file.pieces.rows), after, {part: file.pieces.arrays})


def add_map(folder: Folder, file: Given) -> Step:
    """A file of uv maps; the first of its kind counts."""
    if file.kind in folder.given_by:
        return Step(_second(file, folder.given_by[file.kind], folder.maps.arrays), folder)
    maps = with_file(folder.maps, file.pieces.arrays, file.shown)
    after = replace(folder, maps=maps, given_by={**folder.given_by, file.kind: file.shown})
    return Step(FileReport(file.shown, file.kind, DONE, file.pieces.rows), after)


def add_head_files(folder: Folder, files: Sequence[Given]) -> tuple[Folder, list[FileReport]]:
    """One file of each kind into the head: FLAME's generic model before others, else the first; the uv layout last."""
    chosen: dict[Kind, Given] = {}
    reports = []
    for file in sorted(files, key=lambda file: not Path(file.shown).name.startswith(FIRST_CHOICE)):
        first = chosen.setdefault(file.kind, file)
        if first is not file:
            reports.append(_second(file, first.shown, first.pieces.arrays))
    layout = chosen.pop(Kind.TEMPLATE, None)
    head = folder.head
    for file in chosen.values():
        head = with_file(head, file.pieces.arrays, file.shown)
        reports.append(FileReport(file.shown, file.kind, DONE, file.pieces.rows))
    if layout is not None:
        head, report = _with_layout(head, layout)
        reports.append(report)
    return replace(folder, head=head), reports


def add_model(folder: Folder, shown: str, kind: Kind, model: Model) -> Step:
    """A checkpoint: its networks, and its copies of head, maps and albedo where no official file gives them."""
    copies = dict(model.copies)
    rows = [row for pieces in model.networks.values() for row in pieces.rows]
    notes, parts = [], {}
    given_by = dict(folder.given_by)
    gathered = {"head": folder.head, "maps": folder.maps}
    for part, before in gathered.items():
        gathered[part], outcome, remarks = with_copies(before, copies.pop(part, Pieces({}, [])), shown)
        rows += outcome
        notes += remarks
        if part == "head" and any(row.target for row in outcome):
            notes.append("its copy of FLAME fills in for official files that were not given")
    for part, pieces in copies.items():
        if part in folder.parts:
            taken = f"{part} is taken from {given_by.get(part, EARLIER)}"
            rows += [row._replace(target=None, note=taken) for row in pieces.rows]
        else:
            rows += pieces.rows
            parts[part] = pieces.arrays
            given_by[part] = shown
    name = _free_name(model.name, folder)
    entry = {"variant": model.variant, "parts": {}, "options": model.options}
    models, given_by = {**folder.models, name: entry}, {**given_by, f"models/{name}": shown}
    after = replace(folder, head=gathered["head"], maps=gathered["maps"], models=models, given_by=given_by)
    notes = [f"model {name} ({model.variant})", *notes, *model.notes]
    report = FileReport(shown, kind, DONE, rows + model.others, notes)
    return Step(report, after, parts, name, {part: pieces.arrays for part, pieces in model.networks.items()})


def _with_layout(head: Gathered, layout: Given) -> tuple[Gathered, FileReport]:
    """The uv layout belongs to triangles, which must be those of the head."""
    try:
        if "faces" in head.arrays:
            check_layout(head, layout.pieces.arrays["faces"], layout.shown)
    except InputError as error:
        return head, FileReport(layout.shown, layout.kind, FAILED, notes=[str(error)])
    arrays = {name: layout.pieces.arrays[name] for name in ("uv", "uv_faces")}
    report = FileReport(layout.shown, layout.kind, DONE, layout.pieces.rows)
    return with_file(head, arrays, layout.shown), report


def _second(file: Given, first: str, arrays: Mapping[str, np.ndarray]) -> FileReport:
    """The second file of a kind is left out; `arrays`: those of the first."""
    same = all(np.array_equal(arrays[name], array) for name, array in file.pieces.arrays.items())
    note = f"{first} holds the same" if same else f"{first} is used; give only one of them"
    return FileReport(file.shown, file.kind, UNUSED, notes=[note])


def _free_name(name: str, folder: Folder) -> str:
    """The run folder's name, fit for a folder, with a number behind it where another source of this run has it."""
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".") or "model"
    sources = set(folder.given_by.values())
    taken = {other for other, model in folder.models.items() if model["options"].get("source") in sources}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _part_file(part: str) -> str:
    return f"{part}.safetensors"


def _network_file(model: str, part: str) -> str:
    return f"{model}/{part}.safetensors"

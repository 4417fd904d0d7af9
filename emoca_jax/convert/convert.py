"""Official files to a model folder: recognise each, convert it, put the parts together, describe them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emoca_jax.convert import albedo, emoca, emotion_networks, flame, networks, uv_maps
from emoca_jax.convert.assemble import Gathered, check_layout, complete_head, missing_for_head
from emoca_jax.convert.kinds import Found, Kind, recognise
from emoca_jax.convert.pieces import Pieces
from emoca_jax.convert.report import DONE, FAILED, IGNORED, UNUSED, FileReport, listing
from emoca_jax.convert.run_folders import CONFIG_NAME, config_of, find_runs, read_config, settings, stage_of
from emoca_jax.convert.store import CannotWrite, Store, file_sha256
from emoca_jax.convert.translate import Row, Translated
from emoca_jax.errors import InputError
from emoca_jax.flame.head_file import save_head_arrays
from emoca_jax.model_folder import (
    DESCRIPTION_NAME,
    FORMAT_VERSION,
    KIND,
    LICENCE_NOTE,
    MAP_NAMES,
    read_description,
    read_tensors,
)
from emoca_jax.version import package_version

HEAD_FILE, MAPS_FILE, REPORT_FILE = "head.safetensors", "maps.safetensors", "report.txt"
OFFICIAL_DEFAULT = "EMOCA_v2_lr_mse_20"
"""The model that the official demos take."""
MODEL_KINDS = (Kind.EMOCA, Kind.DECA)
"""Converted last: a checkpoint's copies of FLAME give way to official files, DECA's coarse encoder to EMOCA's."""
HEAD_READERS: dict[Kind, Callable[[Any, str], Pieces]] = {
    Kind.FLAME: flame.flame_model,
    Kind.LANDMARKS: flame.landmark_embedding,
    Kind.MEDIAPIPE: flame.mediapipe_embedding,
    Kind.TEMPLATE: uv_maps.head_template,
}
MAP_READERS: dict[Kind, Callable[[Any, str], Pieces]] = {
    Kind.FACE_MASK: lambda content, _place: uv_maps.mask(content, "face_mask"),
    Kind.FACE_EYE_MASK: lambda content, _place: uv_maps.mask(content, "face_eye_mask"),
    Kind.DISPLACEMENT: uv_maps.fixed_displacement,
    Kind.DENSE_TEMPLATE: uv_maps.dense_template,
}
ALBEDO_READERS: dict[Kind, tuple[str, Callable[[Any, str], Pieces]]] = {
    Kind.BFM_ALBEDO: ("albedo_bfm", albedo.bfm_albedo),
    Kind.FLAME_TEXTURE: ("albedo_flame", albedo.flame_texture),
}
NETWORK_READERS: dict[Kind, tuple[str, Callable[[Any], Translated]]] = {
    Kind.EMOTION_RESNET: ("emotion_resnet50", emotion_networks.emotion_resnet50),
    Kind.EMOTION_SWIN: ("emotion_swin", emotion_networks.emotion_swin),
    Kind.EMONET: ("emonet", emotion_networks.emonet),
    Kind.EMOTION_MLP: ("emotion_mlp", emotion_networks.emotion_mlp),
    Kind.VGGFACE2: ("identity_resnet50", networks.identity_resnet50),
    Kind.VGG19: ("vgg19", networks.vgg19),
}
FIRST_CHOICE = "generic_model"
"""Of FLAME's files of one download (generic, female, male) the official code takes this one."""


@dataclass
class Outcome:
    """What a conversion did."""

    reports: list[FileReport]
    description: dict[str, Any]
    """As in model.json."""

    def count(self, state: str) -> int:
        return sum(report.state == state for report in self.reports)


def convert(
    sources: Sequence[str | Path],
    output: str | Path,
    *,
    dry_run: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Convert official files, or folders of them, into the model folder `output`; what else it holds already stays.

    Files are converted one after the other; one that is damaged or incomplete is reported, the others are still done.
    The folder changes at the very end, when everything is written. dry_run: read, check and report only. tell: called
    with the name of each file before it is read.
    Errors: InputError where a source does not exist or the output cannot be written.
    """
    output = Path(output)
    files = _find(sources, output)
    with Store(output, dry_run=dry_run) as store, ThreadPoolExecutor(1) as hashing:
        job = _Job(store, hashing)
        job.take_up(output)
        unused = {path: reason for run in find_runs(files) for path, reason in run.others}
        unused = {path: reason for path, reason in unused.items() if not any(Path(given) == path for given in sources)}
        later = []
        for path, shown in files.items():
            tell(shown)
            if path in unused:
                job.reports.append(FileReport(shown, None, UNUSED, notes=[unused[path]]))
            elif path.name != CONFIG_NAME:
                later += job.read(path, shown)
        # Of several generic models the official code's choice comes last and so outranks the others.
        job.put_head_files()
        for _, report in sorted(later, key=lambda pair: (MODEL_KINDS.index(pair[0]), pair[1].path)):
            tell(report.path)
            job.read_model(report)
        description = job.finish()
        order = {shown: index for index, shown in enumerate(files.values())}
        reports = sorted(job.reports, key=lambda report: order[report.path])
        if any(report.state == DONE for report in reports):
            store.publish(description, {REPORT_FILE: listing(reports)})
    return Outcome(reports, description)


@dataclass
class _Job:
    """A conversion under way."""

    store: Store
    hashing: ThreadPoolExecutor
    reports: list[FileReport] = field(default_factory=list)
    head: Gathered = field(default_factory=Gathered)
    maps: Gathered = field(default_factory=Gathered)
    candidates: list[tuple[Kind, FileReport, Pieces]] = field(default_factory=list)
    """Files of the head, until it is known how many of a kind there are."""
    paths: dict[str, Path] = field(default_factory=dict)
    sources: dict[str, tuple[Kind, Future[str]]] = field(default_factory=dict)
    """Shown name -> kind and sha256 of what was converted."""
    parts: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=dict)
    """Part -> the source that gave it in this run."""
    models: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    """The description that was there before."""

    def take_up(self, output: Path) -> None:
        """Go on from what an earlier conversion left in the folder."""
        if not (output / DESCRIPTION_NAME).exists():
            return
        self.before = read_description(output)
        self.parts, self.models = dict(self.before["parts"]), dict(self.before["models"])
        for gathered, name in ((self.head, HEAD_FILE), (self.maps, MAPS_FILE)):
            if (output / name).exists():
                gathered.arrays = read_tensors(output / name)
                gathered.origins = dict(self.before["origins"].get(name, {}))
                gathered.copies = set(self.before["copies"].get(name, ()))

    def read(self, path: Path, shown: str) -> list[tuple[Kind, FileReport]]:
        """Convert one file; a model is only recognised, and returned for later."""
        report = FileReport(shown, None, FAILED)
        self.reports.append(report)
        self.paths[shown] = path
        try:
            found = recognise(path)
            if found.kind is None:
                report.state, report.notes = IGNORED, [str(found.content)]
                return []
            report.kind = found.kind
            if found.kind in MODEL_KINDS:
                return [(found.kind, report)]
            self._convert(found.kind, found, report)
        except CannotWrite:
            raise
        except InputError as error:
            report.notes.append(_told(error, path, shown))
        return []

    def _convert(self, kind: Kind, found: Found, report: FileReport) -> None:
        shown = report.path
        if kind in HEAD_READERS:
            self.candidates.append((kind, report, HEAD_READERS[kind](found.content, shown)))
        elif kind in MAP_READERS:
            pieces = MAP_READERS[kind](found.content, shown)
            self.maps.add(pieces.arrays, shown)
            self._done(report, pieces.rows)
        else:
            part = (ALBEDO_READERS.get(kind) or NETWORK_READERS[kind])[0]
            if part in self.fresh:
                report.state, report.notes = (
                    UNUSED,
                    [f"{self.fresh[part]} gives {part}; convert this one alone to use it"],
                )
                return
            if kind in ALBEDO_READERS:
                pieces = ALBEDO_READERS[kind][1](found.content, shown)
                arrays, rows = pieces.arrays, pieces.rows
            else:
                translated = NETWORK_READERS[kind][1](found.content)
                arrays = emoca.tensors(translated)
                rows = [row._replace(target=row.target and f"{part}: {row.target}") for row in translated.rows]
                rows += emoca.other_rows({}, set(), found.beside)
            self._put_part(part, arrays, shown)
            self._done(report, rows)

    def put_head_files(self) -> None:
        """One file of each kind into the head: FLAME's generic model before others, else the first."""
        chosen: dict[Kind, tuple[FileReport, Pieces]] = {}
        ranked = sorted(self.candidates, key=lambda c: not Path(c[1].path).name.startswith(FIRST_CHOICE))
        for kind, report, pieces in ranked:
            if kind not in chosen:
                chosen[kind] = (report, pieces)
                continue
            first = chosen[kind]
            same = all(np.array_equal(pieces.arrays[name], array) for name, array in first[1].arrays.items())
            report.state = UNUSED
            report.notes = [f"{first[0].path} holds the same" if same else f"{first[0].path} is used; give one of them"]
        layout = chosen.pop(Kind.TEMPLATE, None)
        for report, pieces in chosen.values():
            self.head.add(pieces.arrays, report.path)
            self._done(report, pieces.rows)
        if layout is not None:
            report, pieces = layout
            try:
                if "faces" in self.head.arrays:
                    check_layout(self.head, pieces.arrays["faces"], report.path)
                arrays = {name: pieces.arrays[name] for name in ("uv", "uv_faces")}
                self.head.add(arrays, report.path)
                self._done(report, pieces.rows)
            except InputError as error:
                report.notes.append(str(error))

    def read_model(self, report: FileReport) -> None:
        """Convert a checkpoint or DECA's weights into a model, and what it carries of head, maps and albedo."""
        path, shown = self.paths[report.path], report.path
        try:
            found = recognise(path)
            place = config_of(path) if report.kind == Kind.EMOCA else None
            config = read_config(place) if place else {}
            stage = stage_of(place.parent, path) if place else ""
            if report.kind == Kind.DECA:
                model, name = emoca.deca_model(found.content, shown), "DECA"
            else:
                model = emoca.emoca_model(found.content, settings(config, stage, "model"), shown)
                name = place.parent.name if place else model.variant.upper()
            name = self._free_name(name, shown)
            parts = {}
            rows: list[Row] = []
            for part, translated in model.parts.items():
                parts[part] = self.store.put(f"{name}/{part}.safetensors", emoca.tensors(translated))
                rows += translated.rows
            rows += self._copies(found, model, report) if report.kind == Kind.EMOCA else []
            options = model.options | {"source": shown} | ({"stage": stage} if stage else {})
            self.models[name] = {"variant": model.variant, "parts": parts, "options": options}
            report.notes.insert(0, f"model {name} ({model.variant})")
            if place is None and report.kind == Kind.EMOCA:
                report.notes.append(f"no {CONFIG_NAME} beside it: settings read off the shapes")
            whole: Mapping[str, Any] = found.content if report.kind == Kind.EMOCA else {}
            self._done(report, rows + emoca.other_rows(whole, {row.source for row in rows}, found.beside))
        except CannotWrite:
            raise
        except InputError as error:
            report.notes.append(_told(error, path, shown))

    def _copies(self, found: Found, model: emoca.Model, report: FileReport) -> list[Row]:
        """What an EMOCA checkpoint carries beside its networks, used where no official file gives it."""
        state, shown, rows = found.content, report.path, []
        readers = (
            ("deca.flame.", self.head, lambda: flame.checkpoint_head(state, shown)),
            ("deca.", self.maps, lambda: uv_maps.checkpoint_maps(state, shown)),
        )
        for prefix, gathered, read in readers:
            if any(key.startswith(prefix) for key in state):
                pieces = read()
                new, remarks = gathered.add_copies(pieces.arrays, pieces.rows, shown)
                rows += new
                report.notes += remarks
        part = f"albedo_{model.options['albedo']}"
        textures = [key for key in state if key.startswith("deca.flametex.")]
        if textures and part in self.parts:
            origin = self.fresh.get(part, "an earlier conversion")
            return rows + [Row(key, None, np.shape(state[key]), f"{part} is taken from {origin}") for key in textures]
        if textures:
            pieces = albedo.checkpoint_albedo(state, part, shown)
            self._put_part(part, pieces.arrays, shown)
            rows += pieces.rows
        return rows

    def finish(self) -> dict[str, Any]:
        """Write head and maps, and describe the folder."""
        if self.maps.arrays:
            self.parts["maps"] = self.store.put(MAPS_FILE, self.maps.arrays)
        missing = missing_for_head(self.head.arrays)
        if self.head.arrays:
            self._put_head(complete=not missing)
        head_files = dict.fromkeys(("head.json", HEAD_FILE) if self.head.arrays else (), "")
        known = {name: name in self.store.files for name in self.store.files}
        used = {*self.parts.values(), *(file for model in self.models.values() for file in model["parts"].values())}
        files = {
            name: self.store.files.get(name, self.before.get("files", {}).get(name, ""))
            for name in sorted(used | set(head_files) | set(known))
        }
        sources = {entry["path"]: entry for entry in self.before.get("sources", ())}
        for shown, (kind, digest) in self.sources.items():
            sources[shown] = {"path": shown, "kind": kind.value, "sha256": digest.result()}
        return {
            "format": FORMAT_VERSION,
            "kind": KIND,
            "made_by": f"emoca_jax {package_version()}",
            "licence": LICENCE_NOTE,
            "default": _default(self.models, self.before.get("default")),
            "models": self.models,
            "parts": dict(sorted(self.parts.items())),
            "missing": missing + [file for name, file in MAP_NAMES.items() if name not in self._map_names()],
            "sources": list(sources.values()),
            "files": files,
            "origins": {HEAD_FILE: self.head.origins, MAPS_FILE: self.maps.origins},
            "copies": {HEAD_FILE: sorted(self.head.copies), MAPS_FILE: sorted(self.maps.copies)},
        }

    def _map_names(self) -> set[str]:
        return {name.partition("/")[0] for name in self.maps.arrays}

    def _put_head(self, *, complete: bool) -> None:
        arrays = dict(self.head.arrays)
        if complete:
            arrays = complete_head(arrays, "the head put together from these files")
            self.parts["head"] = HEAD_FILE
        place = self.store.path(HEAD_FILE)
        if place is None:
            return
        beside = next((self.parts[part] for part in ("albedo_bfm", "albedo_flame") if part in self.parts), None)
        provenance = {"licence": LICENCE_NOTE, "origins": self.head.origins}
        try:
            save_head_arrays(arrays, flame.STATIC_FIELDS, place, albedo_file=beside, provenance=provenance)
        except InputError as error:
            raise CannotWrite(str(error)) from error
        self.store.files[HEAD_FILE] = file_sha256(place)
        self.store.files["head.json"] = file_sha256(place.with_suffix(".json"))

    def _put_part(self, part: str, arrays: Mapping[str, np.ndarray], shown: str) -> None:
        self.parts[part] = self.store.put(f"{part}.safetensors", arrays)
        self.fresh[part] = shown

    def _done(self, report: FileReport, rows: list[Row]) -> None:
        report.rows, report.state = rows, DONE
        assert report.kind is not None
        self.sources[report.path] = (report.kind, self.hashing.submit(file_sha256, self.paths[report.path]))

    def _free_name(self, name: str, shown: str) -> str:
        """The run folder's name, fit for a folder, with a number behind it where another source of this run has it."""
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".") or "model"
        taken = {other for other, model in self.models.items() if model["options"].get("source") in self.sources}
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        return free


def _find(sources: Sequence[str | Path], output: Path) -> dict[Path, str]:
    """All files of the sources in order, and the names to show: those given, and what lies below them."""
    files: dict[Path, str] = {}
    for source in map(Path, sources):
        if source.is_file():
            files[source] = source.name
        elif source.is_dir():
            base = source.absolute().name
            for folder, below, names in os.walk(source):
                below[:] = sorted(name for name in below if not name.startswith("."))
                here = Path(folder)
                if here.absolute() == output.absolute() or (here / DESCRIPTION_NAME).exists():
                    below.clear()
                    continue
                for name in sorted(names):
                    if not name.startswith(".") and (here / name).is_file():
                        files[here / name] = str(Path(base) / (here / name).relative_to(source))
        else:
            raise InputError(f"{source} does not exist: give an official file or the folder that holds them.")
    if not files:
        raise InputError(f"{', '.join(map(str, sources))}: no file in it; `emoca fetch-help` says where to get them.")
    return files


def _told(error: InputError, path: Path, shown: str) -> str:
    """The error with the file's shown name in front of it."""
    text = str(error).replace(str(path), shown)
    return text if shown in text else f"{shown}: {text}"


def _default(models: Mapping[str, Any], before: str | None) -> str | None:
    """The model meant where none is named: as before, else the official demos' one, else by variant and name."""
    if before in models:
        return before
    if OFFICIAL_DEFAULT in models:
        return OFFICIAL_DEFAULT
    rank = ("emoca_jaw", "emoca", "deca")
    return min(models, key=lambda name: (rank.index(models[name]["variant"]), name), default=None)

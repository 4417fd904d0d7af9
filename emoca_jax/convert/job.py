"""One conversion under way: what each file gives, and where it goes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emoca_jax.convert.gathered import EARLIER, Gathered, check_layout, complete_head, missing_for_head
from emoca_jax.convert.kinds import Found, Kind, recognise
from emoca_jax.convert.readers import albedo, emoca, emotion_networks, flame, networks, uv_maps
from emoca_jax.convert.readers.pieces import Pieces
from emoca_jax.convert.readers.translate import Row, Translated
from emoca_jax.convert.report import DONE, FAILED, IGNORED, UNUSED, FileReport
from emoca_jax.convert.run_folders import CONFIG_NAME, config_of, read_config, settings, stage_of
from emoca_jax.convert.store import CannotWrite, Store, file_sha256
from emoca_jax.errors import InputError
from emoca_jax.flame.head_file import save_head_arrays
from emoca_jax.model_folder import DESCRIPTION_NAME, KIND, LICENCE_NOTE, read_description, read_tensors
from emoca_jax.safe_files.refusal import reading

HEAD_FILE, MAPS_FILE = "head.safetensors", "maps.safetensors"
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
class Job:
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
    """Part, or kind of a map -> the source that gave it in this run."""
    models: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    """The description that was there before."""

    def take_up(self, output: Path | None) -> None:
        """Go on from what an earlier conversion left in the folder; what is damaged there is made anew.

        Errors: InputError where the folder holds something else's model.json.
        """
        if output is None or not (output / DESCRIPTION_NAME).exists():
            return
        try:
            self.before = read_description(output)
        except InputError:
            if KIND.encode() in (output / DESCRIPTION_NAME).read_bytes():
                return
            raise InputError(
                f"{output} holds the {DESCRIPTION_NAME} of something else: give another --output."
            ) from None
        self.parts, self.models = dict(self.before["parts"]), dict(self.before["models"])
        for gathered, name in ((self.head, HEAD_FILE), (self.maps, MAPS_FILE)):
            with contextlib.suppress(InputError):
                gathered.arrays = read_tensors(output / name)
                gathered.origins = dict(self.before.get("origins", {}).get(name, {}))

    def read(self, path: Path, shown: str) -> list[tuple[Kind, FileReport]]:
        """Convert one file; a model is only recognised, and returned for later."""
        report = FileReport(shown, None, FAILED)
        self.reports.append(report)
        self.paths[shown] = path
        try:
            with reading(shown):
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
            if first := self.fresh.get(kind):
                same = all(np.array_equal(self.maps.arrays[name], array) for name, array in pieces.arrays.items())
                report.state, report.notes = UNUSED, [_second(first, same)]
                return
            self.fresh[kind] = shown
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
            report.state, report.notes = UNUSED, [_second(first[0].path, same)]
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
            with reading(shown):
                self._convert_model(recognise(path), report)
        except CannotWrite:
            raise
        except InputError as error:
            report.notes.append(_told(error, path, shown))

    def _convert_model(self, found: Found, report: FileReport) -> None:
        shown = report.path
        place = config_of(found.path) if report.kind == Kind.EMOCA else None
        config = read_config(place) if place else {}
        stage = stage_of(place.parent, found.path) if place else ""
        if report.kind == Kind.DECA:
            model, name = emoca.deca_model(found.content, shown), "DECA"
        else:
            model = emoca.emoca_model(found.content, settings(config, stage, "model"), shown)
            name = place.parent.name if place else model.variant.upper()
        name = self._free_name(name)
        parts, rows = {}, []
        others = {file for key, other in self.models.items() if key != name for file in other["parts"].values()}
        kept = {file: digest for file, digest in self.before.get("files", {}).items() if file in others}
        for part, translated in model.parts.items():
            parts[part] = self.store.put(f"{name}/{part}.safetensors", emoca.tensors(translated), kept)
            rows += translated.rows
        if report.kind == Kind.EMOCA:
            rows += self._copies(found, model, report)
            rows += emoca.other_rows(found.content, {row.source for row in rows}, found.beside)
        options = model.options | {"source": shown} | ({"stage": stage} if stage else {})
        self.models[name] = {"variant": model.variant, "parts": parts, "options": options}
        report.notes.insert(0, f"model {name} ({model.variant})")
        if place is None and report.kind == Kind.EMOCA:
            report.notes.append(f"no {CONFIG_NAME} beside it: settings read off the shapes")
        self._done(report, rows)

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
                if any((row.target or "").startswith("head/") for row in new):
                    report.notes.append("its copy of FLAME fills in for official files that were not given")
        part = f"albedo_{model.options['albedo']}"
        textures = [key for key in state if key.startswith("deca.flametex.")]
        if textures and part in self.parts:
            origin = self.fresh.get(part, EARLIER)
            return rows + [Row(key, None, np.shape(state[key]), f"{part} is taken from {origin}") for key in textures]
        if textures:
            pieces = albedo.checkpoint_albedo(state, part, shown)
            self._put_part(part, pieces.arrays, shown)
            rows += pieces.rows
        return rows

    def put_head_and_maps(self) -> None:
        """Write what has been gathered of head and maps; files that contradict each other are a failure."""
        if self.maps.arrays:
            self.parts["maps"] = self.store.put(MAPS_FILE, self.maps.arrays)
        if not self.head.arrays:
            return
        try:
            self._put_head(complete=not missing_for_head(self.head.arrays))
        except CannotWrite:
            raise
        except InputError as error:
            self.parts.pop("head", None)
            self.reports.append(FileReport("head", None, FAILED, notes=[str(error)]))

    def _put_head(self, *, complete: bool) -> None:
        arrays = dict(self.head.arrays)
        if complete:
            arrays = complete_head(arrays, f"the head of {self.head.origins['template']}")
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

    def _free_name(self, name: str) -> str:
        """The run folder's name, fit for a folder, with a number behind it where another source of this run has it."""
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".") or "model"
        taken = {other for other, model in self.models.items() if model["options"].get("source") in self.sources}
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        return free


def _second(first: str, same: bool) -> str:
    """Why the second file of a kind is left out."""
    return f"{first} holds the same" if same else f"{first} is used; give only one of them"


def _told(error: InputError, path: Path, shown: str) -> str:
    """The error with the file's shown name in front of it."""
    text = str(error).replace(str(path), shown)
    return text if shown in text else f"{shown}: {text}"

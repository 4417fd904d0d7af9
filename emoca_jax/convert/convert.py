"""Official files to a model folder: recognise each, read it, merge it into the folder, describe the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from emoca_jax.convert.description import HEAD_FILE, MAPS_FILE, describe, earlier_description, earlier_folder
from emoca_jax.convert.gathered import complete_head, missing_for_head
from emoca_jax.convert.kinds import Found, Kind, recognise
from emoca_jax.convert.merge import Folder, Given, Step, add_head_files, add_map, add_model, add_part, already_given
from emoca_jax.convert.readers.flame import STATIC_FIELDS
from emoca_jax.convert.readers.table import HEAD, MAPS, MODEL_READERS, READERS
from emoca_jax.convert.report import DONE, FAILED, IGNORED, UNUSED, FileReport, listing
from emoca_jax.convert.run_folders import CONFIG_NAME, find_runs
from emoca_jax.convert.sources import find_files
from emoca_jax.convert.store import CannotWrite, Store
from emoca_jax.errors import InputError
from emoca_jax.flame.head_file import save_head_arrays
from emoca_jax.model_folder import LICENCE_NOTE, file_sha256
from emoca_jax.safe_files.refusal import reading

REPORT_FILE = "report.txt"

Result = TypeVar("Result")


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
    output: str | Path | None,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Convert official files, or folders of them, into the model folder `output`; what else it holds already stays.

    Files are converted one after the other; one that is damaged or incomplete is reported, the others are still done.
    The folder changes at the very end, when everything is written. output: None to read, check and report only. tell:
    called with the name of each file before it is read.
    Errors: InputError where a source does not exist or the output cannot be written.
    """
    output = None if output is None else Path(output)
    files = find_files(sources, output)
    paths = {shown: path for path, shown in files.items()}
    unused = _unused(files, {Path(source) for source in sources})
    reports: list[FileReport] = []
    hashes: dict[str, Future[str]] = {}
    with Store(output) as store, ThreadPoolExecutor(1) as hashing:
        try:
            before = earlier_description(output)
            folder = earlier_folder(output, before)
            for after, news in _steps(folder, files, unused, store, before.get("files", {}), tell):
                folder = after
                reports += news
                done = (report.path for report in news if report.state == DONE)
                hashes |= {shown: hashing.submit(file_sha256, paths[shown]) for shown in done}
            kinds = {report.path: report.kind.value for report in reports if report.kind}
            converted = {
                shown: {"path": shown, "kind": kinds[shown], "sha256": digest.result()}
                for shown, digest in hashes.items()
            }
        finally:
            # After ^C nobody waits for the hashes of gigabytes.
            hashing.shutdown(wait=False, cancel_futures=True)
        description = describe(folder, store.files, converted, before)
        order = {shown: index for index, shown in enumerate(paths)}
        reports.sort(key=lambda report: order.get(report.path, len(order)))
        if converted:
            store.publish(description, {REPORT_FILE: listing(reports)})
    return Outcome(reports, description)


def _unused(files: Mapping[Path, str], given: set[Path]) -> dict[Path, str]:
    """Checkpoints of runs that are not the best, unless `given` by themselves -> why they are left out."""
    return {path: reason for run in find_runs(files) for path, reason in run.others if path not in given}


def _steps(
    folder: Folder,
    files: Mapping[Path, str],
    unused: Mapping[Path, str],
    store: Store,
    before: Mapping[str, str],
    tell: Callable[[str], None],
) -> Iterator[tuple[Folder, list[FileReport]]]:
    """Every file once, models last: the folder after each step, and the reports that came with it.

    unused: files to leave out -> why. before: file of an earlier conversion -> its sha256.
    """
    head_files: list[Given] = []
    models: list[tuple[Kind, Path, str]] = []
    for path, shown in files.items():
        tell(shown)
        if path.name == CONFIG_NAME:
            continue
        found = FileReport(shown, None, UNUSED, notes=[unused[path]]) if path in unused else _recognised(path, shown)
        if isinstance(found, FileReport):
            yield folder, [found]
            continue
        if found.kind in MODEL_READERS:
            # Only what it is, not its content: gigabytes of networks that wait for their turn.
            models.append((Kind(found.kind), path, shown))
            continue
        step = _step(folder, found, shown)
        if isinstance(step, Given):
            head_files.append(step)
            continue
        folder = _carried_out(step, store, before)
        yield folder, [step.report]
    folder, reports = add_head_files(folder, head_files)
    yield folder, reports
    for kind, path, shown in sorted(models, key=lambda model: ([*MODEL_READERS].index(model[0]), model[2])):
        tell(shown)
        step = _model_step(folder, kind, path, shown)
        folder = _carried_out(step, store, before)
        yield folder, [step.report]
    yield _with_head_and_maps(folder, store)


def _recognised(path: Path, shown: str) -> Found | FileReport:
    """What a file is; a report where it is damaged or none of the kinds."""
    found = _attempt(lambda: recognise(path), path, shown, None)
    if isinstance(found, FileReport) or found.kind is not None:
        return found
    return FileReport(shown, None, IGNORED, notes=[str(found.content)])


def _step(folder: Folder, found: Found, shown: str) -> Step | Given:
    """What becomes of a file that is no model; of one of the head only its arrays, to be put together later."""
    assert found.kind is not None
    part, read = READERS[found.kind]
    if report := already_given(folder, part, shown, found.kind):
        return Step(report, folder)
    pieces = _attempt(lambda: read(found, shown), found.path, shown, found.kind)
    if isinstance(pieces, FileReport):
        return Step(pieces, folder)
    given = Given(shown, found.kind, pieces)
    if part == HEAD:
        return given
    return add_map(folder, given) if part == MAPS else add_part(folder, part, given)


def _model_step(folder: Folder, kind: Kind, path: Path, shown: str) -> Step:
    """What becomes of a checkpoint."""
    model = _attempt(lambda: MODEL_READERS[kind](recognise(path), shown), path, shown, kind)
    return Step(model, folder) if isinstance(model, FileReport) else add_model(folder, shown, kind, model)


def _attempt(read: Callable[[], Result], path: Path, shown: str, kind: Kind | None) -> Result | FileReport:
    """What `read` gives, or the report of the failure, with the file's shown name in front."""
    try:
        with reading(shown):
            return read()
    except InputError as error:
        text = str(error).replace(str(path), shown)
        return FileReport(shown, kind, FAILED, notes=[text if shown in text else f"{shown}: {text}"])


def _carried_out(step: Step, store: Store, before: Mapping[str, str]) -> Folder:
    """Write what a step gives; the folder after it."""
    others = {file: digest for file, digest in before.items() if file in step.others}
    return step.settled({name: store.put(name, arrays, others=others) for name, arrays in step.files.items()})


def _with_head_and_maps(folder: Folder, store: Store) -> tuple[Folder, list[FileReport]]:
    """Write what has been gathered of head and maps; files that contradict each other are a failure."""
    parts = dict(folder.parts)
    if folder.maps.arrays:
        parts[MAPS] = store.put(MAPS_FILE, folder.maps.arrays)
    arrays, reports = folder.head.arrays, []
    try:
        if arrays and not missing_for_head(arrays):
            arrays = complete_head(arrays, f"the head of {folder.head.origins['template']}")
            parts[HEAD] = HEAD_FILE
        if arrays:
            _write_head(arrays, folder.head.origins, parts, store)
    except CannotWrite:
        raise
    except InputError as error:
        parts.pop(HEAD, None)
        reports.append(FileReport(HEAD, None, FAILED, notes=[str(error)]))
    return replace(folder, parts=parts), reports


def _write_head(arrays: Mapping[str, Any], origins: Mapping[str, str], parts: Mapping[str, str], store: Store) -> None:
    place = store.path(HEAD_FILE)
    if place is None:
        return
    beside = next((parts[part] for part in ("albedo_bfm", "albedo_flame") if part in parts), None)
    provenance = {"licence": LICENCE_NOTE, "origins": dict(origins)}
    try:
        save_head_arrays(dict(arrays), STATIC_FIELDS, place, albedo_file=beside, provenance=provenance)
    except InputError as error:
        raise CannotWrite(str(error)) from error
    store.files[HEAD_FILE] = file_sha256(place)
    store.files["head.json"] = file_sha256(place.with_suffix(".json"))

"""Official files to a model folder: recognise each, convert it, put the parts together, describe them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emoca_jax.convert.gathered import missing_for_head
from emoca_jax.convert.job import HEAD_FILE, MAPS_FILE, MODEL_KINDS, Job
from emoca_jax.convert.report import DONE, UNUSED, FileReport, listing
from emoca_jax.convert.run_folders import CONFIG_NAME, find_runs
from emoca_jax.convert.sources import find_files
from emoca_jax.convert.store import Store
from emoca_jax.model_folder import FORMAT_VERSION, KIND, LICENCE_NOTE, MAP_NAMES, SHARED_PARTS
from emoca_jax.version import package_version

REPORT_FILE = "report.txt"
OFFICIAL_DEFAULT = "EMOCA_v2_lr_mse_20"
"""The model that the official demos take."""
NEEDED_MAPS = ("face_eye_mask", "fixed_displacement")
"""Of MAP_NAMES, those without which there is no detail."""


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
    with Store(output) as store, ThreadPoolExecutor(1) as hashing:
        try:
            job = Job(store, hashing)
            job.take_up(output)
            _run(job, files, {Path(source) for source in sources}, tell)
            description = describe(job)
        finally:
            # After ^C nobody waits for the hashes of gigabytes.
            hashing.shutdown(wait=False, cancel_futures=True)
        order = {shown: index for index, shown in enumerate(files.values())}
        reports = sorted(job.reports, key=lambda report: order.get(report.path, len(order)))
        if any(report.state == DONE for report in reports):
            store.publish(description, {REPORT_FILE: listing(reports)})
    return Outcome(reports, description)


def _run(job: Job, files: Mapping[Path, str], given: set[Path], tell: Callable[[str], None]) -> None:
    """Every file once; models last. Of a run's checkpoints only the best, unless another was `given` by itself."""
    unused = {path: reason for run in find_runs(files) for path, reason in run.others if path not in given}
    models = []
    for path, shown in files.items():
        tell(shown)
        if path in unused:
            job.reports.append(FileReport(shown, None, UNUSED, notes=[unused[path]]))
        elif path.name != CONFIG_NAME:
            models += job.read(path, shown)
    job.put_head_files()
    for _, report in sorted(models, key=lambda pair: (MODEL_KINDS.index(pair[0]), pair[1].path)):
        tell(report.path)
        job.read_model(report)
    job.put_head_and_maps()


def describe(job: Job) -> dict[str, Any]:
    """`model.json` after a conversion: what was there before, renewed."""
    used = {*job.parts.values(), *(file for model in job.models.values() for file in model["parts"].values())}
    if job.head.arrays:
        used |= {HEAD_FILE, Path(HEAD_FILE).with_suffix(".json").name}
    hashes = job.before.get("files", {}) | job.store.files
    sources = {entry["path"]: entry for entry in job.before.get("sources", ())}
    for shown, (kind, digest) in job.sources.items():
        sources[shown] = {"path": shown, "kind": kind.value, "sha256": digest.result()}
    return {
        "format": FORMAT_VERSION,
        "kind": KIND,
        "made_by": f"emoca_jax {package_version()}",
        "licence": LICENCE_NOTE,
        "default": _default(job.models, job.before.get("default")),
        "models": job.models,
        "parts": dict(sorted(job.parts.items())),
        "missing": _missing(job),
        "optional": _optional(job),
        "sources": list(sources.values()),
        "files": {name: hashes.get(name, "") for name in sorted(used)},
        "origins": {HEAD_FILE: job.head.origins, MAPS_FILE: job.maps.origins},
    }


def _missing(job: Job) -> list[str]:
    """Official files without which a model of the folder cannot be decoded in full."""
    maps = {name.partition("/")[0] for name in job.maps.arrays}
    missing = missing_for_head(job.head.arrays) + [MAP_NAMES[name] for name in NEEDED_MAPS if name not in maps]
    return missing if job.models else [*missing, "an EMOCA run folder or deca_model.tar"]


def _optional(job: Job) -> list[str]:
    """Official files without which albedo is grey: nobody may pass on BFM's, so most downloads lack it."""
    albedos = {f"albedo_{model['options']['albedo']}" for model in job.models.values()}
    return [SHARED_PARTS[part] for part in sorted(albedos - set(job.parts))]


def _default(models: Mapping[str, Any], before: str | None) -> str | None:
    """The model meant where none is named: as before, else the official demos' one, else by variant and name."""
    if before in models:
        return before
    if OFFICIAL_DEFAULT in models:
        return OFFICIAL_DEFAULT
    rank = ("emoca_jaw", "emoca", "deca")
    return min(models, key=lambda name: (rank.index(models[name]["variant"]), name), default=None)

"""Landmarks as our own detector finds them, beside packaged faces whose true ones are known.

    python -m data_pipelines.found open_faces train --data_dir datasets [--first 4000]

Training on photos has nothing else, so an experiment on drawn faces should not either. Looking takes some ten times as
long as training on a face: it is done once, into `found_SPLIT.npz` in the dataset's folder, which a run that is
interrupted goes on from.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Int
from rich.progress import track

from data_pipelines.pixels import decoded
from data_pipelines.samples import Sample
from data_pipelines.sources import Source, open_records
from emoca_jax.capture.detect import Networks, detect_batch, largest_face, load_networks
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular, user_path
from emoca_jax.files.whole import write_file

AT_ONCE = 32
"""Pictures whose crops share the mesh network's batches."""
SAVED_EVERY = 640
"""Pictures after which the file is written."""
FOUND = "found"
"""The field that samples gain: MediaPipe's 478 points, x and y in pixels (whole numbers are pixel centres), z in the
same unit, growing away."""


@dataclass(frozen=True)
class FoundFaces:
    """The samples of a source in which a face was found, with its landmarks under `FOUND`."""

    source: Source
    rows: Int[np.ndarray, "kept"]
    points: Float[np.ndarray, "kept 478 3"]

    @property
    def columns(self) -> Mapping[str, Int[np.ndarray, "_"]]:
        return {name: column[self.rows] for name, column in self.source.columns.items()}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return {**self.source[int(self.rows[index])], FOUND: self.points[index]}

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        many = getattr(self.source, "__getitems__", None)
        rows = [int(self.rows[index]) for index in indices]
        samples = many(rows) if many is not None else [self.source[row] for row in rows]
        return [{**sample, FOUND: self.points[index]} for sample, index in zip(samples, indices, strict=True)]


def open_found(name: str, split: str, *, data_dir: str | Path) -> FoundFaces:
    """Packaged samples with the landmarks that were found in them; those without a face are left out.

    split: a whole one, "train". Errors: InputError where nobody has looked yet.
    """
    source = open_records(name, split, data_dir=data_dir)
    place = _place(name, split, data_dir)
    if not place.is_file():
        raise InputError(
            f"{place}: is not there; make it with python -m data_pipelines.found {name} {split} --data_dir {data_dir}"
        )
    points = _read(place, source)
    rows = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    return FoundFaces(source, rows, points[rows])


def find(name: str, split: str, *, data_dir: str | Path, first: int | None = None) -> tuple[int, int]:
    """Look for the faces of a split, or of its first samples; tells how many were found, of how many.

    Rows that were not looked at and faces that were not found are NaN in the file; it is whole at any time.
    """
    source = open_records(name, split, data_dir=data_dir)
    place = _place(name, split, data_dir)
    count = len(source) if first is None else min(first, len(source))
    points = _read(place, source) if place.is_file() else np.full((len(source), 478, 3), np.nan, np.float32)
    seen = np.flatnonzero(np.isfinite(points[:, 0, 0]))
    # Pictures without a face leave no trace; from a place where it is written, the batches are those of one go.
    begin = int(seen[-1]) // SAVED_EVERY * SAVED_EVERY if len(seen) else 0
    detector = load_networks()
    for start in track(range(begin, count, AT_ONCE), f"{name}, {split}"):
        rows = range(start, min(start + AT_ONCE, count))
        points[start : rows.stop] = found_points(detector, [source[row] for row in rows])
        if rows.stop % SAVED_EVERY == 0 or rows.stop == count:
            _write(place, points, source)
    return int(np.isfinite(points[:count, 0, 0]).sum()), count


def found_points(detector: Networks, samples: Sequence[Sample]) -> Float[np.ndarray, "samples 478 3"]:
    """The landmarks of the largest face of each picture, NaN where there is none."""
    points = np.full((len(samples), 478, 3), np.nan, np.float32)
    for row, faces in enumerate(detect_batch(detector, [decoded(sample["image"]) for sample in samples])):
        if faces:
            points[row] = largest_face(faces).landmarks - [0.5, 0.5, 0.0]
    return points


def _place(name: str, split: str, data_dir: str | Path) -> Path:
    return user_path(data_dir) / name / f"found_{split}.npz"


def _read(place: Path, source: Source) -> Float[np.ndarray, "rows 478 3"]:
    try:
        with np.load(io.BytesIO(read_regular(place)), allow_pickle=False) as file:
            points, looked_at = file["points"].astype(np.float32), str(file["pictures"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise InputError(f"{place}: cannot be read ({error}); remove it and look again") from error
    if points.shape != (len(source), 478, 3) or looked_at != _pictures(source):
        raise InputError(f"{place}: is of another dataset, of {len(points)} faces; remove it and look again")
    return points


def _pictures(source: Source) -> str:
    """Tells a dataset from others, by the bytes of its first, middle and last picture."""
    told = hashlib.sha256()
    for row in (0, len(source) // 2, len(source) - 1):
        told.update(source[row]["image"])
    return told.hexdigest()


def _write(place: Path, points: Float[np.ndarray, "rows 478 3"], source: Source) -> None:
    file = io.BytesIO()
    np.savez(file, points=points, pictures=np.array(_pictures(source)))
    write_file(place, file.getvalue())


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of samples; give 1 or more")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 130 where it was interrupted, or 2 where nothing can be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("split")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--first", type=_count, help="look at so many samples only")
    asked = parser.parse_args(arguments)
    try:
        found, count = find(asked.name, asked.split, data_dir=asked.data_dir, first=asked.first)
    except InputError as error:
        print(f"found: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("found: interrupted; the same command goes on from what is written", file=sys.stderr)
        return 130
    print(f"a face in {found} of {count} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())

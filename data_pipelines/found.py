"""Landmarks as our own detector finds them, beside packaged faces.

    python -m data_pipelines.found open_faces train --data_dir datasets [--first 4000]
    python -m data_pipelines.found vggface2_hq train --data_dir datasets [--share 3/16]

Photos of known people come without any; and where faces are drawn, whose true ones are known, training should not have
what it would not have on photos. Looking takes some ten times as long as training on a face: it is done once, into
`found_SPLIT.npz` in the dataset's folder, which a run that is interrupted goes on from. Splits of more than 16,384
pictures are several such files, among which processes and machines that see the folder share the work.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Int
from rich.progress import track

from data_pipelines.as_68 import as_68
from data_pipelines.faces import box_of, face_square
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
PER_FILE = 16_384
"""Pictures of a file, so that it is written in a blink and read without the others (94 MB)."""
FOUND = "found"
"""The field that samples gain: MediaPipe's 478 points, x and y in pixels (whole numbers are pixel centres), z in the
same unit, growing away."""


@dataclass(frozen=True)
class FoundFaces:
    """The samples of a source in which a face was found, with its landmarks under `FOUND`."""

    source: Source
    rows: Int[np.ndarray, "kept"]
    points: Float[np.ndarray, "kept points axes"]

    @property
    def columns(self) -> Mapping[str, Int[np.ndarray, "_"]]:
        return {name: column[self.rows] for name, column in self.source.columns.items()}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return {**self.source[int(self.rows[index])], **self.found(index)}

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        many = getattr(self.source, "__getitems__", None)
        rows = [int(self.rows[index]) for index in indices]
        samples = many(rows) if many is not None else [self.source[row] for row in rows]
        return [{**sample, **self.found(index)} for sample, index in zip(samples, indices, strict=True)]

    def found(self, index: int) -> Sample:
        """What a sample gains."""
        return {FOUND: self.points[index]}


class FoundPhotos(FoundFaces):
    """The same with 68 `landmarks` and `face` as `data_pipelines.faces` has them, in place of any of the dataset's."""

    def found(self, index: int) -> Sample:
        landmarks = self.points[index]
        return {"landmarks": landmarks, "face": face_square(box_of(landmarks), "landmarks")}


class Part(NamedTuple):
    """The rows of a split that one file is of."""

    place: Path
    rows: range


class Looks(NamedTuple):
    """What a file holds; NaN where no face was found, or nobody has looked."""

    points: Float[np.ndarray, "rows 478 3"]
    landmarks: Float[np.ndarray, "rows 68 2"]
    """Which take half a millisecond a face."""


def open_found(name: str, split: str, *, data_dir: str | Path) -> FoundFaces:
    """Packaged samples with the landmarks that were found in them; those without a face are left out.

    split: a whole one, "train". Errors: InputError where nobody has looked yet, or no face was found.
    """
    source = open_records(name, split, data_dir=data_dir)
    return FoundFaces(source, *_found(name, split, source, data_dir, "points"))


def open_found_photos(name: str, split: str, *, data_dir: str | Path) -> FoundPhotos:
    """The same with `landmarks` (`as_68`) and `face`, as coarse stages on photos want them."""
    source = open_records(name, split, data_dir=data_dir)
    return FoundPhotos(source, *_found(name, split, source, data_dir, "landmarks"))


def find(
    name: str, split: str, *, data_dir: str | Path, first: int | None = None, share: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    """Look for the faces of a split, or of its first samples; tells how many were found, of how many.

    share: which of how many shares of the files, from (1, 1) on. Rows that were not looked at and faces that were not
    found are NaN in a file; it is whole at any time.
    """
    source = open_records(name, split, data_dir=data_dir)
    count = len(source) if first is None else min(first, len(source))
    parts = [part for part in _parts(name, split, source, data_dir) if part.rows.start < count]
    if share[0] > len(parts):
        raise InputError(f"share {share[0]} of {share[1]} has nothing to do: files of {name} {split}: {len(parts)}")
    detector = load_networks()
    told = [_look(detector, source, part, min(count, part.rows.stop)) for part in parts[share[0] - 1 :: share[1]]]
    return sum(found for found, _ in told), sum(looked for _, looked in told)


def _look(detector: Networks, source: Source, part: Part, stop: int) -> tuple[int, int]:
    """Look at a file's rows under `stop`; tells how many faces were found, in how many pictures."""
    place, rows = part
    count = stop - rows.start
    looks = _read(part, source) if place.is_file() else _nothing(len(rows))
    seen = np.flatnonzero(np.isfinite(looks.points[:, 0, 0]))
    # Pictures without a face leave no trace; from a place where it is written, the batches are those of one go.
    begin = int(seen[-1]) // SAVED_EVERY * SAVED_EVERY if len(seen) else 0
    for start in track(range(begin, count, AT_ONCE), place.stem):
        end = min(start + AT_ONCE, count)
        found = found_points(detector, [source[row] for row in rows[start:end]])
        looks.points[start:end], looks.landmarks[start:end] = found, _landmarks(found)
        if end % SAVED_EVERY == 0 or end == count:
            _write(part, looks, source)
    return int(np.isfinite(looks.points[:count, 0, 0]).sum()), count


def found_points(detector: Networks, samples: Sequence[Sample]) -> Float[np.ndarray, "samples 478 3"]:
    """The landmarks of the largest face of each picture, NaN where there is none."""
    points = np.full((len(samples), 478, 3), np.nan, np.float32)
    for row, faces in enumerate(detect_batch(detector, [decoded(sample["image"]) for sample in samples])):
        if faces:
            points[row] = largest_face(faces).landmarks - [0.5, 0.5, 0.0]
    return points


def _parts(name: str, split: str, source: Source, data_dir: str | Path) -> list[Part]:
    """All files of a split, whether they are there or not."""
    folder, count = user_path(data_dir) / name, len(source)
    starts = range(0, count, PER_FILE)
    files = [f"found_{split}-{i:05d}-of-{len(starts):05d}.npz" for i in range(len(starts))]
    files = files if len(files) > 1 else [f"found_{split}.npz"]
    return [
        Part(folder / file, range(start, min(start + PER_FILE, count)))
        for file, start in zip(files, starts, strict=True)
    ]


def _found(
    name: str, split: str, source: Source, data_dir: str | Path, kept: Literal["points", "landmarks"]
) -> tuple[Int[np.ndarray, "kept"], Float[np.ndarray, "kept points axes"]]:
    """Rows of found faces, and of their points what is kept."""
    parts = _parts(name, split, source, data_dir)
    there = [part for part in parts if part.place.is_file()]
    command = f"python -m data_pipelines.found {name} {split} --data_dir {data_dir}"
    if not there:
        raise InputError(f"{parts[0].place}: is not there; make it with {command}")
    if len(there) < len(parts):
        missing = ", ".join(part.place.name for part in parts if part not in there)
        warnings.warn(f"{missing}: not there, their pictures are left out; look at them with {command}",
                      RuntimeWarning, stacklevel=3)  # fmt: skip
    rows, points = [], []
    for part in there:
        looks = _read(part, source)
        chosen = np.flatnonzero(np.isfinite(looks.points).all(axis=(1, 2)))
        rows.append(part.rows.start + chosen)
        points.append(getattr(looks, kept)[chosen])
    if not sum(map(len, rows)):
        raise InputError(f"{there[0].place}: no face was found in these pictures; look at all of them with {command}")
    return np.concatenate(rows), np.concatenate(points)


def _nothing(rows: int) -> Looks:
    return Looks(np.full((rows, 478, 3), np.nan, np.float32), np.full((rows, 68, 2), np.nan, np.float32))


def _landmarks(points: Float[np.ndarray, "rows 478 3"]) -> Float[np.ndarray, "rows 68 2"]:
    return np.stack([as_68(face) for face in points]) if len(points) else _nothing(0).landmarks


def _read(part: Part, source: Source) -> Looks:
    place = part.place
    try:
        with np.load(io.BytesIO(read_regular(place)), allow_pickle=False) as file:
            points, looked_at = file["points"].astype(np.float32), str(file["pictures"])
            landmarks = file["landmarks"].astype(np.float32) if "landmarks" in file else None
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise InputError(f"{place}: cannot be read ({error}); remove it and look again") from error
    if points.shape != (len(part.rows), 478, 3) or looked_at != _pictures(part, source):
        raise InputError(f"{place}: is of another dataset, of {len(points)} faces; remove it and look again")
    # Older files have none.
    landmarks = _landmarks(points) if landmarks is None else landmarks
    if landmarks.shape != (len(points), 68, 2):
        raise InputError(f"{place}: its landmarks are no table of 68; remove it and look again")
    return Looks(points, landmarks)


def _pictures(part: Part, source: Source) -> str:
    """Tells rows from those of other datasets, by the bytes of their first, middle and last picture."""
    told = hashlib.sha256()
    for row in (0, len(part.rows) // 2, -1):
        told.update(source[part.rows[row]]["image"])
    return told.hexdigest()


def _write(part: Part, looks: Looks, source: Source) -> None:
    file = io.BytesIO()
    np.savez(file, **looks._asdict(), pictures=np.array(_pictures(part, source)))
    write_file(part.place, file.getvalue())


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of samples; give 1 or more")
    return int(text)


def _share(text: str) -> tuple[int, int]:
    one, _, all_of_them = text.partition("/")
    if not (one.isdecimal() and all_of_them.isdecimal() and 1 <= int(one) <= int(all_of_them)):
        raise argparse.ArgumentTypeError(f"{text} is no share; give 1/4, 2/4, 3/4 or 4/4, say")
    return int(one), int(all_of_them)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 130 where it was interrupted, or 2 where nothing can be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("split")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--first", type=_count, help="look at so many samples only")
    parser.add_argument("--share", type=_share, default=(1, 1), metavar="I/N", help="look into each N-th file only")
    asked = parser.parse_args(arguments)
    try:
        looked = {"data_dir": asked.data_dir, "first": asked.first, "share": asked.share}
        found, count = find(asked.name, asked.split, **looked)
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

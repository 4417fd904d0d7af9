"""The work in pieces: some photos are a shard, whose labels are three files. What is there is not made again.

A shard's files depend on its photos, the networks and the device kind alone, not on who makes them, or when.
"""

from __future__ import annotations

import collections
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.pseudo_labels.label import Failure, Labeller, Wanted, label
from emoca_jax.capture.images import Photo
from emoca_jax.files.version import package_version
from emoca_jax.mediapipe_points import ALL_POINTS

FORMAT_VERSION = 1
"""Of a folder of labels; counts up when a name or a meaning changes."""
FACES, ARRAYS, FAILED = "faces", "arrays", "failed"
"""What the files of a shard begin with. `FACES` is written last: where it is, the others are."""
PLAN, SUMMARY = "plan.json", "summary.json"


class Shard(NamedTuple):
    """Some of the photos, in their order."""

    number: int
    shards: int
    photos: tuple[str, ...]

    def file(self, kind: str) -> str:
        """Name of one of its files."""
        ending = "npz" if kind == ARRAYS else "jsonl"
        return f"{kind}-{self.number:05d}-of-{self.shards:05d}.{ending}"


class Counts(NamedTuple):
    """What became of photos; adds up."""

    photos: int = 0
    faces: int = 0
    failed: dict[Failure, int] = {}  # noqa: RUF012 (never written to)


def shards_of(photos: Sequence[str], size: int) -> list[Shard]:
    """The photos in shards of `size`, the last of which may be smaller."""
    starts = range(0, len(photos), size)
    return [Shard(number, len(starts), tuple(photos[start : start + size])) for number, start in enumerate(starts)]


def plan(photos: Sequence[str], size: int, wanted: Wanted) -> bytes:
    """What a folder of labels is made of, so that no later run mixes it with other things."""
    listed = hashlib.sha256("\n".join(photos).encode(errors="surrogateescape")).hexdigest()
    made_by = {"format_version": FORMAT_VERSION, "emoca_jax": package_version()}
    return as_json({**made_by, **wanted._asdict(), "photos": len(photos), "photos_sha256": listed, "per_shard": size})


def shard_files(labeller: Labeller, shard: Shard, read: Callable[[str], Photo]) -> dict[str, bytes]:
    """Label a shard's photos: names and contents of its files, in the order in which they are to be written."""
    done = [label(labeller, photo, read) for photo in shard.photos]
    faces = [face for photo in done for face in photo.faces]
    failed = ({"photo": one.photo, "failure": one.failure, "why": one.why} for one in done if one.failure)
    return {
        shard.file(ARRAYS): _stacked([face.arrays for face in faces]),
        shard.file(FAILED): _lines(failed),
        shard.file(FACES): _lines(face.told for face in faces),
    }


def counts(shard: Shard, faces: bytes, failed: bytes) -> Counts:
    """What became of a shard's photos, by the contents of two of its files."""
    kinds = collections.Counter(json.loads(line)["failure"] for line in failed.splitlines())
    return Counts(len(shard.photos), faces.count(b"\n"), dict(sorted(kinds.items())))


def added(parts: Iterable[Counts]) -> Counts:
    """All counts together; in any order, and again of sums, as Beam asks for."""
    photos, faces, failed = 0, 0, collections.Counter[Failure]()
    for part in parts:
        photos, faces = photos + part.photos, faces + part.faces
        failed.update(part.failed)
    return Counts(photos, faces, dict(sorted(failed.items())))


def summary(total: Counts) -> bytes:
    """What is told of all photos at the end."""
    return as_json(total._asdict())


def as_json(content: dict[str, Any]) -> bytes:
    """Indented, as a file by itself."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    # Names of files may hold bytes that are no UTF-8; escaped, they stay what they are.
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()


def _stacked(faces: Sequence[dict[str, np.ndarray]]) -> bytes:
    """Row i of every array is of line i of the faces."""
    empty = {"landmarks": np.zeros((0, ALL_POINTS, 3), np.float32), "box": np.zeros((0, 4), np.float32)}
    file = io.BytesIO()
    names = faces[0] if faces else ()
    stacked: dict[str, Any] = {name: np.stack([face[name] for face in faces]) for name in names} or empty
    np.savez_compressed(file, **stacked)
    return file.getvalue()

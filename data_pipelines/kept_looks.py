"""Looks of networks that stay as they are (frozen_sets.py), kept on disk with what they are of."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from data_pipelines.frozen_sets import NUMBERS, FrozenSets
from data_pipelines.sources import Source
from emoca_jax.errors import InputError
from emoca_jax.files.whole import write_file

PRINTED = 32
"""So many pictures, evenly spread, tell one data set from another whose labels are the same."""


class Origin(NamedTuple):
    """What kept looks are of."""

    seed: int
    turn: int
    faces: int
    data: str
    """Hash of the faces' labels and of some pictures, in their order."""

    def __str__(self) -> str:
        return f"seed {self.seed}, turn {self.turn}, {self.faces} faces {self.data}"


def origin_of(source: Source, *, seed: int, turn: int) -> Origin:
    """What looks of this seed and turn at these faces are of."""
    told, count = hashlib.sha256(), len(source)
    for name, column in sorted(source.columns.items()):
        told.update(name.encode() + np.asarray(column, np.int64).tobytes())
    for row in np.linspace(0, count - 1, min(PRINTED, count)).astype(int).tolist():
        told.update(source[row]["image"])
    return Origin(seed, turn, count, told.hexdigest()[:16])


def save_sets(folder: Path, name: str, sets: FrozenSets, origin: Origin) -> None:
    """Keep looks as name.npz, which is there only where name_maps.npy beside it is whole.

    Errors: InputError where the folder is full or may not be written.
    """
    others, maps = _files(folder, name)
    try:
        others.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{others}: cannot be renewed ({error.strerror or error}); give another folder") from error
    write_file(maps, lambda file: np.save(file, sets.maps))
    file = io.BytesIO()
    np.savez(
        file,
        origin=np.array(json.dumps(origin)),
        read=sets.read,
        points=sets.points,
        units=sets.units,
        expression=sets.expression,
        affect=sets.affect,
    )
    write_file(others, file.getvalue())


def load_sets(folder: Path, name: str, origin: Origin) -> FrozenSets | None:
    """Looks that `save_sets` kept; None where there are none, or one file of the two is missing.

    Errors: InputError where they are not whole, or of another origin.
    """
    others, maps = _files(folder, name)
    if not (others.is_file() and maps.is_file()):
        return None
    way_out = f"remove it, and the looks are made anew, or give another folder than {folder}"
    try:
        # NumPy leaves a file that it cannot read open.
        with open(others, "rb") as opened, np.load(opened) as file:
            if "points" not in file:
                raise InputError(f"{others}: was kept by an earlier version, which told no landmarks; {way_out}")
            found = Origin(*json.loads(str(file["origin"]))) if "origin" in file else None
            rest = [file[field] for field in FrozenSets._fields[1:]]
        if found == origin:
            # Maps stay on disk: of many turns they are more than memory holds.
            sets = FrozenSets(np.load(maps, mmap_mode="r"), *rest)
            if len({len(part) for part in sets}) == 1 and sets.maps.shape[1:] == (NUMBERS,):
                return sets
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{others}: it or {maps.name} beside it is not whole; {way_out}") from error
    if found == origin:
        raise InputError(f"{others}: {maps.name} beside it does not belong to it; {way_out}")
    told = "does not say what its looks are of" if found is None else f"has looks of {found}"
    raise InputError(f"{others}: {told}; expected are looks of {origin}; {way_out}")


def gathered(
    parts: list[Float[np.ndarray, "_ numbers"]], rows: Int[np.ndarray, "batch"]
) -> Float[np.ndarray, "batch numbers"]:
    """The rows, counted through all parts, without all of these in memory."""
    starts = np.cumsum([0, *map(len, parts)])
    places = np.searchsorted(starts, rows, side="right") - 1
    return np.stack([parts[place][row - starts[place]] for place, row in zip(places, rows, strict=True)])


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.npz", folder / f"{name}_maps.npy"

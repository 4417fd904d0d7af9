"""AFEW-VA's official folder to samples: every frame of 600 film clips, in five folds that share no actor."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.faces import AROUSAL, FACE, FIELDS, IDENTITY, LANDMARKS, VALENCE, box_of, face_square
from data_pipelines.official import all_there, encoded, folders_in
from data_pipelines.samples import Description, Numbers, Sample, Split, Words, nonempty, numbered
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular

FOLDS = 5
LARGEST_RATING = 10
"""Valence and arousal are rated in whole numbers from -10 to 10."""
MOST_BYTES = 1 << 26

DESCRIPTION = Description(
    name="afew_va",
    version="1.0.0",
    about="""AFEW-VA: the frames of 600 film clips with valence, arousal and 68 landmarks each.

Splits fold_0 to fold_4 share no actor: clips are dealt to folds actor by actor, those with the most frames first, each
to the fold that is smallest so far. Valence and arousal are divided by 10.""",
    source="Kossaifi, Tzimiropoulos, Todorovic, Pantic; on request from ibug.doc.ic.ac.uk, for research only.",
    citation="""@article{afew_va,
  author = {Kossaifi, Jean and Tzimiropoulos, Georgios and Todorovic, Sinisa and Pantic, Maja},
  title = {{AFEW-VA} database for valence and arousal estimation in-the-wild},
  journal = {Image and Vision Computing},
  year = {2017},
}""",
    fields={
        **FIELDS,
        "valence": VALENCE,
        "arousal": AROUSAL,
        "landmarks": LANDMARKS,
        "face": FACE,
        "identity": IDENTITY,
        "clip": Words("Name of the clip's folder."),
        "frame": Numbers("Number of the frame in its clip.", (), "int64"),
    },
    folder="one folder a clip (001/ to 600/: 01.zip to 12.zip unpacked), each with its frames and <clip>.json",
)


class Row(NamedTuple):
    """One frame."""

    folder: str
    clip: str
    frame: str
    actor: str
    valence: float
    arousal: float
    landmarks: tuple[tuple[float, float], ...]


def find(folder: Path) -> dict[str, Split]:
    """The clips' frames by fold. Errors: InputError, one sentence that names what is missing."""
    clips = [clip for clip in folders_in(folder) if (clip / f"{clip.name}.json").exists()]
    if not clips:
        raise InputError(f"{folder}: has no clip with its .json (001/001.json); give {DESCRIPTION.folder}")
    rows = [row for clip in clips for row in _rows(clip)]
    all_there(folder, [f"{row.clip}/{row.frame}.png" for row in rows], "the clips' .json")
    fold_of = folds_of_actors(rows)
    splits = {}
    for fold in range(FOLDS):
        kept = [row for row in rows if fold_of[row.actor] == fold]
        splits[f"fold_{fold}"] = Split(kept, read, {"identity": numbered([row.actor for row in kept])})
    return nonempty(splits, folder, f"give {DESCRIPTION.folder}")


def read(row: Row) -> Sample:
    """The sample of a frame."""
    landmarks = np.array(row.landmarks, np.float32)
    file = f"{row.clip}/{row.frame}.png"
    return {
        "image": encoded(Path(row.folder, file)),
        "file": file,
        "valence": np.float32(row.valence / LARGEST_RATING),
        "arousal": np.float32(row.arousal / LARGEST_RATING),
        "landmarks": landmarks,
        "face": face_square(box_of(landmarks), "landmarks"),
        "identity": row.actor,
        "clip": row.clip,
        "frame": np.int64(row.frame),
    }


def folds_of_actors(rows: list[Row]) -> dict[str, int]:
    """Actor -> fold: whoever has the most frames first, to the fold with the fewest; ties by name and number."""
    frames: dict[str, int] = {}
    for row in rows:
        frames[row.actor] = frames.get(row.actor, 0) + 1
    sizes = [0] * FOLDS
    folds = {}
    for actor in sorted(frames, key=lambda name: (-frames[name], name)):
        folds[actor] = sizes.index(min(sizes))
        sizes[folds[actor]] += frames[actor]
    return folds


def _rows(clip: Path) -> list[Row]:
    path = clip / f"{clip.name}.json"
    try:
        content = json.loads(read_regular(path, most=MOST_BYTES))
        frames: Mapping[str, Any] = content["frames"]
        return [_row(clip, name, str(content["actor"]), frames[name]) for name in sorted(frames)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: is damaged or of another dataset ({reason[:80]}); get it again") from error


def _row(clip: Path, name: str, actor: str, frame: Mapping[str, Any]) -> Row:
    valence, arousal = float(frame["valence"]), float(frame["arousal"])
    if max(abs(valence), abs(arousal)) > LARGEST_RATING:
        raise ValueError(f"frame {name}: valence or arousal is out of range")
    landmarks = tuple((float(x), float(y)) for x, y in frame["landmarks"])
    if len(landmarks) != 68 or not name.isdecimal():
        raise ValueError(f"frame {name}: has {len(landmarks)} landmarks")
    return Row(os.fspath(clip.parent), clip.name, name, actor, valence, arousal, landmarks)

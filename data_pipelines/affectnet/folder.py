"""AffectNet's official folder to samples: the manually annotated faces, 8 expressions, cleaned as by EmoNet."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.faces import AROUSAL, BOX, EXPRESSION, FACE, FIELDS, LANDMARKS, VALENCE, box_of, face_square
from data_pipelines.official import all_there, encoded, numbers, one_of, table
from data_pipelines.samples import Description, Sample, Split, nonempty
from emoca_jax.errors import InputError

IMAGES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
LISTS = ("Manually_Annotated_file_lists/{}.csv", "Manually_Annotated/{}.csv", "{}.csv")
COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
NO_VALUE = -2.0
"""Valence and arousal of faces that nobody could rate."""

DESCRIPTION = Description(
    name="affectnet",
    version="1.0.0",
    about="""AffectNet, the manually annotated faces: 8 expressions, valence and arousal, 68 landmarks.

Left out: rows without one of the 8 expressions (none, uncertain, no face) or without valence and arousal. Splits
ending in _clean hold what EmoNet's automatic rules keep, those ending in _other the rest; together they are the
official training and validation lists.""",
    source="Mollahosseini, Hasani, Mahoor; on request from the authors, for research only.",
    citation="""@article{affectnet,
  author = {Mollahosseini, Ali and Hasani, Behzad and Mahoor, Mohammad H.},
  title = {{AffectNet}: A Database for Facial Expression, Valence, and Arousal Computing in the Wild},
  journal = {IEEE Transactions on Affective Computing},
  year = {2019},
}""",
    fields={
        **FIELDS,
        "expression": EXPRESSION,
        "valence": VALENCE,
        "arousal": AROUSAL,
        "box": BOX,
        "landmarks": LANDMARKS,
        "face": FACE,
    },
    folder="Manually_Annotated_Images/ and Manually_Annotated_file_lists/ with training.csv and validation.csv",
)


class Row(NamedTuple):
    """One line of a list."""

    images: str
    file: str
    expression: int
    valence: float
    arousal: float
    box: tuple[float, ...]
    landmarks: tuple[float, ...]


def find(folder: Path) -> dict[str, Split]:
    """The official lists' faces. Errors: InputError, one sentence that names what is missing."""
    images = one_of(folder, IMAGES, "the folder of pictures")
    splits: dict[str, Split] = {}
    for ours, official in (("train", "training"), ("validation", "validation")):
        lists = one_of(folder, [name.format(official) for name in LISTS], f"the {official} list")
        rows = [row for row in _rows(lists, images) if row is not None]
        all_there(images, [row.file for row in rows], lists.name)
        clean = [is_clean(row.expression, row.valence, row.arousal) for row in rows]
        for ending, wanted in (("clean", True), ("other", False)):
            kept = [row for row, one in zip(rows, clean, strict=True) if one is wanted]
            expressions = np.array([row.expression for row in kept], np.int32)
            splits[f"{ours}_{ending}"] = Split(kept, read, {"expression": expressions})
    return nonempty(splits, folder, "give the official lists")


def read(row: Row) -> Sample:
    """The sample of a row."""
    landmarks = np.reshape(np.array(row.landmarks, np.float32), (68, 2))
    return {
        "image": encoded(Path(row.images, row.file)),
        "file": row.file,
        "expression": row.expression,
        "valence": np.float32(row.valence),
        "arousal": np.float32(row.arousal),
        "box": np.array(row.box, np.float32),
        "landmarks": landmarks,
        "face": face_square(box_of(landmarks), "landmarks"),
    }


def is_clean(expression: int, valence: float, arousal: float) -> bool:
    """Whether expression, valence and arousal agree.

    Source: Toisoul et al., "Estimation of continuous valence and arousal levels from faces in naturalistic conditions",
    Nature Machine Intelligence 2021: their published evaluation's automatic part. They also looked at each picture;
    those judgements were not published with it.
    """
    name = EXPRESSION.names[expression]
    strength = math.hypot(valence, arousal)
    if name == "neutral":
        return strength < 0.2
    agrees = {
        "happy": valence > 0,
        "sad": valence < 0,
        "surprise": arousal > 0,
        "fear": arousal >= 0 >= valence,
        "disgust": valence < 0,
        "anger": arousal > 0,
        "contempt": valence < 0,
    }
    return agrees[name] and strength > (0.3 if name == "disgust" else 0.2)


def _rows(path: Path, images: Path) -> list[Row | None]:
    return [_row(cells, f"{path}, line {number}", os.fspath(images)) for number, cells in table(path, COLUMNS)]


def _row(cells: dict[str, str], place: str, images: str) -> Row | None:
    expression, valence, arousal = (numbers(cells[name], 1, place)[0] for name in ("expression", "valence", "arousal"))
    if expression >= len(EXPRESSION.names) or NO_VALUE in (valence, arousal):
        return None
    if expression < 0 or expression % 1 or not (-1 <= valence <= 1 and -1 <= arousal <= 1):
        raise InputError(f"{place}: expression, valence or arousal is out of range; get the file again")
    left, top, width, height = (numbers(cells[name], 1, place)[0] for name in COLUMNS[1:5])
    landmarks = numbers(cells["facial_landmarks"], 136, place)
    box = (left, top, left + width, top + height)
    return Row(images, cells[COLUMNS[0]], int(expression), valence, arousal, box, tuple(landmarks))

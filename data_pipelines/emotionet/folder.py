"""EmotioNet's folder to samples: photos of the wild with facial action units."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.faces import FIELDS
from data_pipelines.official import all_there, encoded, numbers, one_of, table
from data_pipelines.samples import Description, Numbers, Sample, Split, nonempty
from emoca_jax.errors import InputError

UNITS = 60
UNIT = re.compile(r"AU\s*(\d+)")
UNKNOWN = 999
"""What the lists say of a unit that was not looked for."""
VALIDATION_EVERY = 10
"""Every tenth row of the lists is held out: the published lists name no split."""

DESCRIPTION = Description(
    name="emotionet",
    version="1.0.0",
    about="""EmotioNet: photos of the wild with the facial action units that are seen in them.

No face is located in them. Every tenth row is in `validation`, the others in `train`.""",
    source="Fabian Benitez-Quiroz, Srinivasan, Martinez; on request from cbcsl.ece.ohio-state.edu, for research only.",
    citation="""@inproceedings{emotionet,
  author = {Fabian Benitez-Quiroz, C. and Srinivasan, Ramprakash and Martinez, Aleix M.},
  title = {{EmotioNet}: An Accurate, Real-Time Algorithm for the Automatic Annotation of a Million Facial Expressions in
           the Wild},
  booktitle = {CVPR},
  year = {2016},
}""",
    fields={
        **FIELDS,
        "units": Numbers(
            "Facial action units 1 to 60 at places 0 to 59: 1 seen, 0 not seen, -1 unknown.", (UNITS,), "int64"
        ),
    },
    folder="images/ and the lists image_list_*.csv (path, then a column AU 1 ... for each unit)",
)


class Row(NamedTuple):
    """One line of a list."""

    folder: str
    file: str
    units: tuple[int, ...]


def find(folder: Path) -> dict[str, Split]:
    """The lists' photos. Errors: InputError, one sentence that names what is missing."""
    images = one_of(folder, ["images"], "the folder of pictures")
    lists = sorted(folder.glob("image_list_*.csv"))
    if not lists:
        raise InputError(f"{folder}: the lists image_list_*.csv are missing; give {DESCRIPTION.folder}")
    rows = [row for path in lists for row in _rows(path, images)]
    all_there(images, [row.file for row in rows], "image_list_*.csv")
    held_out = [row for number, row in enumerate(rows) if number % VALIDATION_EVERY == VALIDATION_EVERY - 1]
    kept = [row for number, row in enumerate(rows) if number % VALIDATION_EVERY != VALIDATION_EVERY - 1]
    splits = {"train": Split(kept, read), "validation": Split(held_out, read)}
    return nonempty(splits, folder, f"give {DESCRIPTION.folder}")


def read(row: Row) -> Sample:
    """The sample of a row."""
    return {
        "image": encoded(Path(row.folder, row.file)),
        "file": row.file,
        "units": np.array(row.units, np.int64),
    }


def _rows(path: Path, images: Path) -> list[Row]:
    return [_row(cells, f"{path}, line {number}", os.fspath(images)) for number, cells in table(path, ["path"])]


def _row(cells: dict[str, str], place: str, images: str) -> Row:
    units = [-1] * UNITS
    columns = {name: match for name in cells if (match := UNIT.fullmatch(name.strip().strip("'\"")))}
    if not columns:
        raise InputError(f"{place}: has no column AU 1; give the official list")
    for name, match in columns.items():
        value = numbers(cells[name], 1, place)[0]
        unit = int(match[1])
        if not 1 <= unit <= UNITS or value not in (0, 1, UNKNOWN):
            raise InputError(f"{place}: {name} is {cells[name]}, not 0, 1 or {UNKNOWN}; get the list again")
        units[unit - 1] = -1 if value == UNKNOWN else int(value)
    return Row(images, cells["path"], tuple(units))

"""The NoW challenge's official folder to samples: photos of people whose scans are known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.faces import BOX, FACE, FIELDS, IDENTITY, face_square
from data_pipelines.official import all_there, encoded, one_of
from data_pipelines.samples import Description, Label, Sample, Split, nonempty, numbered
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular
from emoca_jax.safe_files.array_files import read_npy

RELEASE = ("NoW_Dataset/final_release_version", "final_release_version", ".")
LISTS = {"validation": "imagepathsvalidation.txt", "test": "imagepathstest.txt"}
CHALLENGES = ("multiview_neutral", "multiview_expressions", "multiview_occlusions", "selfie")
SIDES = ("left", "top", "right", "bottom")
MOST_BYTES = 1 << 24

DESCRIPTION = Description(
    name="now",
    version="1.0.0",
    about="""The NoW challenge: photos for measuring reconstructed faces against scans, with the detector's boxes.

The evaluation crops 1.6 times the square `face`. Scans are no part of this: data_pipelines/now/folder.py does not read
them; `file` leads to them.""",
    source="Sanyal, Bolkart, Feng, Black; now.is.tue.mpg.de, for research only.",
    citation="""@inproceedings{now,
  author = {Sanyal, Soubhik and Bolkart, Timo and Feng, Haiwen and Black, Michael J.},
  title = {Learning to Regress {3D} Face Shape and Expression from an Image without {3D} Supervision},
  booktitle = {CVPR},
  year = {2019},
}""",
    fields={
        **FIELDS,
        "box": BOX,
        "face": FACE,
        "identity": IDENTITY,
        "challenge": Label("How the photo was taken.", CHALLENGES),
    },
    folder="final_release_version/ (iphone_pictures/, detected_face/) and imagepathsvalidation.txt beside or in it",
)


class Row(NamedTuple):
    """One line of a list."""

    folder: str
    file: str


def find(folder: Path) -> dict[str, Split]:
    """The listed photos. Errors: InputError, one sentence that names what is missing."""
    release = next(path for name in RELEASE if (path := folder / name).is_dir())
    images = one_of(release, ["iphone_pictures"], "the folder of pictures")
    boxes = one_of(release, ["detected_face"], "the folder of boxes")
    splits = {}
    for split, name in LISTS.items():
        path = next((place / name for place in (folder, release, release.parent) if (place / name).exists()), None)
        if path is None:
            continue
        files = read_regular(path, most=MOST_BYTES).decode(errors="replace").split()
        if strange := [file for file in files if len(Path(file).parts) != 3 or file.split("/")[1] not in CHALLENGES]:
            raise InputError(f"{path}: names {strange[0][:80]}, which is no photo of the challenge; get the list again")
        all_there(images, files, name)
        all_there(boxes, [_box_of(file) for file in files], name)
        rows = [Row(os.fspath(release), file) for file in files]
        splits[split] = Split(rows, read, {"identity": numbered([file.split("/")[0] for file in files])})
    if not splits:
        raise InputError(f"{folder}: {' and '.join(LISTS.values())} are missing; give {DESCRIPTION.folder}")
    return nonempty(splits, folder, f"give {DESCRIPTION.folder}")


def read(row: Row) -> Sample:
    """The sample of a photo."""
    path = Path(row.folder, "detected_face", _box_of(row.file))
    try:
        content = read_npy(path).item()
        box = np.array([float(content[side]) for side in SIDES], np.float32)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: holds no box; get it again") from error
    identity, challenge, _ = row.file.split("/")
    return {
        "image": encoded(Path(row.folder, "iphone_pictures", row.file)),
        "file": row.file,
        "box": box,
        "face": face_square(box, "detector"),
        "identity": identity,
        "challenge": CHALLENGES.index(challenge),
    }


def _box_of(file: str) -> str:
    return os.path.splitext(file)[0] + ".npy"

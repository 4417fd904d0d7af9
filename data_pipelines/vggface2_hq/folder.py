"""VGGFace2-HQ's folder to samples: aligned portraits by identity."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from data_pipelines.faces import FIELDS, IDENTITY
from data_pipelines.official import encoded, folders_in, held_out_name, pictures_in
from data_pipelines.samples import Description, Sample, Split, nonempty, numbered
from emoca_jax.errors import InputError

IMAGES = ("VGGface2_HQ_original_aligned", "VGGface2_None_norm_512_true_bygfpgan", "original", "train", ".")
"""Names that the folder of identities has in the published archives; the last where it was given itself."""

DESCRIPTION = Description(
    name="vggface2_hq",
    version="1.0.0",
    about="""VGGFace2-HQ: 512 x 512 portraits, restored and aligned, several of each identity.

One identity in twenty is in `validation`, chosen by its name, the others in `train`. The pictures are crops already,
without landmarks.""",
    source="Cao et al. (VGGFace2) and Chen et al. (VGGFace2-HQ, github.com/NNNNAI/VGGFace2-HQ), for research only.",
    citation="""@article{vggface2_hq,
  author = {Chen, Xuanhong and Ni, Bingbing and Liu, Yutian and Liu, Naiyuan and Zeng, Zhilin and Wang, Hang},
  title = {{SimSwap++}: Towards Faster and High-Quality Identity Swapping},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year = {2023},
}""",
    fields={**FIELDS, "identity": IDENTITY},
    folder="one folder an identity (n000002/0001_01.jpg), the archives unpacked",
)


class Row(NamedTuple):
    """One portrait."""

    folder: str
    identity: str
    name: str


def find(folder: Path) -> dict[str, Split]:
    """The identities' portraits. Errors: InputError, one sentence that names what is missing."""
    images = next(path for name in IMAGES if (path := folder / name).is_dir())
    identities = [path for path in folders_in(images) if path.name[:1] == "n" and path.name[1:].isdecimal()]
    if not identities:
        raise InputError(f"{folder}: has no folder of an identity (n000002/); give {DESCRIPTION.folder}")
    if empty := [path.name for path in identities if not pictures_in(path)]:
        raise InputError(
            f"{folder}: {len(empty)} of {len(identities)} identities have no pictures, the first is {empty[0]}; "
            "unpack the rest"
        )
    splits = {}
    for name in ("train", "validation"):
        kept = [path for path in identities if held_out_name(path.name) == (name == "validation")]
        rows = [Row(os.fspath(images), path.name, file) for path in kept for file in pictures_in(path)]
        splits[name] = Split(rows, read, {"identity": numbered([row.identity for row in rows])})
    return nonempty(splits, folder, f"give {DESCRIPTION.folder}")


def read(row: Row) -> Sample:
    """The sample of a portrait."""
    file = f"{row.identity}/{row.name}"
    return {"image": encoded(Path(row.folder, file)), "file": file, "identity": row.identity}

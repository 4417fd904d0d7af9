"""3D codes of photos that people have labelled: what `pseudo_labels --codes` told of them, beside the labels.

Photos are found by the ends of their names, so that a folder may have moved since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from data_pipelines.as_68 import as_68
from data_pipelines.pseudo_labels.shards import ARRAYS, FACES
from data_pipelines.samples import Split
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular, user_path
from emoca_jax.nets.emotion.mlp import CODE_INPUTS, DETAIL_INPUTS
from emoca_jax.safe_files.array_files import npz_of_bytes

CODES = ("shape", "expression", "jaw")
"""In the order of `emotion_inputs`; the detail code comes behind."""
LABELS = ("expression", "valence", "arousal")
MOST_APART = 0.25
"""Between labelled and found landmarks, as a part of the face's size: markups differ by some hundredths, another face
in the photo is about one away."""


def labelled_codes(split: Split, labels: str | Path, *, detail: bool = False) -> dict[str, np.ndarray]:
    """`codes` [faces, 153, or 281 with detail], `expression`, `valence`, `arousal` of the faces of a split that have
    both, in the order of their photos in `labels`.

    split: of an official folder, whose rows tell file, landmarks and LABELS: AffectNet's. labels: a folder of
    `python -m data_pipelines.pseudo_labels --codes --model CONVERTED`. Of a photo's faces the one on the labelled
    landmarks is taken. Errors: InputError where codes are not FLAME's, or no photo has both.
    """
    rows = {row.file: row for row in split.rows}
    depth = {file.count("/") + 1 for file in rows}
    nearest: dict[str, tuple[float, np.ndarray]] = {}
    for photo, landmarks, codes in _told(user_path(labels), detail):
        row = next((row for parts in depth if (row := rows.get("/".join(photo.split("/")[-parts:])))), None)
        if row is None:
            continue
        apart = _apart(as_68(landmarks), np.reshape(np.array(row.landmarks, np.float32), (68, 2)))
        if apart < nearest.get(row.file, (MOST_APART,))[0]:
            nearest[row.file] = apart, codes
    if not nearest:
        raise InputError(f"{labels}: has codes of none of these {len(rows)} photos; label their folder with --codes")
    kept = [rows[file] for file in nearest]
    kinds = {"expression": np.int32, "valence": np.float32, "arousal": np.float32}
    told = {name: np.array([getattr(row, name) for row in kept], kinds[name]) for name in LABELS}
    return {"codes": np.stack([codes for _, codes in nearest.values()]), **told}


def _told(folder: Path, detail: bool) -> Iterator[tuple[str, Float[np.ndarray, "478 3"], Float[np.ndarray, "codes"]]]:
    """Photo, landmarks and codes of every face."""
    shards = sorted(folder.glob(f"{FACES}-*.jsonl"))
    if not shards:
        raise InputError(f"{folder}: holds no labels; make them with python -m data_pipelines.pseudo_labels --codes")
    names, wanted = (*CODES, "detail") if detail else CODES, CODE_INPUTS + DETAIL_INPUTS * detail
    for lines in shards:
        faces = [_line(line, lines) for line in read_regular(lines).splitlines()]
        if not faces:
            continue
        place = lines.with_name(lines.name.replace(FACES, ARRAYS, 1)).with_suffix(".npz")
        arrays = npz_of_bytes(read_regular(place), str(place))
        told = {name: arrays[name] for name in ("landmarks", *names) if name in arrays}
        codes = [told[name].reshape(len(told[name]), -1) for name in names if name in told]
        if len(told) <= len(names) or sum(part.shape[1] for part in codes) != wanted:
            raise InputError(
                f"{place}: has no {wanted} numbers of FLAME's {', '.join(names)}; label the photos with --codes and "
                "--model=CONVERTED"
            )
        if {len(faces)} != {len(part) for part in told.values()}:
            raise InputError(f"{place}: does not belong to {lines.name}; remove both and label again")
        yield from zip(faces, told["landmarks"], np.concatenate(codes, axis=1).astype(np.float32), strict=True)


def _line(line: bytes, place: Path) -> str:
    try:
        told: Any = json.loads(line)
        return str(told["photo"]).replace("\\", "/")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place}: cannot be read; remove it and label again") from error


def _apart(found: Float[np.ndarray, "68 2"], labelled: Float[np.ndarray, "68 2"]) -> float:
    """Mean distance, as a part of the labelled face's size; endless where nothing was found."""
    size = max(float(np.ptp(labelled, axis=0).mean()), 1.0)
    apart = float(np.linalg.norm(found - labelled, axis=1).mean()) / size
    return apart if np.isfinite(apart) else np.inf

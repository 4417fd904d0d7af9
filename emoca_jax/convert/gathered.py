"""Head and uv maps put together from several files, those of an earlier conversion and a checkpoint's copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from emoca_jax.convert.readers.flame import STATIC_FIELDS
from emoca_jax.convert.readers.pieces import Pieces
from emoca_jax.convert.readers.translate import Row
from emoca_jax.errors import InputError
from emoca_jax.flame.head_arrays import ARRAY_SHAPES, check_head_arrays

SAME_HEAD = 1e-6
"""Metres (and weights): a checkpoint's copy of FLAME may differ from the file by its rounding to float32."""
MEDIAPIPE = ("landmarks_mediapipe.face_index", "landmarks_mediapipe.barycentric", "mediapipe_index")
"""Arrays that a head can do without; no point then."""
EARLIER = "an earlier conversion"
GIVEN_BY = {
    "template": "generic_model.pkl",
    "landmarks_static.face_index": "landmark_embedding.npy",
    "uv": "head_template.obj",
}
"""One array of each official file that a head needs -> that file."""


@dataclass(frozen=True)
class Gathered:
    """Arrays so far and the file that each comes from; official files outrank the copies in a checkpoint."""

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    """Array name -> source."""


def with_file(before: Gathered, arrays: Mapping[str, np.ndarray], origin: str) -> Gathered:
    """Arrays of an official file added, or put in the place of others of their name."""
    return Gathered({**before.arrays, **arrays}, {**before.origins, **dict.fromkeys(arrays, origin)})


def with_copies(before: Gathered, copies: Pieces, origin: str) -> tuple[Gathered, list[Row], list[str]]:
    """Arrays of a checkpoint added where nothing better is there; the rows as they turn out, and remarks."""
    new = {name: array for name, array in copies.arrays.items() if name not in before.arrays}
    kept = {name: before.origins.get(name, EARLIER) for name in copies.arrays if name not in new}
    unlike = [name for name in kept if not _alike(copies.arrays[name], before.arrays[name])]
    rows = []
    for row in copies.rows:
        names = [target.partition("/")[2] for target in (row.target or "").split(", ")]
        if row.target is None or any(name in new for name in names):
            rows.append(row)
        else:
            differs = "another " if any(name in unlike for name in names) else "the same "
            rows.append(row._replace(target=None, note=f"{differs}is taken from {kept[names[0]]}"))
    remarks = [f"its copy of {', '.join(unlike)} differs from {kept[unlike[0]]}, which is used"] if unlike else []
    return with_file(before, new, origin), rows, remarks


def missing_for_head(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Official files without which the head is incomplete."""
    return [file for name, file in GIVEN_BY.items() if name not in arrays]


def complete_head(arrays: Mapping[str, np.ndarray], place: str) -> dict[str, np.ndarray]:
    """All arrays of a head file. Errors: InputError where they do not fit together."""
    faces = len(arrays["faces"])
    full = {"face_part": np.zeros(faces, np.int32), **arrays}
    if any(name not in full for name in MEDIAPIPE):
        full |= dict(zip(MEDIAPIPE, (np.zeros(0, np.int32), np.zeros((0, 3), np.float32), np.zeros(0, np.int32))))  # noqa: B905
    full = {name: full[name] for name in ARRAY_SHAPES}
    check_head_arrays(full, STATIC_FIELDS, (), place)
    return full


def check_layout(gathered: Gathered, faces: np.ndarray, template: str) -> None:
    """The uv layout's triangles are the head's. Errors: InputError naming both files."""
    if not np.array_equal(gathered.arrays["faces"], faces):
        raise InputError(
            f"{template} and {gathered.origins['faces']} have different triangles: take both from one release of FLAME."
        )


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.abs(one.astype(np.float64) - other).max(initial=0.0) <= SAME_HEAD)

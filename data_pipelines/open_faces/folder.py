"""Open faces as a dataset like others: its "official folder" holds a plan of what to draw, `open_faces.json`."""

from __future__ import annotations

import functools
import json
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from data_pipelines.faces import (
    AROUSAL,
    BOX,
    EXPRESSION,
    FACE,
    FIELDS,
    IDENTITY,
    LANDMARKS,
    VALENCE,
    box_of,
    face_square,
)
from data_pipelines.open_faces.draw import MASK_NAMES, Studio, studio
from data_pipelines.open_faces.faces import SIZE, OpenFace, open_face
from data_pipelines.open_faces.recipe import label_and_person
from data_pipelines.samples import Description, Label, Numbers, Picture, Sample, Split, nonempty
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular

PLAN = "open_faces.json"
COUNTS = {"train": 40_000, "validation": 4_000, "test": 4_000}
"""Faces of each split where the plan says nothing. Each split has a seed, and so people, of its own."""
NEAREST, FARTHEST = 0.3, -0.3
"""Depths, metres from the head's origin towards the viewer, that the truth picture tells apart."""
STEPS = 2**16 - 2

DESCRIPTION = Description(
    name="open_faces",
    version="1.0.0",
    about="""Drawn faces with everything known about them: 8 expressions, intensity, valence, arousal, 52 units, codes,
landmarks, mask, depth, identity. Each person shows each expression once.""",
    source="Drawn by emoca_jax (Apache-2.0) from its open head, which stems from MakeHuman's CC0 data.",
    citation="""@misc{open_faces,
  title = {Open faces: drawn by emoca_jax, see docs/open_faces.md},
  year = {2026},
}""",
    fields={
        **FIELDS,
        "expression": EXPRESSION,
        "valence": VALENCE,
        "arousal": AROUSAL,
        "identity": IDENTITY,
        "box": BOX,
        "landmarks": LANDMARKS,
        "face": FACE,
        "intensity": Numbers("Of the expression, 0 to 1; 0 for neutral."),
        "second": Label("The expression blended in; the first where there is none.", EXPRESSION.names),
        "second_intensity": Numbers("Its intensity, 0 to 1."),
        "units": Numbers("Activations of the open head's 52 units, 0 to 1, in its order.", (52,)),
        "points": Numbers("MediaPipe's 478 points: x, y in pixels, z in metres towards the viewer.", (478, 3)),
        "visible": Numbers("1 for each of the 478 that nothing hides.", (478,), "uint8"),
        "shape": Numbers("Identity code.", (200,)),
        "albedo": Numbers("Albedo code.", (17,)),
        "pose": Numbers("Axis-angle of head and neck, radians.", (2, 3)),
        "camera": Numbers("Weak perspective: scale, x, y.", (3,)),
        "distance": Numbers("From the head's origin to the lens, metres."),
        "light": Numbers("Spherical-harmonics coefficients; hard lamps are not told.", (9, 3)),
        "truth": Picture(
            f"PNG: red is the place of what the pixel shows in {', '.join(MASK_NAMES)}; 256 times green plus blue is "
            "the head's depth, 0 beside it (`folder.mask_and_depth`)."
        ),
    },
    folder=f"{PLAN}, which says what to draw ({{}} for the default), see docs/open_faces.md",
)


class Row(NamedTuple):
    """One face."""

    seed: int
    index: int
    size: int


def find(folder: Path) -> dict[str, Split]:
    """The faces that the folder's plan asks for. Errors: InputError, one sentence, where the plan is not one."""
    seed, size, counts = _plan(folder / PLAN)
    splits = {}
    for number, (name, count) in enumerate(counts.items()):
        own = seed * len(counts) + number
        known = np.array([label_and_person(own, index) for index in range(count)], np.int32).reshape(-1, 2)
        columns = {"expression": known[:, 0], "identity": known[:, 1]}
        splits[name] = Split([Row(own, index, size) for index in range(count)], read, columns)
    return nonempty(splits, folder, f"give counts of faces in {PLAN}")


def _plan(path: Path) -> tuple[int, int, dict[str, int]]:
    try:
        plan = json.loads(read_regular(path))
    except ValueError as error:
        raise InputError(f'{path}: is no JSON ({error}); write {{}} or {{"train": 1000}} into it') from error
    known = {"seed": 0, "size": SIZE} | dict.fromkeys(COUNTS, 0)
    if not isinstance(plan, dict) or not known.keys() >= plan.keys():
        raise InputError(f"{path}: must be an object with whole numbers for some of {', '.join(known)}")
    values = known | ({} if plan.keys() & COUNTS.keys() else COUNTS) | plan
    if not all(type(value) is int and value >= 0 for value in values.values()) or values["size"] < 16:
        raise InputError(f"{path}: numbers must be whole and not negative, and size at least 16")
    if none := [name for name in COUNTS if plan.get(name) == 0]:
        raise InputError(f"{path}: 0 faces of {none[0]} are asked for; leave {none[0]} out, or give 1 or more")
    return values["seed"], values["size"], {name: values[name] for name in COUNTS}


def read(row: Row) -> Sample:
    """The sample of a row, drawn."""
    return sample_of(open_face(_studio(), row.seed, row.index, size=row.size))


@functools.cache
def _studio() -> Studio:
    return studio()


def sample_of(face: OpenFace) -> Sample:
    """A face as a record; positions in pixels, whole numbers their centres."""
    size, shown, codes = face.image.shape[0], face.shown, face.codes
    points = face.landmarks.copy()
    points[:, :2] = in_pixels(points[:, :2], size)
    landmarks = in_pixels(face.landmarks68[:, :2], size)
    box = box_of(landmarks)
    arrays: dict[str, Any] = {name: getattr(codes, name) for name in ("shape", "albedo", "pose", "camera", "light")}
    return {
        "image": face.file,
        "file": f"{face.seed}/{face.index:08d}.jpg",
        "expression": shown.label,
        "valence": np.float32(shown.valence),
        "arousal": np.float32(shown.arousal),
        "identity": f"{face.seed}/{face.person:07d}",
        "box": box,
        "landmarks": landmarks,
        "face": face_square(box, "landmarks"),
        "intensity": np.float32(shown.intensity),
        "second": shown.second,
        "second_intensity": np.float32(shown.second_intensity),
        "units": shown.units,
        "points": points,
        "visible": face.visible.astype(np.uint8),
        "distance": np.float32(face.distance),
        "truth": truth_png(face.mask, face.depth),
        **{name: np.asarray(array, np.float32) for name, array in arrays.items()},
    }


def in_pixels(plane: Float[np.ndarray, "points 2"], size: int) -> Float[np.ndarray, "points 2"]:
    """Image plane to pixels, whole numbers at their centres."""
    return ((plane + 1) * (size / 2) - 0.5).astype(np.float32)


def truth_png(mask: UInt8[np.ndarray, "size size"], depth: Float[np.ndarray, "size size"]) -> bytes:
    """Mask and depth as one picture, see `DESCRIPTION`."""
    share = np.clip((np.nan_to_num(depth) - FARTHEST) / (NEAREST - FARTHEST), 0, 1)
    steps = np.where(np.isfinite(depth), 1 + np.round(share * STEPS), 0).astype(np.uint16)
    packed = np.stack([mask, steps >> 8, steps & 255], axis=-1).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(packed).save(file, "PNG")
    return file.getvalue()


def mask_and_depth(png: bytes) -> tuple[UInt8[np.ndarray, "size size"], Float[np.ndarray, "size size"]]:
    """What `truth_png` packed: depth in metres towards the viewer, NaN beside the head; good to 10 µm."""
    packed = np.asarray(Image.open(BytesIO(png)))
    steps = packed[..., 1].astype(np.int32) * 256 + packed[..., 2]
    depth = FARTHEST + (steps - 1) / STEPS * (NEAREST - FARTHEST)
    return packed[..., 0], np.where(steps > 0, depth, np.nan).astype(np.float32)

"""Draws a sheet of open faces, a column a class, or writes faces to a folder.

python -m data_pipelines.open_faces --count 64 --sheet docs/pictures/open_faces.jpg
python -m data_pipelines.open_faces --count 1000 --folder FACES
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from data_pipelines.open_faces.draw import studio
from data_pipelines.open_faces.emotions import CLASSES
from data_pipelines.open_faces.faces import SIZE, OpenFace, open_faces
from emoca_jax.errors import InputError
from emoca_jax.files.whole import write_file

HEADING = 18
"""Pixels above the columns of a sheet."""
QUALITY = 82


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 where nothing can be drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64, help="faces, from --start on")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE, help="pixels a side")
    parser.add_argument("--threads", type=int, default=1, help="faces drawn at the same time on a CPU")
    parser.add_argument("--sheet", type=Path, help="write one picture of all of them")
    parser.add_argument("--tile", type=int, help="pixels a side of a face on the sheet")
    parser.add_argument("--folder", type=Path, help="write a JPEG and a JSON of each into this folder")
    asked = parser.parse_args(arguments)
    if asked.sheet is None and asked.folder is None:
        parser.error("say what to write: --sheet FILE, --folder FOLDER or both")
    try:
        _write(asked)
    except InputError as error:
        print(f"open_faces: {error}", file=sys.stderr)
        return 2
    return 0


def _write(asked: argparse.Namespace) -> None:
    numbers = range(asked.start, asked.start + asked.count)
    faces: Iterable[OpenFace] = open_faces(studio(), asked.seed, numbers, size=asked.size, threads=asked.threads)
    drawn = []
    for face in track(faces, "faces", total=asked.count):
        if asked.folder is not None:
            write_face(face, asked.folder)
        if asked.sheet is not None:
            drawn.append(face)
    if asked.sheet is not None:
        file = BytesIO()
        Image.fromarray(sheet(drawn, asked.tile or asked.size)).save(file, "JPEG", quality=QUALITY)
        asked.sheet.parent.mkdir(parents=True, exist_ok=True)
        write_file(asked.sheet, file.getvalue())


def write_face(face: OpenFace, folder: Path) -> None:
    """`<index>.jpg` and `<index>.json` with the emotion, the units and the landmarks (image plane)."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = face.shown
    told: dict[str, Any] = {
        "seed": face.seed, "index": face.index, "person": face.person, "expression": CLASSES[shown.label],
        "intensity": shown.intensity, "valence": shown.valence, "arousal": shown.arousal,
        "units": np.round(shown.units, 4).tolist(), "landmarks": np.round(face.landmarks, 4).tolist(),
        "visible": face.visible.tolist(),
    }  # fmt: skip
    write_file(folder / f"{face.index:08d}.json", json.dumps(told).encode())
    write_file(folder / f"{face.index:08d}.jpg", face.file)


def sheet(faces: list[OpenFace], tile: int) -> np.ndarray:
    """Faces by class, one column each, in the order of their numbers; uint8 [H, W, 3]."""
    columns = [[face for face in faces if face.shown.label == label] for label in range(len(CLASSES))]
    rows = max(map(len, columns), default=0)
    page = Image.new("RGB", (len(CLASSES) * tile, HEADING + rows * tile), "white")
    for column, (name, shown) in enumerate(zip(CLASSES, columns, strict=True)):
        ImageDraw.Draw(page).text((column * tile + 4, 2), name, "black", ImageFont.load_default(13))
        for row, face in enumerate(shown):
            picture = Image.fromarray(face.image).resize((tile, tile), Image.Resampling.LANCZOS)
            page.paste(picture, (column * tile, HEADING + row * tile))
    return np.asarray(page)


if __name__ == "__main__":
    sys.exit(main())

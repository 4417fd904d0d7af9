"""The emotion of faces to files: one's numbers as .json and the annotated picture, and a table of all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax

from emoca_jax.export.pictures.emotion import emotion_picture
from emoca_jax.export.png import png_bytes
from emoca_jax.export.tables import photo_summary
from emoca_jax.faces import EmotionResult
from emoca_jax.files.version import package_version
from emoca_jax.files.whole import MARK, open_folder, result_path, write_results
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES

FORMAT_VERSION = 1
"""Of the .json; counts up when a name or a meaning changes."""


def save_emotion(result: EmotionResult, path: str | Path) -> list[Path]:
    """Write `path` + .json and .png; older results are replaced, each whole or not at all. Returns the files.

    Errors: InputError for a place that cannot be written, and a file of one of these names that is no result.
    """
    path = result_path(path)
    open_folder(path.parent)
    text = json.dumps(emotion_summary(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {".json": text.encode(), ".png": png_bytes(emotion_picture(result))}
    return write_results({path.with_name(path.name + ending): data for ending, data in files.items()})


def table_lines(result: EmotionResult, photo: Path) -> list[tuple[str, ...]]:
    """A line of the table for each network that read one face of the photo."""
    image = os.fsencode(photo.absolute()).decode(errors="replace")
    lines = []
    for reading in result.readings:
        shares = (reading.probabilities.get(name) for name in AFFECTNET_CLASSES)
        told = (*(("" if share is None else f"{share:.4f}") for share in shares), f"{MARK} {package_version()}")
        affect = (f"{reading.valence:.4f}", f"{reading.arousal:.4f}")
        lines.append((image, str(result.face), reading.network, reading.label, *affect, *told))
    return lines


def save_table(lines: Iterable[tuple[str, ...]], path: str | Path) -> list[Path]:
    """Write the lines of `table_lines` as .csv: image, face, network, expression, valence, arousal, class shares.

    Classes that a network does not know stay empty; the last column names the program, as a comment would trouble
    spreadsheets. An older table is replaced, whole or not at all. Errors: as of `save_emotion`.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("image", "face", "network", "expression", "valence", "arousal", *AFFECTNET_CLASSES, "by"))
    table.writerows(lines)
    return write_results({Path(path): text.getvalue().encode()})


def emotion_summary(result: EmotionResult) -> dict[str, Any]:
    """What the .json holds: plain Python numbers, texts and lists."""
    return {
        "format_version": FORMAT_VERSION,
        **photo_summary(result),
        "networks": {
            reading.network: {
                "emotion": reading.label,
                "valence": round(reading.valence, 4),
                "arousal": round(reading.arousal, 4),
                "expression_probabilities": {name: round(p, 4) for name, p in reading.probabilities.items()},
            }
            for reading in result.readings
        },
        "seconds": round(result.seconds, 3),
        "versions": {"emoca_jax": package_version(), "jax": jax.__version__},
        "units": {
            "box": "x0, y0, x1, y1 in pixels of the upright original",
            "valence": "-1 unpleasant to 1 pleasant; a trained network may answer beyond",
            "arousal": "-1 calm to 1 excited; a trained network may answer beyond",
        },
    }

"""How well `emoca emotion` tells emotions, as the papers' tables have it, network by network:

    python scripts/evaluate.py labels.csv [--model open|FOLDER] [--from-3d] [--drawn] [--witnesses]
    python scripts/evaluate.py affectnet --data_dir datasets [...]
    python scripts/evaluate.py afew_va --data_dir datasets [...]

labels.csv: columns image (a file, from the table's folder on), expression (AffectNet's name or number) and, where they
are known, valence and arousal; emotions.csv of `emoca emotion` has such columns. A dataset (affectnet, afew_va,
open_faces) is what `python -m data_pipelines.build` has packaged. The largest face of each picture is read; pictures
without one are counted and left out. Intervals: 95 %, bootstrap. AFEW-VA's five folds, which share no actor, are read
as one; beside it stand the folds one by one, and valence and arousal after a linear map that the other folds chose.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# data_pipelines is beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rich.progress import track

from data_pipelines.afew_va.folder import FOLDS
from data_pipelines.pixels import decoded
from data_pipelines.sources import open_records
from emoca_jax.emotion.pictures import picture_networks
from emoca_jax.emotion.reading import EmotionReading, witnesses
from emoca_jax.errors import InputError
from emoca_jax.evaluation.emotion import Labels, Told, calibration_error, confusion, cross_validated, measures
from emoca_jax.faces import EmotionResult
from emoca_jax.jobs.look import look
from emoca_jax.jobs.read_emotion import EmotionModel, load_emotion_model, read_emotion
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES

SPLITS = {
    "affectnet": ("validation_clean",),
    "afew_va": tuple(f"fold_{fold}" for fold in range(FOLDS)),
    "open_faces": ("validation",),
}
"""What is read of a dataset where no split is named."""
PUBLISHED = {
    "affectnet": (
        ("EMOCA v1", "V-CCC .77  V-RMSE .31  A-CCC .68  A-RMSE .30  accuracy .68"),
        ("EMOCA v2", "V-CCC .76  V-RMSE .33  A-CCC .66  A-RMSE .30  accuracy .66"),
        ("SMIRK", "V-CCC .72  V-RMSE .35  A-CCC .61  A-RMSE .31  accuracy .64"),
        ("DECA", "V-CCC .69  V-RMSE .36  A-CCC .58  A-RMSE .33  accuracy .59"),
        ("EmoNet (its own cleaned set)", "V-CCC .82  A-CCC .75  accuracy .75"),
    )
}
"""SMIRK (CVPR 2024), table 1: trained on AffectNet; EmoNet (Nature Machine Intelligence 2021)."""


class Labelled(NamedTuple):
    """A picture and what is known of it."""

    name: str
    image: Any
    expression: int
    valence: float
    arousal: float
    fold: int = 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", metavar="labels.csv|DATASET")
    defaults = ", ".join(f"{name}: {'+'.join(splits)}" for name, splits in SPLITS.items())
    parser.add_argument("--split", help=f"of a dataset (default: {defaults})")
    parser.add_argument("--data_dir", default="datasets", help="where datasets are packaged (default: datasets)")
    parser.add_argument("--faces", type=int, help="only the first so many pictures")
    parser.add_argument("--model", default="open", metavar="open|FOLDER")
    parser.add_argument("--from-3d", action="store_true", help="read the 3D face, too")
    parser.add_argument("--drawn", action="store_true", help="the pictures are renderings, not photos")
    parser.add_argument("--witnesses", action="store_true", help="of what ships, show what each network tells alone")
    asked = parser.parse_args(arguments)
    try:
        return evaluate(asked)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def evaluate(asked: argparse.Namespace) -> int:
    """Read every picture, print a table for each network; 1 where some pictures could not be read."""
    is_dataset = asked.labels in SPLITS
    pictures = list(of_dataset(asked) if is_dataset else of_table(Path(asked.labels)))[: asked.faces]
    model = load_emotion_model(asked.model, from_3d=asked.from_3d, drawn=asked.drawn)
    known: list[Labelled] = []
    read: dict[str, list[EmotionReading]] = {}
    for picture in track(pictures, "reading", disable=not sys.stderr.isatty()):
        try:
            (face,) = read_emotion(model, picture.image, faces="largest")
        except InputError as error:
            print(f"{picture.name}: {error}", file=sys.stderr)
            continue
        known.append(picture)
        alone = heard_alone(model, face) if asked.witnesses and model.reads_open else ()
        # Of drawn pictures a witness may be all that is heard.
        for network, reading in {reading.network: reading for reading in (*face.readings, *alone)}.items():
            read.setdefault(network, []).append(reading)
    if not known:
        raise InputError(f"no face was found in any of {len(pictures)} pictures of {asked.labels}")
    *columns, folds = (np.array(column) for column in list(zip(*known, strict=True))[2:])
    labels = Labels(*columns)
    print(f"{len(known)} of {len(pictures)} pictures of {asked.labels}")
    for network, readings in read.items():
        print_table(network, as_told(readings), labels)
        if len(np.unique(folds)) > 1:
            print_folds(as_told(readings), labels, folds)
    for name, numbers in PUBLISHED.get(asked.labels, ()):
        print(f"{name:30} {numbers}  (published)")
    return 0 if len(known) == len(pictures) else 1


def heard_alone(model: EmotionModel, face: EmotionResult) -> tuple[EmotionReading, ...]:
    """What the networks that ship tell, one by one."""
    return witnesses(picture_networks(model.expression, model.detector["mesh"]), look(model.expression, face))


def of_table(path: Path) -> Iterator[Labelled]:
    """The pictures of a table of labels. Errors: InputError naming the line that is wrong."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a table with the column image") from error
    if not lines or "image" not in lines[0]:
        raise InputError(f"{path}: has no lines with the column image; expression, valence, arousal are the others")
    for number, line in enumerate(lines, start=2):
        where = f"{path}, line {number}"
        valence, arousal = (_number(where, line.get(name)) for name in ("valence", "arousal"))
        name = line["image"] or ""
        yield Labelled(name, path.parent / name, _class(where, line.get("expression")), valence, arousal)


def _number(where: str, text: str | None) -> float:
    try:
        value = float(text) if text and text.strip() else math.nan
    except ValueError as error:
        raise InputError(f"{where}: {text!r} is no number") from error
    if abs(value) > 1:
        raise InputError(f"{where}: {value:g} lies beyond -1 to 1, which valence and arousal have")
    return value


def _class(where: str, text: str | None) -> int:
    text = (text or "").strip().lower()
    if not text:
        return -1
    if text in AFFECTNET_CLASSES:
        return AFFECTNET_CLASSES.index(text)
    if text.isdigit() and int(text) < len(AFFECTNET_CLASSES):
        return int(text)
    raise InputError(f"{where}: there is no expression {text!r}; choose {', '.join(AFFECTNET_CLASSES)} or its number")


def of_dataset(asked: argparse.Namespace) -> Iterator[Labelled]:
    """The pictures of a packaged dataset's split, or of its folds."""
    for fold, split in enumerate([asked.split] if asked.split else SPLITS[asked.labels]):
        records = open_records(asked.labels, split, data_dir=asked.data_dir)
        for index in range(len(records)):
            sample = records[index]
            valence, arousal = (float(sample[name]) for name in ("valence", "arousal"))
            name, expression = str(sample.get("file", index)), int(sample.get("expression", -1))
            yield Labelled(name, decoded(sample["image"]), expression, valence, arousal, fold)


def as_told(readings: list[EmotionReading]) -> Told:
    """A row a face."""
    shares = [[reading.probabilities.get(name, 0.0) for name in AFFECTNET_CLASSES] for reading in readings]
    affect = np.array([(reading.valence, reading.arousal) for reading in readings])
    return Told(np.array(shares), affect[:, 0], affect[:, 1])


def print_table(network: str, told: Told, labels: Labels) -> None:
    """Measures with their intervals, then the confusion matrix with each class's recall."""
    print(f"\n{network}")
    for name, (value, low, high) in measures(told, labels).items():
        print(f"  {name:12} {value:6.3f}   {low:6.3f} to {high:6.3f}")
    if (labels.expression < 0).all():
        return
    print(f"  {'ECE':12} {calibration_error(told, labels):6.3f}\n\n  {'told:':10}", end="")
    print("".join(f"{name[:8]:>9}" for name in AFFECTNET_CLASSES) + "   recall")
    for name, row in zip(AFFECTNET_CLASSES, confusion(told, labels), strict=True):
        if row.sum():
            own = row[AFFECTNET_CLASSES.index(name)] / row.sum()
            print(f"  {name:10}" + "".join(f"{faces:9d}" for faces in row) + f"   {own:6.2f}")


def print_folds(told: Told, labels: Labels, folds: np.ndarray) -> None:
    """Measures of valence and arousal fold by fold, and of all after a map that the other folds chose."""
    print("\n  fold   faces    V-CCC    A-CCC   V-RMSE   A-RMSE")
    for fold in np.unique(folds):
        inside = folds == fold
        of_fold = Told(*(column[inside] for column in told)), Labels(*(column[inside] for column in labels))
        # Of one face there is no correlation.
        found = measures(*of_fold, draws=1) if inside.sum() > 1 else {}
        values = (found[name].value if name in found else math.nan for name in ("V-CCC", "A-CCC", "V-RMSE", "A-RMSE"))
        print(f"  {fold:4d} {inside.sum():7d} " + " ".join(f"{value:8.3f}" for value in values))
    print("  cross-validated linear map of valence and arousal:")
    for name, (value, low, high) in measures(cross_validated(told, labels, folds), labels).items():
        if name[0] in "VA" and name[1] == "-":
            print(f"  {name:12} {value:6.3f}   {low:6.3f} to {high:6.3f}")


if __name__ == "__main__":
    sys.exit(main())

"""Draws the figures of docs/reproduction.md from what scripts/reproduce.py and its runs have logged.

    python scripts/draw_reproduction.py --runs runs --judged others --output docs/pictures

reproduction_table.png: every measure of every arm, and what the emotion loss changes, with intervals.
reproduction_sweep.png: what validation people say of each emotion weight, where there was a choice.
reproduction_curves.png: what both arms were trained by. With --judged (packaged faces with a test split, looked for)
reproduction_faces.jpg: the photo and each arm's reconstruction of the best, the median and the worst face.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# The package and the other scripts are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from data_pipelines.encoder_crops import BYTE
from emoca_jax import render
from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame import load_head
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.landmark_encoders import landmark_encoders
from emoca_jax.model import decode
from emoca_jax.nets.emotion.open import EXPRESSION_CLASSES
from emoca_jax.objectives.coarse import EMOTION_TERMS
from emoca_jax.training.seeing import LOG, read_log
from scripts.reproduce import ASKED, CLAIMED, DECA, GAIN, NUMBERS, OVER_START, SIDE, WITH, WITHOUT
from scripts.reproduction_measures import HeldOut, Told, held_out, reader, told_by
from scripts.reproduction_sweep import TERM, named
from scripts.train_coarse import NETWORK, variables_of

INK, FAINT, ACCENT, SECOND = "#21252b", "#6c7480", "#f57c28", "#427ac4"
"""Of all pictures of the project (emoca_jax/export/pictures/paper.py)."""
COLOURS = {DECA: FAINT, WITHOUT: SECOND, WITH: ACCENT}
SWEPT = (ACCENT, SECOND, FAINT)
"""Of the measures that the sweep's figure shows beside each other."""
Numbers = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Measure -> arm (or emotion weight) -> value, low, high, as reproduction.json has them."""
ERRORS = ("unit error", "face region, expression alone, mm", "landmarks, % of face width")
"""What emotion may cost, drawn in the sweep as parts of what it is without the emotion loss."""
CURVES = ("photometric", "lips_mediapipe", "expression_prior")
"""Terms of E_expression's loss that are drawn beside that of emotion."""
SMOOTH = 5
"""Notes in the log of which a curve shows the running mean."""
TILE, LINE = 224, 30
JPEG_QUALITY = 88
NAME = "reproduction"
"""With which the names of all files begin."""


def measures_figure(numbers: Numbers) -> Figure:
    """Emotion of each arm on the left, every measure's change by the emotion loss on the right; 95 % intervals."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _arms(left, numbers)
    _changes(right, numbers)
    return figure


def _arms(axis: Axes, numbers: Numbers) -> None:
    names = _emotion(numbers)
    for shift, (arm, colour) in zip((-0.18, 0.0, 0.18), COLOURS.items(), strict=True):
        rows = [numbers[name][arm] for name in names]
        _points(axis, rows, np.arange(len(names)) + shift, colour, arm)
    axis.set_yticks(range(len(names)), [_short(name) for name in names])
    axis.invert_yaxis()
    axis.axvline(0, color=FAINT, linewidth=0.8)
    _legend_below(axis)
    _dress(axis, "emotion read from the reconstruction")


def _emotion(numbers: Numbers) -> list[str]:
    return [name for name in numbers if "CCC" in name or "accuracy" in name]


def _changes(axis: Axes, numbers: Numbers) -> None:
    """Every gain in parts of what the arm without the loss has, where that is a size; as it is for correlations."""
    names = list(numbers)
    scale = [1.0 if "CCC" in name else max(abs(numbers[name][WITHOUT]["value"]), 1e-9) for name in names]
    for shift, difference, colour in ((-0.12, GAIN, ACCENT), (0.12, OVER_START, FAINT)):
        rows = [
            {key: value / size for key, value in numbers[name][difference].items()}
            for name, size in zip(names, scale, strict=True)
        ]
        _points(axis, rows, np.arange(len(names)) + shift, colour, difference)
    axis.set_yticks(range(len(names)), [_short(name) + ("" if "CCC" in name else ", part") for name in names])
    axis.invert_yaxis()
    axis.axvline(0, color=FAINT, linewidth=0.8)
    claimed = [row for row, name in enumerate(names) if name in CLAIMED]
    axis.vlines(ASKED, min(claimed) - 0.4, max(claimed) + 0.4, color=INK, linestyle=":", label="asked for")
    _legend_below(axis)
    axis.locator_params(axis="x", nbins=6)
    _dress(axis, "what the emotion loss changes")


def sweep_figure(numbers: Numbers, *, chosen: float) -> Figure:
    """Emotion on the left, errors on the right, by emotion weight; the weights stand next to each other, evenly."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    weights = sorted(next(iter(numbers.values())), key=float)
    emotion, errors = figure.subplots(1, 2)
    for axis, names, title in ((emotion, _emotion(numbers), "emotion read"), (errors, ERRORS, "errors, parts")):
        for number, (name, colour) in enumerate(zip(names, SWEPT, strict=False)):
            size = numbers[name][weights[0]]["value"] if axis is errors else 1.0
            rows = [{key: value / size for key, value in numbers[name][weight].items()} for weight in weights]
            _points(axis, rows, np.arange(len(weights)) + 0.08 * (number - 1), colour, _short(name), upright=True)
        axis.set_xticks(range(len(weights)), [f"{float(weight):g}" for weight in weights])
        axis.axvline([float(weight) for weight in weights].index(chosen), color=INK, linestyle=":", linewidth=1)
        axis.set_xlabel("emotion weight (dotted: chosen)", color=FAINT)
        corner = "upper left" if axis is errors else "best"
        axis.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc=corner)
        _dress(axis, f"{title}, validation people, one seed")
    return figure


def _legend_below(axis: Axes) -> None:
    """Where no point can be."""
    axis.legend(
        frameon=False, fontsize=8.5, labelcolor=INK, loc="upper right", bbox_to_anchor=(1.0, -0.07), ncols=len(COLOURS)
    )


def _points(
    axis: Axes, rows: Sequence[Mapping[str, float]], places: np.ndarray, colour: str, label: str | None,
    *, upright: bool = False,
) -> None:  # fmt: skip
    """upright: values upwards, places along; else the other way round, without a line between."""
    value, low, high = (np.array([row[key] for row in rows]) for key in ("value", "low", "high"))
    # Of few faces a bootstrap's interval may leave the value out.
    reach = np.maximum(np.stack([value - low, high - value]), 0)
    look = {"color": colour, "markersize": 5, "linewidth": 1.8, "label": label}
    if upright:
        axis.errorbar(places, value, yerr=reach, fmt="o-", **look)
    else:
        axis.errorbar(value, places, xerr=reach, fmt="o", **look)


def _short(name: str) -> str:
    name = name.replace(" (mini-Xception alone)", ", mini-Xception")
    return name.replace(" (networks that ship)", "").replace("face region", "face").replace(" (EMO-MLP)", "")


def curves_figure(runs: Mapping[str, Sequence[Path]], *, emotion: str = TERM) -> Figure:
    """Terms of the loss while E_expression was trained, a line a run. Errors: InputError where one left no log."""
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    terms = (emotion, *CURVES)
    for axis, term in zip(figure.subplots(1, len(terms)), terms, strict=True):
        for arm, folders in runs.items():
            for row, folder in enumerate(folders):
                steps, values = _curve(folder / LOG, f"train/{term}")
                if len(steps):
                    axis.plot(steps, values, color=COLOURS[arm], linewidth=1.6, label=None if row else arm)
        axis.set_ylim(bottom=0)
        axis.set_xlabel("step", color=FAINT)
        _dress(axis, term)
    axis.legend(frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def _curve(log: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    if not log.is_file():
        raise InputError(f"{log}: is not there; let that run come to its end")
    lines = read_log(log)
    points = np.array([(line["step"], line[name]) for line in lines if name in line]).reshape(-1, 2)
    width = min(SMOOTH, len(points))
    if not width:
        return points[:, 0], points[:, 1]
    mean = np.convolve(points[:, 1], np.full(width, 1 / width), mode="valid")
    return points[width - 1 :, 0], mean


def _dress(axis: Axes, title: str) -> None:
    axis.set_title(title, color=INK, fontsize=10.5, loc="left")
    axis.tick_params(colors=FAINT, labelsize=8.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(FAINT)
    axis.grid(True, color="#e6e8eb", linewidth=0.6)
    axis.set_axisbelow(True)


def best_median_worst(told: Told, truth: Mapping[str, np.ndarray]) -> Int[np.ndarray, "3"]:
    """The faces whose told valence and arousal are nearest to, in the middle of, and farthest from the true ones."""
    away = np.hypot(told.valence - truth["valence"], told.arousal - truth["arousal"])
    order = np.argsort(away, kind="stable")
    return order[[0, len(order) // 2, -1]]


def faces_picture(faces: HeldOut, arms: Mapping[str, tuple[Any, Told]], head: FaceHead) -> Image.Image:
    """A row each for the best, the median and the worst face of the arm with the emotion loss: photo, then each arm's.

    arms: the encoders' variables, and what was told by them.
    """
    chosen = best_median_worst(arms[WITH][1], faces.truth)
    images = faces.seen["images"][chosen].astype(np.float32) / BYTE
    found = faces.seen["landmarks_mediapipe"][chosen]
    drawn = {arm: _drawn(head, variables, images, found) for arm, (variables, _) in arms.items()}
    rows = []
    for row, (word, face) in enumerate(zip(("best", "median", "worst"), chosen, strict=True)):
        label, valence, arousal = (faces.truth[name][face] for name in ("expression", "valence", "arousal"))
        tiles = [_tile(images[row], f"{word}: {_said(label, valence, arousal)}")]
        for arm, (_, told) in arms.items():
            read = _said(told.label[face], told.valence[face], told.arousal[face])
            tiles.append(_tile(drawn[arm][row], f"{arm.split(' ')[0]}: {read}"))
        rows.append(np.concatenate(tiles, axis=1))
    return Image.fromarray(np.concatenate(rows))


def _said(label: Any, valence: Any, arousal: Any) -> str:
    names = (*EXPRESSION_CLASSES, "contempt")
    return f"{names[int(label)]} {valence:+.1f} {arousal:+.1f}"


def _drawn(
    head: FaceHead, variables: Mapping[str, Any], images: np.ndarray, found: np.ndarray
) -> Float[np.ndarray, "faces TILE TILE 3"]:
    encoders = landmark_encoders(head, landmark_model(head))

    @jax.jit
    def clay(images: Any) -> Any:
        codes: Codes = encoders.encode(
            variables["params"], variables["batch_stats"], images, trained=None, landmarks=jnp.asarray(found)
        ).codes
        decoded = decode(head, codes, (TILE, TILE))
        # Shape alone: what faces the viewer is bright.
        towards = jnp.repeat(decoded.normal_image[..., 2:] * 0.75 + 0.2, 3, axis=-1)
        return render.over(jnp.ones_like(towards), jnp.clip(towards, 0, 1) * decoded.alpha[..., None], decoded.alpha)

    return np.asarray(clay(images))


def _tile(picture: Float[np.ndarray, "side side 3"], caption: str) -> np.ndarray:
    pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    tile = Image.new("RGB", (TILE + 8, TILE + LINE), "white")
    tile.paste(Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.LANCZOS), (4, 4))
    ImageDraw.Draw(tile).text((6, TILE + 6), caption, INK, ImageFont.load_default(15))
    return np.asarray(tile)


def runs_of(folder: Path, *, term: str = TERM, level: bool = False) -> dict[str, list[Path]]:
    """Each arm's runs in a folder of reproduce.py, first seed first. Errors: InputError where one is not there."""
    told = _told(folder, term, level)
    found = {arm: [folder / name for name in told["runs"][arm]] for arm in COLOURS}
    lacking = [str(run) for runs in found.values() for run in runs if not (run / NETWORK).exists()]
    if lacking:
        raise InputError(f"{', '.join(lacking)}: holds no trained network; let scripts/reproduce.py come to its end")
    return found


def numbers_of(folder: Path, *, term: str = TERM, level: bool = False) -> Numbers:
    """What scripts/reproduce.py found of the arms. Errors: InputError where the file is missing or another."""
    return _told(folder, term, level)["measures"]


def sweep_of(folder: Path, *, term: str = TERM, level: bool = False) -> tuple[Numbers, float] | None:
    """What it found of the emotion weights, and which was chosen; None where there was no choice."""
    sweep = _told(folder, term, level)["sweep"]
    return (sweep["measures"], float(sweep["chosen"])) if sweep else None


def _told(folder: Path, term: str, level: bool) -> dict[str, Any]:
    place = folder / named(NUMBERS, term, level=level)
    if not place.is_file():
        raise InputError(f"{place}: is not there; let scripts/reproduce.py come to its end")
    text = read_regular(place)
    try:
        told = json.loads(text)
        whole = _is_whole(told)
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InputError(f"{place}: is not what scripts/reproduce.py writes; let it come to its end again")
    return told


def _is_whole(told: Any) -> bool:
    """Errors: whatever reading another structure raises."""
    measures, sweep = told["measures"], told["sweep"]
    rows = [row[arm] for row in measures.values() for arm in (*COLOURS, GAIN, OVER_START)]
    names = [{*CLAIMED} <= set(measures), *(isinstance(name, str) for arm in COLOURS for name in told["runs"][arm])]
    if sweep:
        weights = list(sweep["measures"][CLAIMED[0]])
        rows += [row[weight] for row in sweep["measures"].values() for weight in weights]
        names += [{*CLAIMED, *ERRORS} <= set(sweep["measures"]), sweep["chosen"] in map(float, weights)]
    return all(names) and all(isinstance(row[key], int | float) for row in rows for key in ("value", "low", "high"))


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder of scripts/reproduce.py")
    parser.add_argument("--judged", help="folder of packaged open faces, whose test split is drawn")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--term", choices=EMOTION_TERMS, default=TERM, help="as scripts/reproduce.py was asked for")
    parser.add_argument("--level", action="store_true", help="likewise")
    parser.add_argument("--name", default=NAME, help="of the files, in place of %(default)s: of runs with another eye")
    asked = parser.parse_args(arguments)

    def place(name: str) -> Path:
        return asked.output / named(name, asked.term, level=asked.level).replace(NAME, asked.name, 1)

    mpl.use("Agg")
    try:
        runs = runs_of(asked.runs, term=asked.term, level=asked.level)
        numbers = numbers_of(asked.runs, term=asked.term, level=asked.level)
        asked.output.mkdir(parents=True, exist_ok=True)
        measures_figure(numbers).savefig(place("reproduction_table.png"), dpi=110)
        if swept := sweep_of(asked.runs, term=asked.term, level=asked.level):
            sweep_figure(swept[0], chosen=swept[1]).savefig(place("reproduction_sweep.png"), dpi=110)
        trained = {arm: runs[arm] for arm in (WITHOUT, WITH)}
        curves_figure(trained, emotion=asked.term).savefig(place("reproduction_curves.png"), dpi=110)
        if asked.judged:
            head = jax.device_put(load_head("open"))
            encoders = landmark_encoders(head, landmark_model(head))
            faces, read = held_out(asked.judged, side=SIDE, size=encoders.size), reader(encoders, head)
            arms = {}
            for arm, folders in runs.items():
                variables = jax.device_put(variables_of(str(folders[0])))
                arms[arm] = variables, told_by(read, variables, faces)
            picture = faces_picture(faces, arms, head)
            picture.save(place("reproduction_faces.jpg"), quality=JPEG_QUALITY)
    except (InputError, OSError) as error:
        print(f"draw_reproduction: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

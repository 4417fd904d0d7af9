"""EMOCA's claim on faces that anybody can draw: the expression branch with the emotion loss against the one without.

    python scripts/reproduce.py --data datasets --judged others --runs runs --eye runs/eye --seeds 3 \
        --weights 0.005 0.02 0.1 0.5 2

as the paper has it; the form with which the claim holds, with a recogniser that has seen renderings:

    python scripts/reproduce.py --data datasets --judged others --runs runs_angle --eye seen --seeds 3 \
        --term emotion_cosine --level --weights 1.6

Trains what `--runs` lacks (E_flame; E_expression from the same start without and with emotion consistency, one seed a
weight; then, with the weight that validation people choose, for each seed), judges all on the people of the test split,
and writes RUNS/reproduction.json and RUNS/reproduction.md. Without --weights the configuration's weight is taken.
Faces are drawn and looked for before (docs/reproduction.md).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

# data_pipelines, the package and the other scripts are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np

from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular
from emoca_jax.files.whole import write_file
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame import load_head
from emoca_jax.jobs.landmark_encoders import landmark_encoders
from emoca_jax.nets.open_encoder import OPEN_SIZE
from emoca_jax.objectives.coarse import EMOTION_TERMS
from scripts.reproduction_measures import (
    DRAWS,
    MEASURES,
    HeldOut,
    Interval,
    Told,
    at_best,
    held_out,
    reader,
    together,
    told_by,
    with_intervals,
)
from scripts.reproduction_sweep import (
    TERM,
    Sweep,
    arm_folder,
    checked_weights,
    chosen_weight,
    named,
    sweep_markdown,
    sweep_table,
)
from scripts.train_coarse import NETWORK, variables_of

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs" / "open"
SIDE = 144
"""Pixels a side of the packaged pictures."""
DECA, WITHOUT, WITH, GAIN = "DECA (the start)", "without", "with", "with minus without"
OVER_START = "with minus the start"
CLAIMED = ("V-CCC (EMO-MLP)", "A-CCC (EMO-MLP)")
OPTIONS = "reproduction_options.json"
"""What the runs of a folder were made of."""
NUMBERS = "reproduction.json"
LENGTHS = ("for DECA's stage", "for each arm")
"""Of what steps are told."""
LEAST_STEPS = 2
"""One to warm up, and one to train."""
ASKED = 0.05
"""By which both must rise, with an interval above zero."""


class Asked(NamedTuple):
    """What the arms are trained on, for how long, and how often."""

    data: str
    """Folder of packaged open faces, looked for."""
    runs: Path
    eye: str = "open"
    """Emotion network of the loss."""
    seeds: int = 1
    steps: tuple[int, ...] | None = None
    """Of DECA's stage and of each arm; None for what the configurations say."""
    at_once: int = 1
    """Arms that are trained beside each other."""
    term: str = TERM
    """Of the loss, by which emotion is kept."""
    level: bool = False
    """Whether E_expression of both arms tells how faces differ only."""


def train(config: str, folder: Path, data: str, *options: str, steps: int | None = None) -> None:
    """One run, unless it has come to its end before. Errors: InputError where it fails."""
    if (folder / NETWORK).exists():
        return
    if steps is not None:
        # The rate falls to nothing with the last step, and a curve has 20 points however short the run.
        rate, often = f"schedule={steps}", max(1, steps // 20)
        length = [f"{name}={steps}" for name in ("settings.steps", "settings.evaluate_every")]
        told = (rate, f"warm_up={often}", f"settings.log_every={often}", *length)
        options = (*options, *(f"--config.{one}" for one in told))
    place = [f"--config.data.train=('{data}',)", f"--config.data.held_out={data}"]
    command = [sys.executable, str(ROOT / "scripts/train.py"), f"--config={CONFIGS / config}", f"--folder={folder}"]
    print(f"training {folder}", flush=True)
    if subprocess.run([*command, *place, *options], check=False).returncode:
        raise InputError(f"{folder}: the run did not come to its end; the same command goes on from there")


def same_as_before(asked: Asked) -> None:
    """Errors: InputError where the folder's runs, which are taken as they are, had other data, eye or length."""
    place, options = asked.runs / OPTIONS, {"data": str(asked.data), "eye": str(asked.eye)}
    if asked.steps:
        options["steps"] = ", ".join(map(str, asked.steps))
    if place.exists():
        before = json.loads(read_regular(place))
        if before != options:
            raise InputError(f"{asked.runs} holds runs of {before}, and you ask for {options}: give another --runs")
    asked.runs.mkdir(parents=True, exist_ok=True)
    write_file(place, json.dumps(options).encode())


def begin(asked: Asked) -> Path:
    """E_flame, from which all arms start. Errors: InputError where a run fails, or the folder holds others."""
    if asked.steps and (len(asked.steps) != len(LENGTHS) or min(asked.steps) < LEAST_STEPS):
        raise InputError(
            f"steps are {', '.join(map(str, asked.steps))}; give {LEAST_STEPS} or more {', '.join(LENGTHS)}"
        )
    same_as_before(asked)
    runs, data = asked.runs, asked.data
    train("deca_coarse_tiny.py", runs / "deca", data, steps=asked.steps[0] if asked.steps else None)
    return runs / "deca"


def train_arm(asked: Asked, start: Path, arm: str, seed: int, *, weight: float | None = None) -> Path:
    """E_expression once. weight: of the emotion loss in the arm that has it; None for the configuration's."""
    has = arm == WITH
    folder = arm_folder(asked.runs, arm, seed, weight=weight, term=asked.term if has else TERM, level=asked.level)
    level = ["--config.level=True"] if asked.level else []
    options = [f"--config.eye={asked.eye}"] if has else []
    options += [] if has and asked.term == TERM else [f"--config.weights.{TERM}=0."]
    options += [] if weight is None else [f"--config.weights.{asked.term}={weight}"]
    steps = asked.steps[1] if asked.steps else None
    common = f"--config.start={start}", f"--config.settings.seed={seed}"
    train("emoca_coarse_tiny.py", folder, asked.data, *common, *options, *level, steps=steps)
    return folder


def train_arms(asked: Asked, start: Path, arms: Sequence[tuple[str, int, float | None]]) -> list[Path]:
    """Several, each by arm, seed and weight; none is begun after one that fails, or ^C."""
    pool = ThreadPoolExecutor(asked.at_once)
    try:
        return list(pool.map(lambda one: train_arm(asked, start, one[0], one[1], weight=one[2]), arms))
    finally:
        pool.shutdown(cancel_futures=True)


def train_all(asked: Asked, *, weight: float | None = None) -> dict[str, list[Path]]:
    """Every run of the comparison, by arm. Errors: InputError where one fails, or the folder holds others."""
    start = begin(asked)
    pairs = [(WITHOUT, None), (WITH, weight)]
    runs = train_arms(asked, start, [(arm, seed, given) for seed in range(asked.seeds) for arm, given in pairs])
    return {DECA: [start], WITHOUT: runs[0::2], WITH: runs[1::2]}


def swept(asked: Asked, weights: tuple[float, ...]) -> tuple[Sweep, HeldOut]:
    """One seed a weight, and what validation people of the training data's folder say of each."""
    start = begin(asked)
    runs = train_arms(asked, start, [(WITHOUT, 0, None), *((WITH, 0, weight) for weight in weights)])
    faces = _held_out(asked.data, split="validation")
    told = judged({folder.name: [folder] for folder in runs}, faces)
    by_weight = {weight: told[run.name][0] for weight, run in zip((0.0, *weights), runs, strict=True)}
    return sweep_table(by_weight, faces), faces


def _held_out(folder: str, *, split: str = "test") -> HeldOut:
    return held_out(folder, side=SIDE, size=OPEN_SIZE, split=split)


def judged(arms: dict[str, list[Path]], faces: HeldOut) -> dict[str, list[Told]]:
    """What each run tells of the faces."""
    head = jax.device_put(load_head("open"))
    read = reader(landmark_encoders(head, landmark_model(head)), head)

    def of(folder: Path) -> Told:
        return told_by(read, jax.device_put(variables_of(str(folder))), faces)

    return {arm: [of(folder) for folder in folders] for arm, folders in arms.items()}


def table(told: dict[str, list[Told]], faces: HeldOut, *, draws: int = DRAWS) -> dict[str, dict[str, Interval]]:
    """Every measure of every arm (mean over seeds), and of the difference that the emotion loss makes.

    Intervals: people and seeds are drawn again, the same of both arms.
    """
    found: dict[str, dict[str, Interval]] = {}
    for name, measure in MEASURES.items():

        def of(arm: str, rows: np.ndarray, seeds: np.ndarray, measure: Any = measure) -> float:
            return float(np.mean([measure(told[arm][seed], faces.truth, rows) for seed in seeds]))

        def gain(rows: np.ndarray, seeds: np.ndarray, of: Any = of) -> float:
            return of(WITH, rows, seeds) - of(WITHOUT, rows, seeds)

        def over_start(rows: np.ndarray, seeds: np.ndarray, of: Any = of) -> float:
            return of(WITH, rows, seeds) - of(DECA, rows, np.zeros(1, int))

        found[name] = {
            arm: with_intervals(
                lambda rows, seeds, arm=arm, of=of: of(arm, rows, seeds),
                faces.person,
                seeds=len(told[arm]),
                draws=draws,
            )
            for arm in told
        }
        for difference, measured in ((GAIN, gain), (OVER_START, over_start)):
            found[name][difference] = with_intervals(measured, faces.person, seeds=len(told[WITH]), draws=draws)
    return found


def single_gains(told: dict[str, list[Told]], faces: HeldOut) -> dict[str, list[float]]:
    """What the emotion loss changes for each seed, of the measures that the claim is about."""
    rows, pairs = np.arange(len(faces.person)), list(zip(told[WITH], told[WITHOUT], strict=True))
    return {
        name: [
            MEASURES[name](one, faces.truth, rows) - MEASURES[name](other, faces.truth, rows) for one, other in pairs
        ]
        for name in CLAIMED
    }


def as_markdown(found: dict[str, dict[str, Interval]], faces: HeldOut, single: dict[str, list[float]]) -> str:
    """The table, and in one sentence whether the claim holds. single: gains of each seed."""
    columns = list(next(iter(found.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name, row in found.items():
        cells = []
        for arm in columns:
            value, low, high = row[arm]
            sign = "+" if arm in (GAIN, OVER_START) else ""
            cells.append(f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    people = len(np.unique(faces.person))
    over_without, over_start = (
        _verdict({name: found[name][column] for name in CLAIMED}) for column in (GAIN, OVER_START)
    )
    alone = "; ".join(
        f"{name.split(' ')[0]} {', '.join(f'{gain:+.3f}' for gain in each)}" for name, each in single.items()
    )
    return "\n".join(lines) + (
        f"\n\n{len(faces.person)} faces of {people} people that nothing was trained on; "
        f"{len(single[CLAIMED[0]])} seed(s); 95 % intervals, people and seeds drawn again. Asked for: both CCC up by "
        f"{ASKED} or more, intervals above 0. Over the arm without: {over_without}. Over the start: {over_start}. "
        f"Seed by seed, over the arm without: {alone}.\n"
    )


def _verdict(gains: dict[str, Interval]) -> str:
    holds = all(gain.value >= ASKED and gain.low > 0 for gain in gains.values())
    rises = ", ".join(f"{name.split(' ')[0]} by {gain.value:+.3f}" for name, gain in gains.items())
    return f"{rises}: the claim {'holds' if holds else 'does not hold'} here"


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 130 where it was interrupted, or 2 where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of packaged open faces, looked for")
    parser.add_argument("--judged", nargs="+", help="other such folders, whose test splits judge; else that of --data")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--eye", default="open", help='emotion network of the loss: "open", or a recogniser\'s run')
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--weights", type=float, nargs="+", help="of the emotion loss, one of which validation chooses")
    parser.add_argument("--steps", type=int, nargs=2, help="of DECA's stage and of each arm; else 300 300")
    parser.add_argument("--at_once", type=int, default=1, help="arms that are trained beside each other")
    parser.add_argument(
        "--term", choices=EMOTION_TERMS, default=TERM, help="of the loss: emotion as the paper has it, or another"
    )
    parser.add_argument("--level", action="store_true", help="E_expression tells how faces differ only, in both arms")
    chosen = parser.parse_args(arguments)
    steps = tuple(chosen.steps) if chosen.steps else None
    asked = Asked(chosen.data, chosen.runs, chosen.eye, chosen.seeds, steps, chosen.at_once, chosen.term, chosen.level)
    try:
        found, text = _reproduced(asked, chosen.judged or [chosen.data], chosen.weights)
    except InputError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("reproduce: interrupted; the same command goes on from there", file=sys.stderr)
        return 130
    print(text)
    place = asked.runs / named(NUMBERS, asked.term, level=asked.level)
    write_file(place.with_suffix(".md"), text.encode())
    write_file(place, json.dumps(found, indent=1).encode())
    return 0


def _reproduced(asked: Asked, judging: list[str], weights: list[float] | None) -> tuple[dict[str, Any], str]:
    """Everything that is found, for programs and for readers."""
    for name, count in (("seeds", asked.seeds), ("at_once", asked.at_once)):
        if count < 1:
            raise InputError(f"--{name} is {count}; give 1 or more")
    if asked.term != TERM and not weights:
        raise InputError(f"the configuration gives {asked.term} no weight: give --weights")
    sweep, weight, told_of_sweep = {}, None, ""
    if weights:
        sweep, choosing = swept(asked, checked_weights(weights))
        weight, told_of_sweep = chosen_weight(sweep), "\n" + sweep_markdown(sweep, choosing)
        print(told_of_sweep, flush=True)
    runs, faces = train_all(asked, weight=weight), together([_held_out(folder) for folder in judging])
    told = judged(runs, faces)
    found, single = table(told, faces), single_gains(told, faces)
    best = at_best(faces, load_head("open"))
    limits = ", ".join(f"{name} {value:.3f}" for name, value in best.items())
    text = (
        f"{as_markdown(found, faces, single)}\nOf true units and of the photos themselves: {limits}.\n{told_of_sweep}"
    )
    return {**as_numbers(found, runs, sweep), "at best": best}, text


def as_numbers(found: dict[str, dict[str, Interval]], runs: dict[str, list[Path]], sweep: Sweep) -> dict[str, Any]:
    """For programs: measure -> arm -> value, low, high; the same by weight where it was swept; the runs of each arm."""

    def plain(rows: dict[str, dict[Any, Interval]]) -> dict[str, Any]:
        return {name: {str(arm): interval._asdict() for arm, interval in row.items()} for name, row in rows.items()}

    return {
        "measures": plain(found),
        "runs": {arm: [folder.name for folder in folders] for arm, folders in runs.items()},
        "sweep": {"chosen": chosen_weight(sweep), "measures": plain(sweep)} if sweep else None,
    }


if __name__ == "__main__":
    sys.exit(main())

"""EMOCA's claim on faces that anybody can draw: the expression branch with the emotion loss against the one without.

    python scripts/reproduce.py --data datasets --runs runs --eye runs/emotion_small/network.npz

Trains what `--runs` lacks (E_flame, then E_expression from the same start with and without emotion consistency, for
each seed), judges all on the people of the test split, and writes RUNS/reproduction.json and RUNS/reproduction.md.
Faces are drawn and looked for before (docs/reproduction.md).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

# data_pipelines, the package and the other scripts are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np

from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular
from emoca_jax.files.whole import write_file
from emoca_jax.flame import load_head
from emoca_jax.training.stages.encoders import OpenEncoders
from scripts.reproduction_measures import MEASURES, HeldOut, Interval, Told, held_out, reader, told_by, with_intervals
from scripts.train_coarse import NETWORK, variables_of

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs" / "open"
SIDE = 144
"""Pixels a side of the packaged pictures."""
DECA, WITHOUT, WITH, GAIN = "DECA (the start)", "without", "with", "with minus without"
CLAIMED = ("V-CCC (EMO-MLP)", "A-CCC (EMO-MLP)")
OPTIONS = "reproduction_options.json"
"""What the runs of a folder were made of."""
NUMBERS = "reproduction.json"
LENGTHS = ("for DECA's first stage", "for its second", "for each arm")
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
    """Of DECA's two stages and of each arm; None for what the configurations say."""


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


def train_all(asked: Asked) -> dict[str, list[Path]]:
    """Every run, by arm. Errors: InputError where one fails, or the folder holds others."""
    if asked.steps and (len(asked.steps) != len(LENGTHS) or min(asked.steps) < LEAST_STEPS):
        raise InputError(
            f"steps are {', '.join(map(str, asked.steps))}; give {LEAST_STEPS} or more {', '.join(LENGTHS)}"
        )
    same_as_before(asked)
    runs, data = asked.runs, asked.data
    first, second, third = asked.steps or (None, None, None)
    train("deca_pretrain_tiny.py", runs / "pretrain", data, steps=first)
    train("deca_coarse_tiny.py", runs / "deca", data, f"--config.start={runs / 'pretrain'}", steps=second)
    arms: dict[str, list[Path]] = {DECA: [runs / "deca"], WITHOUT: [], WITH: []}
    for seed in range(asked.seeds):
        for arm, options in ((WITHOUT, ("--config.weights.emotion=0.",)), (WITH, (f"--config.eye={asked.eye}",))):
            folder = runs / (arm if seed == 0 else f"{arm}_{seed}")
            start = f"--config.start={runs / 'deca'}"
            train("emoca_coarse_tiny.py", folder, data, start, f"--config.settings.seed={seed}", *options, steps=third)
            arms[arm].append(folder)
    return arms


def judged(arms: dict[str, list[Path]], faces: HeldOut) -> dict[str, list[Told]]:
    """What each run tells of the faces."""
    head = jax.device_put(load_head("open"))
    read = reader(OpenEncoders(head), head)

    def of(folder: Path) -> Told:
        return told_by(read, jax.device_put(variables_of(str(folder))), faces)

    return {arm: [of(folder) for folder in folders] for arm, folders in arms.items()}


def table(told: dict[str, list[Told]], faces: HeldOut) -> dict[str, dict[str, Interval]]:
    """Every measure of every arm (mean over seeds), and of the difference that the emotion loss makes."""
    found: dict[str, dict[str, Interval]] = {}
    for name, measure in MEASURES.items():

        def of(arm: str, rows: np.ndarray, measure: Any = measure) -> float:
            return float(np.mean([measure(one, faces.truth, rows) for one in told[arm]]))

        def gain(rows: np.ndarray, of: Any = of) -> float:
            return of(WITH, rows) - of(WITHOUT, rows)

        found[name] = {arm: with_intervals(lambda rows, arm=arm, of=of: of(arm, rows), faces.person) for arm in told}
        found[name][GAIN] = with_intervals(gain, faces.person)
    return found


def as_markdown(found: dict[str, dict[str, Interval]], faces: HeldOut, seeds: int) -> str:
    """The table, and in one sentence whether the claim holds."""
    columns = list(next(iter(found.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name, row in found.items():
        cells = []
        for arm in columns:
            value, low, high = row[arm]
            sign = "+" if arm == GAIN else ""
            cells.append(f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    people = len(np.unique(faces.person))
    gains = {name: found[name][GAIN] for name in CLAIMED}
    holds = all(gain.value >= ASKED and gain.low > 0 for gain in gains.values())
    rises = ", ".join(f"{name.split(' ')[0]} by {gain.value:+.3f}" for name, gain in gains.items())
    verdict = "holds" if holds else "does not hold"
    return "\n".join(lines) + (
        f"\n\n{len(faces.person)} faces of {people} people that nothing was trained on; {seeds} seed(s); 95 % "
        f"intervals, people drawn again. Asked for: both CCC up by {ASKED} or more, intervals above 0. Found: {rises}: "
        f"the claim {verdict} here.\n"
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 130 where it was interrupted, or 2 where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of packaged open faces, looked for")
    parser.add_argument("--judged", help="another such folder, whose test split judges; else that of --data")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--eye", default="open", help='emotion network of the loss: "open", or a recogniser\'s run')
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, nargs=3, help="of DECA's two stages and of each arm; else 600 400 400")
    asked = parser.parse_args(arguments)
    try:
        if asked.seeds < 1:
            raise InputError(f"--seeds is {asked.seeds}; give 1 or more")
        steps = tuple(asked.steps) if asked.steps else None
        arms = train_all(Asked(asked.data, asked.runs, asked.eye, asked.seeds, steps))
        faces = held_out(asked.judged or asked.data, side=SIDE, size=OpenEncoders(load_head("open")).size)
        found = table(judged(arms, faces), faces)
    except InputError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("reproduce: interrupted; the same command goes on from there", file=sys.stderr)
        return 130
    text = as_markdown(found, faces, asked.seeds)
    print(text)
    write_file(asked.runs / "reproduction.md", text.encode())
    write_file(asked.runs / NUMBERS, as_json(found))
    return 0


def as_json(found: dict[str, dict[str, Interval]]) -> bytes:
    """The table for programs: measure -> arm -> value, low, high."""
    numbers = {name: {arm: interval._asdict() for arm, interval in row.items()} for name, row in found.items()}
    return json.dumps(numbers, indent=1).encode()


if __name__ == "__main__":
    sys.exit(main())

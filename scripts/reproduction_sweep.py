"""The sweep of the emotion weight: which weight the arms of the reproduction get, chosen on other people than judge.

The weight with the highest mean of V-CCC and A-CCC, as EMO-MLP reads the reconstructions of validation people, is
chosen. That rule was written down before any run was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from emoca_jax.errors import InputError
from scripts.reproduction_measures import DRAWS, MEASURES, HeldOut, Interval, Told, with_intervals

CHOSEN_BY = ("V-CCC (EMO-MLP)", "A-CCC (EMO-MLP)")
"""Of which the mean is highest."""
TERM = "emotion"
"""Of the loss, as the paper has it; objectives.coarse.EMOTION_TERMS are all."""
Sweep = dict[str, dict[float, Interval]]
"""Measure -> emotion weight -> what it is on the people who choose."""


def checked_weights(weights: Sequence[float]) -> tuple[float, ...]:
    """From the smallest. Errors: InputError where one is no weight, or comes twice.

    0 is always there: it is the arm without the emotion loss.
    """
    if len(set(weights)) != len(weights) or not all(0 < one < np.inf for one in weights):
        raise InputError(
            f"--weights are {', '.join(f'{one:g}' for one in weights)}; give different ones above 0 (0 is there anyway)"
        )
    return tuple(sorted(weights))


def arm_folder(
    runs: Path, arm: str, seed: int, *, weight: float | None = None, term: str = TERM, level: bool = False
) -> Path:
    """Of one run: `without`, `with`, `with_at_0.2`, `with_centred_at_0.2`, `with_level_at_0.2`; from the second seed on
    with its number."""
    name = f"{arm}{_form(term, level)}" + ("" if weight is None else f"_at_{weight:g}")
    return runs / (name if seed == 0 else f"{name}_{seed}")


def named(name: str, term: str, *, level: bool = False) -> str:
    """The name of what is of one form: "reproduction.json", "reproduction_centred.json", "reproduction_level.json"."""
    return name.replace("reproduction", f"reproduction{_form(term, level)}", 1)


def _form(term: str, level: bool) -> str:
    return term.removeprefix(TERM) + ("_level" if level else "")


def sweep_table(told: Mapping[float, Told], faces: HeldOut, *, draws: int = DRAWS) -> Sweep:
    """Every measure of every weight, one seed each. Intervals: people are drawn again."""
    return {
        name: {
            weight: with_intervals(
                lambda rows, seeds, one=one, measure=measure: measure(one, faces.truth, rows),
                faces.person,
                draws=draws,
            )
            for weight, one in told.items()
        }
        for name, measure in MEASURES.items()
    }


def chosen_weight(sweep: Sweep) -> float:
    """The weight above 0 whose mean of CHOSEN_BY is highest; of equals the smaller."""
    weights = sorted(weight for weight in sweep[CHOSEN_BY[0]] if weight > 0)
    means = [np.mean([sweep[name][weight].value for name in CHOSEN_BY]) for weight in weights]
    return weights[int(np.argmax(means))]


def sweep_markdown(sweep: Sweep, faces: HeldOut) -> str:
    """The sweep's table, and what was chosen."""
    weights, chosen = sorted(sweep[CHOSEN_BY[0]]), chosen_weight(sweep)
    shown = [f"**{weight:g}**" if weight == chosen else f"{weight:g}" for weight in weights]
    lines = ["| emotion weight | " + " | ".join(shown) + " |", "|---|" + "---|" * len(weights)]
    for name, row in sweep.items():
        cells = [f"{row[weight].value:.3f} ({row[weight].low:.3f} to {row[weight].high:.3f})" for weight in weights]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + (
        f"\n\n{len(faces.person)} faces of {len(np.unique(faces.person))} people of the validation split, seed 0. "
        f"Chosen: {chosen:g}, where the mean of V-CCC and A-CCC is highest.\n"
    )

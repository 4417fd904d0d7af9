"""What `emoca reconstruct` makes of expression units that drawn people are known to show.

    python benchmarks/drawn_units.py [--people 4] [--seed 31] [--strengths 0.3 0.6 0.9] [--whole] [--picture sheet.png]

People of the open faces, each with own light, lens, hair and sensor, are drawn with chosen units, frontally and turned
by 20 degrees to either side by turns, nothing held before them; every picture is read and fitted as a photo is, by its
landmarks (--whole: and through the renderer, which changes units little). Unlike the judge of `benchmarks/units.py`,
which taught the reader of units, this one knows what was shown. For every unit or pair: how strongly it was found (mean
of the people), and what else was found most; then, over all pictures, each unit's correlation with the truth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from rich.progress import track

import emoca_jax as ej
from data_pipelines.open_faces.draw import Studio, draw, studio
from data_pipelines.open_faces.emotions import written
from data_pipelines.open_faces.sensor import jpeg, opened
from data_pipelines.open_faces.views import view_from
from emoca_jax.capture.found_faces import found_faces
from emoca_jax.capture.images import as_photo
from emoca_jax.errors import InputError
from emoca_jax.jobs.look import look
from emoca_jax.jobs.open_model import OpenModel, codes_by_landmarks, fit_face, head_units, picture_of
from emoca_jax.objectives.photo import FitWeights

SIZE = 320
"""Pixels a side of a picture: the face is 145 high."""
STRENGTHS = (0.3, 0.6, 0.9)
TURNS = (0.0, 20.0, 0.0, -20.0)
"""Degrees of yaw, person by person."""
SHOWN: tuple[tuple[str, ...], ...] = (
    ("mouthFrown",), ("mouthLeft",), ("mouthRight",), ("mouthPucker",), ("mouthFunnel",), ("cheekPuff",),
    ("mouthPress",), ("mouthShrugLower",), ("browOuterUp",), ("browDown",), ("eyeSquint",), ("mouthSmile",),
    ("jawOpen",), ("eyeBlink",), ("eyeBlinkLeft",), ("mouthFrownLeft",), ("browOuterUpRight",),
    ("mouthPucker", "mouthLeft"), ("mouthPucker", "mouthRight"), ("mouthFrown", "browInnerUp"),
    ("mouthFrown", "mouthShrugLower"), ("mouthPress", "browDown"), ("cheekPuff", "mouthPress"),
)  # fmt: skip
"""Units, by whole name or by stem for both sides, that are shown together at one strength."""
OTHERS = 3
"""Units that are named beside those shown: the strongest found."""
COLUMNS = 6
"""Of the picture."""


class Case(NamedTuple):
    """One picture to be drawn."""

    shown: tuple[str, ...]
    strength: float
    person: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--strengths", type=float, nargs="+", default=STRENGTHS)
    parser.add_argument("--whole", action="store_true", help="fit through the renderer, too: five times the time")
    parser.add_argument("--picture", type=Path, help="the first person's faces at the greatest strength, as PNG")
    asked: Any = parser.parse_args()
    made, model = studio(), ej.load_model("open")
    assert isinstance(model, OpenModel)
    strengths, names = tuple(sorted(asked.strengths)), made.head.expression_names
    cases, found, sheet = [], [], []
    for case in track(cases_of(asked.people, strengths), "fitting"):
        picture = drawn(made, asked.seed, case)
        if case.person == 0 and case.strength in (0.0, strengths[-1]):
            sheet.append(picture)
        try:
            found.append(fitted_units(model, picture, whole=asked.whole))
        except InputError:
            continue
        cases.append(case)
    print_found(names, cases, np.array(found), strengths)
    if asked.picture is not None:
        rows = [sheet[start : start + COLUMNS] for start in range(0, len(sheet), COLUMNS)]
        Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows if len(row) == COLUMNS])).save(
            asked.picture
        )


def fitted_units(model: OpenModel, picture: UInt8[np.ndarray, "size size 3"], *, whole: bool) -> np.ndarray:
    """[units] of the largest face. Errors: InputError where there is none."""
    (face,) = found_faces(model.detector, as_photo(picture), "largest")
    seen = look(model.expression, face, person=model.person if whole else None)
    told = picture_of(model, seen)
    if whole:
        return np.asarray(fit_face(model, seen, FitWeights(), told).codes.expression)
    units = head_units(model, seen, told)
    return np.asarray(codes_by_landmarks(model, seen, FitWeights(), units, method="fit").expression)


def cases_of(people: int, strengths: tuple[float, ...]) -> list[Case]:
    """Everybody at rest, then with everything at every strength."""
    shown = [((), 0.0), *((units, strength) for units in SHOWN for strength in strengths)]
    return [Case(units, strength, person) for units, strength in shown for person in range(people)]


def true_units(names: tuple[str, ...], case: Case) -> Float[np.ndarray, "units"]:
    return written(dict.fromkeys(case.shown, case.strength), names).astype(np.float32)


def drawn(made: Studio, seed: int, case: Case) -> UInt8[np.ndarray, "size size 3"]:
    """The picture as whoever opens its file sees it."""
    recipe = view_from(made.head, seed, case.person, 0, TURNS[case.person % len(TURNS)])
    units = true_units(made.head.expression_names, case)
    bare = recipe.glasses.replace(shown=np.zeros_like(recipe.glasses.shown))
    recipe = recipe.replace(codes=recipe.codes.replace(expression=units), glasses=bare)
    image = np.asarray(jax.device_get(draw(made, recipe, size=SIZE)).image)
    return opened(jpeg(image, int(recipe.camera.quality)))


def print_found(
    names: tuple[str, ...], cases: list[Case], found: Float[np.ndarray, "cases units"], strengths: tuple[float, ...]
) -> None:
    """Shown against found, case by case, then unit by unit over all."""
    true = np.stack([true_units(names, case) for case in cases])
    print(f"{len(cases)} pictures\n{'shown':30} found at {' '.join(f'{s:4}' for s in strengths)}   strongest others")
    for units in ((), *SHOWN):
        rows = np.array([case.shown == units for case in cases])
        if not rows.any():
            continue
        strength = np.array([case.strength for case in cases])
        on = true[rows].max(axis=0) > 0
        told = [found[rows & (strength == one)][:, on].mean() if on.any() else 0.0 for one in strengths]
        others = np.where(on, -1, found[rows & (strength == max(strength[rows]))].mean(axis=0))
        strongest = np.argsort(-others)[:OTHERS]
        beside = ", ".join(f"{names[place]} {others[place]:.2f}" for place in strongest)
        print(f"{' + '.join(units) or 'rest':30}          {' '.join(f'{one:4.2f}' for one in told)}   {beside}")
    print("unit                 r      off where shown   found where not shown: mean / most")
    for place in np.flatnonzero(true.max(axis=0) > 0):
        shown, still = true[:, place] > 0, true[:, place] == 0
        off = np.abs(found[shown, place] - true[shown, place]).mean()
        r = np.corrcoef(true[:, place], found[:, place])[0, 1]
        print(
            f"{names[place]:20} {r:5.2f}  {off:.2f}              {found[still, place].mean():.2f} / "
            f"{found[still, place].max():.2f}"
        )
    print(f"all 52 units of all pictures off by {np.abs(found - true).mean():.3f}")


if __name__ == "__main__":
    main()

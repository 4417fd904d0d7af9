"""One file of reference numbers, and the comparison of one of its arrays with ours.

Naming in these files: `name` is a whole array, `name__sK` is `array[..., ::K, ::K]`, `name__stat` is the whole array's
mean, standard deviation, minimum, maximum and sum of squares in float64.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

STATISTICS = "__stat"
SUBSET = re.compile(r"(?P<name>.+)__s(?P<step>\d+)$")


class Tolerance(NamedTuple):
    """How far an array may be from the reference: |difference| <= absolute + relative * scale."""

    absolute: float = 0.0
    relative: float = 0.0
    of: str = "largest value"
    """What `relative` is relative to: "largest value", or "rms"."""
    outliers: float = 0.0
    """Part of the values that may be further away (pixels whose face flips at a shared edge)."""
    farthest: float = np.inf
    """How far those may be, relative to the largest value."""

    def reach(self, scale: float) -> float:
        """How far outliers may be."""
        return self.farthest * scale if np.isfinite(self.farthest) else np.inf

    def __str__(self) -> str:
        parts = [f"{self.absolute:.3g}"] if self.absolute or not self.relative else []
        parts += [f"{self.relative:.3g} of the {self.of}"] if self.relative else []
        outliers = f", but for {self.outliers:.3g} of the values" if self.outliers else ""
        outliers += f", {self.farthest:.3g} of the largest there" if np.isfinite(self.farthest) else ""
        return " + ".join(parts) + outliers


EXACT = Tolerance()


class Comparison(NamedTuple):
    """One stored array: compared, an input, or left out for a reason."""

    array: str
    result: str
    """"pass", "fail", "input" or "exception"."""
    absolute: float | None = None
    """Largest difference."""
    relative: float | None = None
    """The same as a part of the reference's largest value."""
    tolerance: str = ""
    note: str = ""


class Golden:
    """The arrays of one file, read when asked for."""

    def __init__(self, path: Path):
        self.name = path.stem
        self._file = np.load(path, allow_pickle=False)
        self.stored: tuple[str, ...] = tuple(self._file.files)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._file[name]

    def __contains__(self, name: str) -> bool:
        return name in self.stored

    def inputs(self, *names: str) -> Iterator[Comparison]:
        """Arrays that the reference was computed from: nothing to compare."""
        for name in names:
            yield Comparison(name, "input")

    def exceptions(self, reason: str, *names: str) -> Iterator[Comparison]:
        """Arrays that are left out, and why."""
        for name in names:
            yield Comparison(name, "exception", note=reason)

    def check(self, name: str, found: object, tolerance: Tolerance, note: str = "") -> Iterator[Comparison]:
        """Our array against all that is stored of the reference's: whole, subset, statistics.

        found: in the reference's layout. Errors: KeyError where nothing of that name is stored.
        """
        ours = np.asarray(found)
        parts = [stored for stored in self.stored if _base(stored) == name]
        if not parts:
            raise KeyError(f"{self.name}.npz stores nothing named {name}")
        for stored in parts:
            if stored.endswith(STATISTICS):
                yield _compare_statistics(stored, ours, self[stored], tolerance, note)
            else:
                subset = SUBSET.match(stored)
                step = int(subset["step"]) if subset else 1
                yield compare_arrays(
                    stored, ours[..., ::step, ::step] if subset else ours, self[stored], tolerance, note
                )


def _base(stored: str) -> str:
    if stored.endswith(STATISTICS):
        return stored.removesuffix(STATISTICS)
    subset = SUBSET.match(stored)
    return subset["name"] if subset else stored


def compare_arrays(name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: Tolerance, note: str = "") -> Comparison:
    """Fails on other shapes, on NaN where the reference has none, and beyond the tolerance."""
    if ours.shape != theirs.shape:
        return Comparison(name, "fail", None, None, str(tolerance), f"shape {ours.shape}, reference {theirs.shape}")
    if theirs.dtype.kind in "US":
        same = (ours == theirs).all()
        return Comparison(name, "pass" if same else "fail", 0.0 if same else None, None, "equal", note)
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    # Equal infinities (empty depth) differ by nothing; NaN agrees with NaN alone.
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(ours - theirs))
    difference = np.where(np.isnan(difference), np.inf, difference)
    scale, rms = _scale(theirs)
    limit = tolerance.absolute + tolerance.relative * (rms if tolerance.of == "rms" else scale)
    beyond = float((difference > limit).mean()) if difference.size else 0.0
    largest = float(difference.max(initial=0.0))
    if beyond:
        share = f"{beyond:.4%} of the values are beyond it"
        note = f"{share}; {note}" if note else share
    return Comparison(
        name,
        "pass" if beyond <= tolerance.outliers and (not beyond or largest <= tolerance.reach(scale)) else "fail",
        largest,
        largest / scale if scale else None,
        str(tolerance),
        note,
    )


def _compare_statistics(name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: Tolerance, note: str) -> Comparison:
    """Mean, deviation, extremes and root mean square cannot differ by more than the values may.

    Values that may be anywhere (outliers) move a mean by their share of the range, a root mean square by its root;
    extremes say nothing then.
    """
    values = ours.astype(np.float64)
    found = np.array([values.mean(), values.std(), values.min(), values.max(), np.sqrt(np.mean(values**2))])
    wanted = np.array([*theirs[:4], np.sqrt(theirs[4] / values.size)])
    scale = float(np.abs(theirs[2:4]).max())
    limit = tolerance.absolute + tolerance.relative * (wanted[4] if tolerance.of == "rms" else scale)
    span, share = float(theirs[3] - theirs[2]), tolerance.outliers
    reach = tolerance.reach(scale)
    span = min(span, reach)
    extremes = reach if share else 0.0
    limits = limit + np.array([share * span, np.sqrt(share) * span, extremes, extremes, np.sqrt(share) * span])
    difference = np.abs(found - wanted)
    difference = np.where(np.isnan(difference), np.inf, difference)
    # What is printed: the largest of those that are held to the tolerance.
    largest = float(difference[np.isfinite(limits)].max())
    return Comparison(
        name,
        "pass" if (difference <= limits).all() else "fail",
        largest,
        largest / scale if scale else None,
        str(tolerance),
        note,
    )


def _scale(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 0.0
    return float(np.abs(finite).max()), float(np.sqrt(np.mean(finite**2)))

"""The pictures of the speed tables; needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

INK, FAINT, ACCENT, SECOND = "#21252b", "#6c7480", "#f57c28", "#427ac4"
"""Of all pictures of the project (emoca_jax/export/pictures/paper.py)."""
STYLES = ((ACCENT, "o"), (SECOND, "s"), (INK, "^"), (FAINT, "D"))
Curve = Sequence[tuple[float, float]]


def scaling(path: Path, panels: Mapping[str, tuple[str, Mapping[str, Curve]]]) -> None:
    """One panel per question: title -> (what lies along x, curves of (x, milliseconds)); both axes logarithmic."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.4 * len(panels), 3.9), constrained_layout=True)
    for axis, (title, (label, curves)) in zip(axes, panels.items(), strict=True):
        for (colour, marker), (name, points) in zip(STYLES, curves.items(), strict=False):
            x, y = zip(*points, strict=True)
            axis.loglog(x, y, color=colour, marker=marker, markersize=4.5, linewidth=1.6, label=name)
        # What exact proportion would look like, from the last point of the first curve.
        (x0, *_, x1), last = [point[0] for point in points], next(iter(curves.values()))[-1][1]
        axis.loglog([x0, x1], [last * x0 / x1, last], color=FAINT, linestyle=":", linewidth=1.2, label="in proportion")
        dress(axis, title)
        axis.set_xlabel(label, color=FAINT)
        axis.legend(frameon=False, fontsize=8.5, labelcolor=INK)
    axes[0].set_ylabel("milliseconds", color=FAINT)
    save(figure, path)


def bars(path: Path, panels: Mapping[str, Mapping[str, float]], ours: str) -> None:
    """Milliseconds per image of each renderer, fastest on top, one panel per job; ours in colour."""
    tallest = max(map(len, panels.values()))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.4 * len(panels), 0.9 + 0.36 * tallest), constrained_layout=True, squeeze=False
    )
    for axis, (title, times) in zip(axes[0], panels.items(), strict=True):
        ordered = sorted(times.items(), key=lambda item: -item[1])
        colours = [ACCENT if name == ours else SECOND for name, _ in ordered]
        axis.barh([name for name, _ in ordered], [value for _, value in ordered], color=colours, height=0.62)
        for height, (_, value) in enumerate(ordered):
            axis.text(value * 1.08, height, f"{value:,.1f}", va="center", fontsize=9, color=INK)
        axis.set_xscale("log")
        axis.set_xlim(min(times.values()) / 3, max(times.values()) * 4)
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("milliseconds per image", color=FAINT)
        dress(axis, title)
        axis.grid(False, axis="y")
    save(figure, path)


def dress(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=11, color=INK, loc="left")
    axis.grid(True, which="major", color="#dde1e7", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=9, length=0, which="both")
    for side in axis.spines.values():
        side.set_visible(False)


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)

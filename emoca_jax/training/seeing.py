"""What a run shows while it goes on, and what it leaves behind: curves, TensorBoard events, a page to look at."""

from __future__ import annotations

import base64
import html
import io
import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emoca_jax.errors import InputError
from emoca_jax.files.whole import write_file
from emoca_jax.training.step import Report

LOG = "metrics.jsonl"
PAGE = "report.html"
PICTURE = "faces.png"
TITLE = "Title"
"""What a PNG calls the words on what it shows."""


class Faces(NamedTuple):
    """Pictures of faces that are not trained on, a row a face."""

    picture: UInt8[np.ndarray, "height width 3"]
    columns: tuple[str, ...]
    """What each shows, from left to right."""


class Sight:
    """Progress on the terminal, `metrics.jsonl`, TensorBoard events, `faces.png` where a stage shows faces and, at the
    end, `report.html`, all in one folder.

    Of many processes the first one sees.
    """

    def __init__(self, folder: Path, name: str, steps: int) -> None:
        self.folder, self.name, self.steps = folder, name, steps
        self._sees = jax.process_index() == 0
        # Jupyter asks its children for colour, where rich takes a pipe for a terminal: thousands of redrawn bars.
        self._console = Console(stderr=True, quiet=not self._sees, force_terminal=sys.stderr.isatty())
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[seen]}"),
            console=self._console,
        )
        self._lines: list[dict[str, Any]] = []
        self._events: Any = None
        self._moment: tuple[float, int] | None = None

    def __enter__(self) -> Sight:
        if self._sees:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._progress.start()
        self._task = self._progress.add_task(self.name, total=self.steps, seen="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._events is not None:
            self._events.close()

    def tell(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, markup=False, highlight=False)

    def begin(self, step: int) -> None:
        """Go on behind `step`: what was noted after it, by a run that did not come to save, is forgotten."""
        self._progress.update(self._task, completed=step)
        if not self._sees:
            return
        log = self.folder / LOG
        if log.exists():
            self._lines = [line for line in read_log(log) if line["step"] <= step]
        write_file(log, "".join(json.dumps(line) + "\n" for line in self._lines).encode())
        self._events = _event_writer(self.folder / "tensorboard", step)

    def note(self, step: int, report: Report, *, examples: int) -> None:
        """A step's losses. `examples`: of one batch, over all processes."""
        told = {"loss": report.loss, "gradient_norm": report.gradient_norm, **report.terms, **report.measures}
        numbers = {f"train/{name}": float(value) for name, value in told.items()}
        now = time.monotonic()
        if self._moment is not None:
            before, at = self._moment
            numbers["images_per_second"] = (step - at) * examples / (now - before)
        self._moment = now, step
        rate = numbers.get("images_per_second")
        seen = f"loss {numbers['train/loss']:.4g}" + ("" if rate is None else f", {rate:.0f} images/s")
        self._progress.update(self._task, completed=step, seen=seen)
        self._keep(step, numbers)

    def measured(self, step: int, measures: dict[str, float]) -> None:
        """An evaluation's measures."""
        self._keep(step, {f"eval/{name}": value for name, value in measures.items()})
        self.tell(f"step {step}: " + ", ".join(f"{name} {value:.4g}" for name, value in measures.items()))
        self._moment = None

    def show(self, step: int, faces: Faces) -> None:
        """What it makes of some faces by now; `faces.png` is the last of these. A line says so where it cannot be."""
        if not self._sees:
            return
        told = ", ".join(faces.columns)
        self._events.add_image(told, faces.picture, step, dataformats="HWC")
        encoded, words = io.BytesIO(), PngInfo()
        words.add_text(TITLE, told)
        Image.fromarray(faces.picture).save(encoded, "png", pnginfo=words)
        try:
            write_file(self.folder / PICTURE, encoded.getvalue())
        except InputError as error:
            self.tell(str(error))

    def report(self) -> None:
        """Write `report.html`: the curves of the whole run, and what it made of faces in the end."""
        if self._sees:
            shown = self.folder / PICTURE
            page = _page(self.name, self._lines, shown.read_bytes() if shown.exists() else None)
            write_file(self.folder / PAGE, page.encode())

    def _keep(self, step: int, numbers: dict[str, float]) -> None:
        if not self._sees:
            return
        line = {"step": step, **numbers}
        self._lines.append(line)
        with (self.folder / LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")
        for name, value in numbers.items():
            self._events.add_scalar(name, value, step)


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines but the one that a killed run left unfinished."""
    whole = path.read_text().rpartition("\n")[0]
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
        raise InputError(f"{path}: is no log of a run ({error}); move it away") from error


def _event_writer(folder: Path, step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError('training needs more packages: pip install "emoca-jax[train]"') from error
    return SummaryWriter(str(folder), purge_step=step + 1)


def _page(name: str, lines: list[dict[str, Any]], shown: bytes | None) -> str:
    """The faces that were shown last, then one picture a curve, evaluations first. shown: a PNG."""
    names = sorted(
        {key for line in lines for key in line if key != "step"}, key=lambda key: (not key.startswith("eval"), key)
    )
    pictures = "\n".join(f"<figure>{_curve(key, lines)}</figure>" for key in names)
    last = {key: line[key] for line in lines for key in line}
    rows = "".join(f"<tr><td>{html.escape(key)}</td><td>{last[key]:.5g}</td></tr>" for key in names)
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(name)}</title>"
        "<style>body{font:14px sans-serif;margin:2em}figure{display:inline-block;margin:0}</style>"
        f"<h1>{html.escape(name)}</h1>{_faces(shown)}<table>{rows}</table>\n{pictures}\n"
    )


def _faces(shown: bytes | None) -> str:
    if shown is None:
        return ""
    try:
        with Image.open(io.BytesIO(shown), formats=("PNG",)) as picture:
            told = html.escape(str(picture.info.get(TITLE, "")))
    except (OSError, ValueError, SyntaxError):  # somebody else's file of that name
        return ""
    return f'<p>{told}</p><img alt="{told}" src="data:image/png;base64,{base64.b64encode(shown).decode()}">\n'


def _curve(name: str, lines: list[dict[str, Any]]) -> str:
    from matplotlib.figure import Figure

    points = np.array([(line["step"], line[name]) for line in lines if name in line])
    figure = Figure(figsize=(4, 2.5), layout="constrained")
    axes = figure.add_subplot(title=name, xlabel="step")
    axes.plot(points[:, 0], points[:, 1], marker="." if len(points) < 30 else None)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]

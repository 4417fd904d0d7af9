"""`emoca reconstruct`: photos in, heads out, one table at the end."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoca_jax import compile_cache
from emoca_jax.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from emoca_jax.capture.result import FaceResult

FORMATS = ("glb", "obj", "npz", "json", "png")
COMPILE_LINE = "compiling for this machine, once; later runs start fast"
TILE_RANGE = (64, 2048)
"""Pixels: below, nothing can be seen; above, the comparison picture passes 50 megapixels."""
INTERRUPTED = 130


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "reconstruct",
        help="turn every face in photos into an animatable 3D head",
        description="Turn every face in photos into an animatable 3D head. Face n of photo.jpg, counted from 0 for the "
        "largest, becomes photo_n.glb, .obj, .npz, .json and .png; files of these names are replaced. Inputs of the "
        "same name share an output folder as photo, photo-2 and so on, in the order given.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image (jpg, png, webp, bmp), folder (its images, not those of subfolders) or pattern ('cast/*.png')",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("output"), metavar="FOLDER", help="where results go (default: output)"
    )
    parser.add_argument(
        "--model",
        default="open",
        metavar="open|FOLDER",
        help="the open model, fitted to the photo, or official weights converted by `emoca convert` (default: open)",
    )
    parser.add_argument(
        "--head",
        metavar="open|PATH",
        help="of the open model: the head that ships, or a converted one (default: open)",
    )
    parser.add_argument(
        "--official", action="store_true", help="for a converted model: reproduce the bugs of the official code as well"
    )
    parser.add_argument("--faces", choices=("all", "largest"), default="all", help="which faces (default: all)")
    parser.add_argument(
        "--size",
        type=_tile_size,
        default=384,
        metavar="N",
        help="side in pixels of one tile of the comparison picture (default: 384)",
    )
    parser.add_argument(
        "--format",
        type=_formats,
        default=FORMATS,
        metavar="LIST",
        help=f"all, or some of {','.join(FORMATS)} with commas between (default: all)",
    )
    parser.set_defaults(run=run)


@dataclass
class _Tally:
    """What has become of the inputs so far."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    """Of the table, one per face; the results themselves would fill the memory on a large folder."""
    done: int = 0
    failed: int = 0

    def exit_code(self) -> int:
        if not self.failed:
            return 0
        return 1 if self.done else 2


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct every input, tell failures one sentence each, print the table; returns the exit code."""
    from rich.console import Console

    # One line per message: no wrapping, and brackets in file names are not markup.
    errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False, emoji=False)
    tally = _Tally()
    photos = _find(arguments.inputs, tally, errors)
    if not photos:
        return 2
    cache = compile_cache.enable()
    _prepare_output(arguments)
    if not compile_cache.is_warm(cache):
        errors.print(f"emoca: {COMPILE_LINE}" if cache else "emoca: compiling (no cache folder can be written)")
    from emoca_jax.capture.reconstruct import load_model

    model = load_model(arguments.model, head=arguments.head, official=arguments.official)
    try:
        _reconstruct_all(model, photos, arguments, tally, errors)
    except KeyboardInterrupt:
        errors.print(f"emoca: interrupted; {tally.done} of {len(photos)} inputs done")
        _print_table(tally.rows)
        return INTERRUPTED
    if tally.rows:
        compile_cache.mark_warm(cache)
    _print_table(tally.rows)
    if tally.done:
        faces, inputs = _count(len(tally.rows), "face"), _count(tally.done, "photo")
        print(f"{faces} from {inputs} in {arguments.output}" + (f"; {tally.failed} failed" if tally.failed else ""))
    return tally.exit_code()


def output_stems(photos: Iterable[Path]) -> list[str]:
    """A name of its own for each photo: its stem, numbered from 2 where an earlier photo has it.

    Names that differ only in case count as the same: many file systems cannot hold both.
    """
    taken: set[str] = set()
    stems = []
    for photo in photos:
        stem, number = photo.stem, 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{photo.stem}-{number}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def _find(inputs: list[str], tally: _Tally, errors: Console) -> list[Path]:
    """All photos behind the inputs; an input that leads to nothing does not stop the others."""
    from emoca_jax.capture.images import find_images

    reachable = []
    for name in inputs:
        try:
            find_images([name])
            reachable.append(name)
        except InputError as error:
            _report(errors, error)
            tally.failed += 1
    return find_images(reachable)


def _prepare_output(arguments: argparse.Namespace) -> None:
    from emoca_jax.export.write import open_folder

    output = arguments.output
    if any(Path(name).is_dir() and output.resolve() == Path(name).resolve() for name in arguments.inputs):
        raise InputError(f"{output}: is also an input, and results would be taken for photos; give another --output")
    open_folder(output)


def _reconstruct_all(
    model: Any, photos: list[Path], arguments: argparse.Namespace, tally: _Tally, errors: Console
) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from emoca_jax.capture.reconstruct import reconstruct

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=len(photos))
        for photo, stem in zip(photos, output_stems(photos), strict=True):
            progress.update(task, description=photo.name)
            try:
                faces = reconstruct(model, photo, faces=arguments.faces)
                for face in faces:
                    face.save(arguments.output / f"{stem}_{face.face}", arguments.format, size=arguments.size)
            except InputError as error:
                _report(errors, error, photo)
                tally.failed += 1
            else:
                tally.rows += map(_row, faces)
                tally.done += 1
            progress.advance(task)


def _report(errors: Console, error: InputError, photo: Path | None = None) -> None:
    """One line on stderr that names the file."""
    names_it = photo is None or str(photo) in str(error)
    errors.print(f"emoca: {error}" if names_it else f"emoca: {photo}: {error}")


def _row(face: FaceResult) -> tuple[str, ...]:
    emotion = face.emotion
    return (
        face.source_name,
        str(face.face),
        f"{emotion.label} {emotion.photo[emotion.label]:.0%}",
        f"{emotion.valence:+.2f}",
        f"{emotion.arousal:+.2f}",
        f"{face.fit_error:.2f} %",
        f"{face.seconds:.1f}",
    )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    for name in ("face", "emotion", "valence", "arousal", "fit error", "seconds"):
        table.add_column(name, justify="left" if name == "emotion" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # brackets in file names are not markup
    Console(highlight=False).print(table)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _formats(text: str) -> tuple[str, ...]:
    chosen = [name.strip().lower().removeprefix(".") for name in text.split(",") if name.strip()]
    if chosen == ["all"]:
        return FORMATS
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"{text!r} is not all or a list of {','.join(FORMATS)}")
    return tuple(chosen)


def _tile_size(text: str) -> int:
    low, high = TILE_RANGE
    try:
        size = int(text)
    except ValueError:
        size = -1
    if not low <= size <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return size

"""What commands on photos have in common: finding the photos, telling failures, progress, the table, the exit code."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emoca_jax.commands import compile_cache
from emoca_jax.errors import InputError, surprise
from emoca_jax.files.ending import last_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

COMPILE_LINE = "compiling for this machine, once; later runs start fast"
INTERRUPTED = 130

Row = tuple[str, ...]


class PhotoCommand(NamedTuple):
    """A command that does the same to every photo."""

    load: Callable[[], Any]
    """Gives the model; called when there is a photo and a place for results."""
    work: Callable[[Any, Path, str], list[list[Row]]]
    """Model, photo, and the name that its results are to start with -> rows of the table for every face.
    Errors: InputError where the photo cannot be used."""
    columns: dict[str, bool]
    """Headings of the table behind the file's name -> whether they stand on the left."""
    finish: Callable[[], object] = lambda: None
    """Writes what is of all photos together: at the end, and when the run is interrupted."""
    compiles: str = ""
    """Whose programs it compiles (see `compile_cache.mark_warm`)."""
    first: Callable[[Any, Path], str | None] | None = None
    """Model and photo, for every photo before the first is worked on, where photos belong together -> a sentence for
    whoever gave it. Errors: as of `work`."""
    refusal: Callable[[Sequence[Path]], str | None] = lambda photos: None
    """The photos -> why these cannot be worked on together; asked before the model is loaded."""


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """INPUT, --output and --faces, as every command on photos has them."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image (jpg, png, webp, avif, gif, tiff, bmp), folder (its images, not those of subfolders) or pattern "
        "('cast/*.png')",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("output"), metavar="FOLDER", help="where results go (default: output)"
    )
    parser.add_argument(
        "--faces",
        choices=("all", "largest"),
        default="all",
        help="which faces; a doubtful one is no largest (default: all)",
    )


def run_on_photos(inputs: Sequence[str], output: Path, command: PhotoCommand) -> int:
    """Do every photo, tell failures one sentence each, print the table and what was skipped; returns the exit code."""
    from rich.console import Console

    from emoca_jax.commands.photo_table import print_table

    # One line per message: no wrapping, and brackets in file names are not markup.
    errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False, emoji=False)
    tally = _Tally()
    photos = _without_results(_find(inputs, tally, errors), errors)
    refusal = command.refusal(photos) if photos else None
    if refusal:
        errors.print(f"emoca: {refusal}")
    if refusal or not photos:
        _report_skipped(errors, inputs, output)
        return 2
    cache = compile_cache.enable()
    _prepare_output(inputs, output)
    if not compile_cache.is_warm(cache, what=command.compiles):
        errors.print(f"emoca: {COMPILE_LINE}" if cache else "emoca: compiling (no cache folder can be written)")
    model = command.load()

    def interrupted() -> None:
        errors.print(f"emoca: interrupted; {tally.done} of {len(photos)} inputs done")
        command.finish()
        print_table(tally.rows, command.columns)

    # Names go by all photos, whatever becomes of them.
    named = list(zip(photos, output_stems(photos), strict=True))
    try:
        with last_words(interrupted):
            if command.first:
                named = _seen_first(model, named, command.first, tally, errors)
            _do_all(model, named, command, tally, errors)
    except KeyboardInterrupt:
        interrupted()
        return INTERRUPTED
    if tally.rows:
        compile_cache.mark_warm(cache, what=command.compiles)
    command.finish()
    print_table(tally.rows, command.columns)
    if tally.done:
        faces, done = _count(tally.faces, "face"), _count(tally.done, "photo")
        print(f"{faces} from {done} in {output}" + (f"; {tally.failed} failed" if tally.failed else ""))
    _report_skipped(errors, inputs, output)
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


@dataclass
class _Tally:
    """What has become of the inputs so far."""

    rows: list[Row] = field(default_factory=list)
    """Of the table; the results themselves would fill the memory on a large folder."""
    faces: int = 0
    done: int = 0
    failed: int = 0

    def exit_code(self) -> int:
        if not self.failed:
            return 0
        return 1 if self.done else 2


def _find(inputs: Sequence[str], tally: _Tally, errors: Console) -> list[Path]:
    """All photos behind the inputs; an input that leads to nothing does not stop the others.

    What cannot be opened, or begins as no picture does, is told of here, before anything is loaded and compiled for it.
    """
    from emoca_jax.capture.images import check_photo, find_images
    from emoca_jax.files.regular import user_path

    reachable = []
    for name in dict.fromkeys(inputs):
        try:
            if find_images([name]) == [user_path(name)]:
                check_photo(user_path(name))
            reachable.append(name)
        except Exception as error:
            _report(errors, error, Path(name))
            tally.failed += 1
    return find_images(reachable)


def _without_results(paths: list[Path], errors: Console) -> list[Path]:
    """The photos without pictures that this program wrote beside them in an earlier run."""
    from emoca_jax.files.whole import is_result

    made_here = [path for path in paths if is_result(path)]
    if made_here:
        errors.print(f"emoca: {_count(len(made_here), 'result')} of earlier runs left out, {made_here[0]} first")
    return [path for path in paths if path not in made_here]


def _prepare_output(inputs: Sequence[str], output: Path) -> None:
    from emoca_jax.files.whole import open_folder

    if any(os.path.isdir(name) and os.path.realpath(output) == os.path.realpath(name) for name in inputs):
        raise InputError(f"{output}: is also an input, and results would be taken for photos; give another --output")
    open_folder(output)


def _seen_first(
    model: Any,
    named: list[tuple[Path, str]],
    first: Callable[[Any, Path], str | None],
    tally: _Tally,
    errors: Console,
) -> list[tuple[Path, str]]:
    """The photos that can be worked on, and their stems, after all were looked at."""
    kept = []
    with _bar(errors) as bar:
        for photo, stem in _in_turn(bar, named, "looking at "):
            try:
                sentence = first(model, photo)
            except Exception as error:  # as in _do_all
                _report(errors, error, photo)
                tally.failed += 1
            else:
                kept.append((photo, stem))
                if sentence:
                    errors.print(f"emoca: {sentence}")
    return kept


def _do_all(model: Any, named: list[tuple[Path, str]], command: PhotoCommand, tally: _Tally, errors: Console) -> None:
    with _bar(errors) as bar:
        for photo, stem in _in_turn(bar, named):
            try:
                faces = command.work(model, photo, stem)
            except Exception as error:  # whatever happens to one photo, the others are done
                _report(errors, error, photo)
                tally.failed += 1
            else:
                tally.rows += [row for face in faces for row in face]
                tally.faces += len(faces)
                tally.done += 1


def _bar(errors: Console) -> Progress:
    """A bar that shows on a terminal, and is gone at the end."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


def _in_turn(bar: Progress, named: list[tuple[Path, str]], doing: str = "") -> Iterator[tuple[Path, str]]:
    """The photos and their stems, each with its name at the bar while it is worked on."""
    task = bar.add_task("", total=len(named))
    for photo, stem in named:
        bar.update(task, description=doing + photo.name)
        yield photo, stem
        bar.advance(task)


def _report(errors: Console, error: Exception, photo: Path) -> None:
    """One line on stderr that names the file."""
    sentence = str(error) if isinstance(error, InputError) else surprise(error)
    errors.print(f"emoca: {sentence}" if str(photo) in sentence else f"emoca: {photo}: {sentence}")


def _report_skipped(errors: Console, inputs: Sequence[str], output: Path) -> None:
    from emoca_jax.capture.skipped_files import skipped_files
    from emoca_jax.commands.photo_table import skipped_lines

    for line in skipped_lines(skipped_files(inputs, output=output)):
        errors.print(f"emoca: {line}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")

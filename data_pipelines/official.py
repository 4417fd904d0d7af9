"""Official folders as people have them: whole, half-downloaded, or something else; errors name what is missing."""

from __future__ import annotations

import csv
import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular

FORMATS = ("JPEG", "PNG")
"""Written as they are; any other picture is written as a PNG of the same pixels."""
CONVERTED = ("BMP", "DIB", "TIFF", "WEBP", "GIF")
MOST_LIST_BYTES = 1 << 30
"""AffectNet's training list has 0.4 GB."""


def one_of(folder: Path, names: Sequence[str], what: str) -> Path:
    """The first of `names` that is in `folder`.

    Errors: InputError saying which part of the official folder is missing where none of them is.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise InputError(f"{folder}: {what} is missing ({' or '.join(names)}); give the official folder, unpacked")


def folders_in(folder: Path) -> list[Path]:
    """Folders directly in `folder`, not hidden, by name."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); give the official folder, unpacked") from error


def all_there(folder: Path, files: Iterable[str], listed_by: str) -> None:
    """Errors: InputError that counts the `files` which are not in `folder` and names the first; or names one that
    would lie outside it."""
    count, missing = 0, []
    for file in files:
        count += 1
        if os.path.isabs(file) or ".." in Path(file).parts:
            raise InputError(f"{folder}: {listed_by} names {file}, which lies outside the folder; get the list again")
        if not os.path.isfile(folder / file):
            missing.append(file)
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} of {count} files that {listed_by} names are missing, the first is {missing[0]}; "
            "download or unpack the rest"
        )


def table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of a CSV file, with or without a first line that names the columns.

    columns: those needed, in the order they have where no line names them.
    Errors: InputError naming file and line where a line is too short, or the named columns lack one.
    """
    text = io.StringIO(read_regular(path, most=MOST_LIST_BYTES).decode("utf-8-sig", errors="replace"))
    names: Sequence[str] = columns
    try:
        for number, cells in enumerate(csv.reader(text), 1):
            if number == 1 and columns[0] in (header := [cell.strip() for cell in cells]):
                names = header
                if missing := [column for column in columns if column not in header]:
                    raise InputError(f"{path}: has no column {missing[0]}; give the official list")
            elif cells:
                if len(cells) < len(names):
                    raise InputError(
                        f"{path}, line {number}: ends after {len(cells)} of {len(names)} cells; get it again"
                    )
                yield number, dict(zip(names, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"{path}: is no CSV file ({error}); give the official list") from error


def numbers(cell: str, count: int, place: str, *, separator: str = ";") -> list[float]:
    """The numbers of a cell. Errors: InputError naming the place where they are no numbers, or not `count`."""
    try:
        values = [float(part) for part in cell.split(separator)]
    except ValueError:
        values = []
    if len(values) != count:
        raise InputError(f"{place}: {cell[:40]!r} should be {count} numbers; get the file again")
    return values


def encoded(path: Path) -> bytes:
    """A picture's bytes: as they are where they are JPEG or PNG, else as a PNG of the same pixels.

    It is decoded once to prove that it is whole. Errors: InputError naming the file where it is not.
    """
    data = read_regular(path)
    try:
        with Image.open(io.BytesIO(data), formats=(*FORMATS, *CONVERTED)) as image:
            image.load()
            return data if image.format in FORMATS else png(image)
    # Decoders report damage by many exceptions: OSError, SyntaxError (png), struct.error, ValueError, ...
    except Exception as error:
        reason = " ".join(str(error).split())[:80]
        raise InputError(f"{path}: is damaged or no picture ({reason}); get the file again") from error


def png(image: Image.Image) -> bytes:
    """The pixels as a PNG in RGB."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def pictures_in(folder: Path) -> list[str]:
    """Names of the pictures directly in a folder, in order."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name.lower().endswith((".jpg", ".jpeg", ".png")) and not entry.name.startswith(".")
    )


def held_out_name(name: str, *, every: int = 20) -> bool:
    """Whether an identity belongs to the validation split: one in `every`, by its name alone."""
    return zlib.crc32(name.encode()) % every == 0

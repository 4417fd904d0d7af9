"""Files appear whole or not at all, where they were meant to, and over nothing that somebody else made."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from emoca_jax.errors import InputError, checked_path
from emoca_jax.files.ending import undone_at_end
from emoca_jax.files.regular import open_regular

try:
    import fcntl
except ImportError:  # Windows, which lets nobody remove a file that is open
    fcntl = None

MARK = "made by emoca_jax"
"""Stands in every file that a result is written to, as the format has it: comment, text chunk, generator."""
USD_LAYER = "made_by_emoca_jax.usdc"
"""The file in a .usdz that holds the model."""
MARKS = (MARK.encode(), b'"generator":"emoca_jax', b'"versions": {\n    "emoca_jax"', USD_LAYER.encode())
"""The last three: a .glb's, a .json's and a .usdz's own way to say it."""
MARK_REACH = 1 << 16
"""The mark stands within so many bytes of a file's beginning or end."""
PART, PART_END = ".emoca-", ".part"


Content = bytes | Callable[[IO[bytes]], object]
"""Of a file: its bytes, or what writes them, one after another, where there are too many to hold twice."""


def write_file(path: str | Path, data: Content) -> Path:
    """Put `data` at `path`, replacing what was there; readers see the old file or the new one, never half of it.

    The bytes go to a hidden file in the same folder first, which is removed on any failure, ^C included; what killed
    runs left there is removed as well. A link at `path` is replaced, not followed.
    Errors: InputError naming the file where the folder is missing, full or not writable.
    """
    path = Path(path)
    _remove_dead_parts(path.parent)
    return _put(path, data)


def write_results(files: Mapping[Path, bytes]) -> list[Path]:
    """`write_file` for several files, each over nothing but an older result; returns the files.

    Errors: InputError as `write_file`; and, before any is written, where one is there that is no result (`is_result`).
    """
    only_results(files)
    for folder in {path.parent for path in files}:
        _remove_dead_parts(folder)
    return [_put(path, data) for path, data in files.items()]


def only_results(paths: Iterable[Path]) -> None:
    """Errors: InputError where one of these is there and is no result (`is_result`)."""
    for path in paths:
        if os.path.lexists(path) and not is_result(path):
            raise InputError(f"{path}: is there already and is no result of emoca; give another --output, or move it")


def result_path(path: str | Path) -> Path:
    """What the names of several results begin with. Errors: InputError where it is no path, or ends without a name."""
    place = Path(checked_path("path", path))
    if not place.name or place.name == "..":
        raise InputError(f"path must end with a name for the files, such as out/anna_0, not {os.fspath(path)!r}.")
    return place


def is_result(path: Path) -> bool:
    """Whether a file carries `MARK`; False for links and for all that is no readable regular file."""
    if os.path.islink(path):
        return False
    try:
        with open_regular(path) as file:
            start = file.read(MARK_REACH)
            file.seek(max(0, os.fstat(file.fileno()).st_size - MARK_REACH))
            return any(mark in part for part in (start, file.read(MARK_REACH)) for mark in MARKS)
    except (OSError, InputError):
        return False


def open_folder(path: str | Path) -> Path:
    """Make the folder `path` with its parents where needed, and prove that files can be written to it.

    Errors: InputError where it is a file or may not be written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with _new_part(path):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be written to ({reason}); give another folder") from error
    return path


def _put(path: Path, data: Content) -> Path:
    try:
        with _new_part(path.parent) as (handle, part):
            with os.fdopen(os.dup(handle), "wb") as file:
                if callable(data):
                    data(file)
                else:
                    file.write(data)
            if fcntl is None:
                os.close(handle)
            os.replace(part, path)
    except (OSError, ValueError) as error:
        if callable(data) and not isinstance(error, OSError):
            raise  # what writes has a fault, not the place
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be written ({reason}); give another place") from error
    return path


@contextlib.contextmanager
def _new_part(folder: Path) -> Iterator[tuple[int, Path]]:
    """A new hidden file, open and locked, which is gone afterwards unless it has been renamed.

    Nobody can have put a link or a file in its place: its name cannot be guessed, and it has to be new.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    while True:
        part = folder / f"{PART}{secrets.token_hex(16)}{PART_END}"
        with undone_at_end(lambda part=part: part.unlink(missing_ok=True)):
            handle = os.open(part, flags, 0o666)
            try:
                if fcntl is not None:
                    fcntl.flock(handle, fcntl.LOCK_EX)
                # Whoever clears up may have taken it for a dead one before it was locked.
                if part.exists():
                    yield handle, part
                    return
            finally:
                with contextlib.suppress(OSError):
                    os.close(handle)
                part.unlink(missing_ok=True)


def _remove_dead_parts(folder: Path) -> None:
    """Remove the hidden files of runs that were killed: those that nobody holds locked any more."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if not (entry.name.startswith(PART) and entry.name.endswith(PART_END)) or fcntl is None:
                continue
            if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                continue
            with contextlib.suppress(OSError):
                handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(entry.path)
                finally:
                    os.close(handle)

"""Files to read: regular ones only. A pipe would wait for ever, a device never ends."""

from __future__ import annotations

import errno
import os
import re
import stat
from io import BufferedReader
from pathlib import Path

from emoca_jax.errors import InputError

ADVICE = {
    errno.ENOENT: "does not exist; check the name",
    errno.ENOTDIR: "does not exist; check the name",
    errno.EACCES: "may not be read; check its permissions",
    errno.EPERM: "may not be read; check its permissions",
    errno.ELOOP: "is a link that leads in a circle; give the file itself",
    errno.ENAMETOOLONG: "has a longer name than files can have; check the name",
}

LARGEST_DESCRIPTION = 1 << 20
"""Bytes of a .json that this project writes beside its arrays: the open head's has 75 KB, a folder's with every network
9 KB. A core takes .2 s for a megabyte of nothing but brackets."""


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file, or a link to one, for reading.

    Errors: InputError, one sentence that names the file, where it is missing, a folder, a pipe, a device or a socket,
    may not be read, or has a name that no file can have.
    """
    try:
        # Looked at first: opening is enough to wake some devices.
        _check(path, os.stat(path).st_mode)
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (for the caller to close)
        try:
            _check(path, os.fstat(file.fileno()).st_mode)
        except InputError:
            file.close()
            raise
        return file
    # ValueError: a zero byte, or text that the file system's encoding does not have.
    except (OSError, ValueError) as error:
        addressed = is_address(path) and not os.path.lexists(path)
        told = "is an address; save what is there and give the file" if addressed else advice(error)
        raise InputError(f"{path}: {told}") from error


def read_regular(path: str | os.PathLike[str], *, most: int | None = None) -> bytes:
    """All bytes of a regular file. Errors: InputError as `open_regular`, and where it has more than `most` bytes."""
    with open_regular(path) as file:
        if most is not None and os.fstat(file.fileno()).st_size > most:
            raise InputError(f"{path}: has more than {most} bytes; give another file")
        try:
            return file.read()
        except (OSError, MemoryError) as error:
            raise InputError(f"{path}: {advice(error)}") from error


def is_address(name: str | os.PathLike[str]) -> bool:
    """Whether a name that leads to no file begins as https:// does, of which a path keeps one stroke."""
    return bool(re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:/", os.fspath(name)))


def user_path(name: str | os.PathLike[str]) -> Path:
    """The path with ~ for the home folder, where there is such a user; a file may be called ~name, too."""
    return Path(os.path.expanduser(name))


def advice(error: Exception) -> str:
    """What is wrong with a file, and what to do, as a clause."""
    if isinstance(error, OSError):
        return ADVICE.get(
            error.errno or 0, f"cannot be read ({error.strerror or error}); check the name and its permissions"
        )
    return "does not fit into memory" if isinstance(error, MemoryError) else "is no name that a file can have"


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check(path: str | os.PathLike[str], mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: is a folder; give a file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is not a file but a pipe, device or socket; give a file")

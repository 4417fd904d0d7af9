"""Files to read: regular ones only. A pipe would wait for ever, a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from emoca_jax.errors import InputError

ADVICE = {
    errno.ENOENT: "it does not exist; check the name",
    errno.ENOTDIR: "it does not exist; check the name",
    errno.EACCES: "it may not be read; check its permissions",
    errno.EPERM: "it may not be read; check its permissions",
    errno.ELOOP: "it is a link that leads in a circle; give the file itself",
    errno.ENAMETOOLONG: "its name is longer than names can be; check the name",
}


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file, or a link to one, for reading.

    Errors: InputError, one sentence that names the file, where it is missing, a folder, a pipe, a device or a socket,
    may not be read, or has a name that no file can have.
    """
    try:
        # Looked at first: opening is enough to wake some devices.
        _check(path, os.stat(path).st_mode)
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            _check(path, os.fstat(handle).st_mode)
            return os.fdopen(handle, "rb")
        except BaseException:
            os.close(handle)
            raise
    # ValueError: a zero byte, or text that the file system's encoding does not have.
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {advice(error)}") from error


def read_regular(path: str | os.PathLike[str], *, most: int | None = None) -> bytes:
    """All bytes of a regular file. Errors: InputError as `open_regular`, and where it has more than `most` bytes."""
    with open_regular(path) as file:
        if most is not None and os.fstat(file.fileno()).st_size > most:
            raise InputError(f"{path}: is larger than {most >> 20} MiB; give another file")
        try:
            return file.read()
        except (OSError, MemoryError) as error:
            raise InputError(f"{path}: cannot be read: {advice(error)}") from error


def user_path(name: str | os.PathLike[str]) -> Path:
    """The path with ~ for the home folder, where there is such a user; a file may be called ~name, too."""
    return Path(os.path.expanduser(name))


def advice(error: Exception) -> str:
    """What is wrong with a file, and what to do, as a clause."""
    if isinstance(error, OSError):
        return ADVICE.get(error.errno or 0, f"{error.strerror or error}; check the name and its permissions")
    return "it does not fit into memory" if isinstance(error, MemoryError) else "no file can have such a name"


def _check(path: str | os.PathLike[str], mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: cannot be read: it is a folder; give a file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: cannot be read: it is no file but a pipe, device or socket; give a file")

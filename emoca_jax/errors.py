"""The one exception that stands for bad input: its message is a sentence that says what to do."""

from __future__ import annotations

import os


class InputError(Exception):
    """Input that cannot be used. The command line prints the message as it is and exits with code 2."""


LONGEST_REASON = 200


def surprise(error: Exception) -> str:
    """A sentence for an error that nobody foresaw: what it is, in one line."""
    if isinstance(error, MemoryError):
        return "does not fit into memory; close other programs, or give less"
    if isinstance(error, OSError):
        # What no reader or writer of ours foresaw: a working folder that is gone, say, or a disk that fails.
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}; check the folder and its permissions"
    reason = " ".join(str(error).split())[:LONGEST_REASON]
    return f"an error that was not foreseen, please report it ({type(error).__name__}: {reason})"


def checked_size(name: str, value: object, *, least: int = 1, most: int = 1 << 14) -> int:
    """A number of pixels. Errors: InputError naming the argument where it is no whole number from least to most."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return value


def checked_path(name: str, value: object) -> str:
    """What a path names, as text. Errors: InputError naming the argument where it is no path, or an empty one."""
    if isinstance(value, str | os.PathLike) and isinstance(text := os.fspath(value), str) and text:
        return text
    raise InputError(f"{name} must be a path, not {value!r}.")

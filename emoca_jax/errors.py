"""The one exception that stands for bad input: its message is a sentence that says what to do."""

from __future__ import annotations


class InputError(Exception):
    """Input that cannot be used. The command line prints the message as it is and exits with code 2."""


LONGEST_REASON = 200


def surprise(error: Exception) -> str:
    """A sentence for an error that nobody foresaw: what it is, in one line."""
    if isinstance(error, MemoryError):
        return "does not fit into memory; close other programs, or give less"
    reason = " ".join(str(error).split())[:LONGEST_REASON]
    return f"an error that was not foreseen, please report it ({type(error).__name__}: {reason})"

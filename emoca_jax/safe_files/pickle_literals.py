"""The opcodes of a pickle that stand for a value by themselves: functions (view, position) -> (value, position after).

The formats are those of CPython's `pickletools` (protocols 0 to 5). Text of Python 2 is read as Latin-1.
"""

import codecs
import re
import struct
from collections.abc import Callable
from typing import Any

from emoca_jax.safe_files.refusal import Damage

LONG = 1024
"""Byte strings longer than this stay where they are in the file: arrays are made of them without a copy."""
LONGEST_INTEGER = 256
LINE_CHUNK = 128
LINE_CHUNK_LARGE = 1 << 16
"""Random-number states go up to 128 bits; a file that needs longer numbers is not a model."""

ESCAPED = re.compile(rb"(?:[^\\]++|\\(?:[\\'\"nrt]|x[0-9a-fA-F]{2}))*+")
"""What Python 2's repr writes; possessive, so that a long string takes no memory to check."""
# An escape of protocol 0 that stands for a character beyond Latin-1.
WIDE_ESCAPE = re.compile(rb"\\(?:u(?!00)|U(?!000000))")


class LongText:
    """Long UTF-8 text, not decoded yet: protocol 2 writes arrays as Latin-1 text, and only bytes of it are wanted."""

    def __init__(self, view: memoryview) -> None:
        self.view = view


def take(view: memoryview, position: int, count: int) -> memoryview:
    """`count` bytes at `position`. Errors: Damage where there are not as many."""
    if count < 0 or position + count > len(view):
        raise Damage("it ends too early")
    return view[position : position + count]


def line(view: memoryview, position: int) -> tuple[memoryview, int]:
    """The bytes up to the next newline, where they are, and the position after it."""
    chunk, at = LINE_CHUNK, position
    while at < len(view):
        found = bytes(view[at : at + chunk]).find(b"\n")
        if found >= 0:
            return view[position : at + found], at + found + 1
        at += chunk
        chunk = LINE_CHUNK_LARGE
    raise Damage("it ends too early")


def _fixed(layout: str) -> Callable[[memoryview, int], tuple[Any, int]]:
    size = struct.calcsize(layout)

    def read(view: memoryview, position: int) -> tuple[Any, int]:
        return struct.unpack_from(layout, view, position)[0], position + size

    return read


def sized(layout: str) -> Callable[[memoryview, int], tuple[memoryview, int]]:
    """A reader of bytes behind their length, the length laid out as `layout`."""
    size = struct.calcsize(layout)

    def read(view: memoryview, position: int) -> tuple[memoryview, int]:
        (count,) = struct.unpack_from(layout, view, position)
        start = position + size
        return take(view, start, count), start + count

    return read


def _bytes(layout: str) -> Callable[[memoryview, int], tuple[bytes | memoryview, int]]:
    read_sized = sized(layout)

    def read(view: memoryview, position: int) -> tuple[bytes | memoryview, int]:
        raw, after = read_sized(view, position)
        return (raw if len(raw) > LONG else bytes(raw)), after

    return read


def _old_string(layout: str) -> Callable[[memoryview, int], tuple[str | memoryview, int]]:
    read_sized = sized(layout)

    def read(view: memoryview, position: int) -> tuple[str | memoryview, int]:
        raw, after = read_sized(view, position)
        return (raw if len(raw) > LONG else str(raw, "latin-1")), after

    return read


def text(layout: str) -> Callable[[memoryview, int], tuple[str | LongText, int]]:
    """A reader of UTF-8 text behind its length; long text comes as `LongText`."""
    read_sized = sized(layout)

    def read(view: memoryview, position: int) -> tuple[str | LongText, int]:
        raw, after = read_sized(view, position)
        return (LongText(raw) if len(raw) > LONG else str(raw, "utf-8", "surrogatepass")), after

    return read


def _long(layout: str) -> Callable[[memoryview, int], tuple[int, int]]:
    read_sized = sized(layout)

    def read(view: memoryview, position: int) -> tuple[int, int]:
        raw, after = read_sized(view, position)
        if len(raw) > LONGEST_INTEGER:
            raise Damage("it holds a number of absurd length")
        return int.from_bytes(raw, "little", signed=True), after

    return read


def integer(raw: bytes | memoryview) -> int:
    """A decimal number of at most 256 digits."""
    return int(_short(raw))


def _short(raw: bytes | memoryview) -> bytes:
    if len(raw) > LONGEST_INTEGER:
        raise Damage("it holds a number of absurd length")
    return bytes(raw)


def _integer_line(view: memoryview, position: int) -> tuple[int | bool, int]:
    raw, after = line(view, position)
    digits = _short(raw)
    if digits in (b"00", b"01"):
        return digits == b"01", after
    return int(digits.removesuffix(b"L")), after


def _float_line(view: memoryview, position: int) -> tuple[float, int]:
    raw, after = line(view, position)
    return float(_short(raw)), after


def _string_line(view: memoryview, position: int) -> tuple[str, int]:
    raw, after = line(view, position)
    if len(raw) < 2 or raw[0] != raw[-1] or raw[0] not in b"'\"":
        raise Damage("it holds a string without quotes")
    contents = raw[1:-1]
    if not ESCAPED.fullmatch(contents):
        raise Damage("it holds a string with unknown escapes")
    return str(codecs.escape_decode(contents)[0], "latin-1"), after


LITERALS: dict[int, Callable[[memoryview, int], tuple[Any, int]]] = {
    code[0]: read
    for code, read in {
        b"I": _integer_line,
        b"J": _fixed("<i"),
        b"K": _fixed("<B"),
        b"M": _fixed("<H"),
        b"L": _integer_line,
        b"\x8a": _long("<B"),
        b"\x8b": _long("<i"),
        b"F": _float_line,
        b"G": _fixed(">d"),
        b"S": _string_line,
        b"T": _old_string("<i"),
        b"U": _old_string("<B"),
        b"B": _bytes("<I"),
        b"C": _bytes("<B"),
        b"\x8e": _bytes("<Q"),
        b"\x96": _bytes("<Q"),
        b"N": lambda view, position: (None, position),
        b"\x88": lambda view, position: (True, position),
        b"\x89": lambda view, position: (False, position),
        b")": lambda view, position: ((), position),
    }.items()
}

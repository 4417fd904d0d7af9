"""A png whose texts are too large for Pillow, without them: the pixels are whole."""

from __future__ import annotations

import io
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
PILLOWS_LARGEST_TEXT = 1 << 20
"""Bytes of one text or colour profile that Pillow takes by itself."""
LARGEST_TEXT = 4 << 20
"""The same for photos, whose colours need the profile: the largest profiles of printers have two to three million."""
MOST_TEXT = 16 << 20
"""Bytes of all of them."""


def without_large_texts(
    file: io.BufferedReader | io.BytesIO, *, largest: int = LARGEST_TEXT
) -> io.BufferedReader | io.BytesIO:
    """The file from its start, or a copy in memory without texts and profiles of more than `largest` bytes.

    Pillow refuses the whole picture for them. Anything but a png is handed back untouched.
    """
    file.seek(0)
    dropped = _large_texts(file, largest) if file.read(len(SIGNATURE)) == SIGNATURE else []
    file.seek(0)
    if not dropped:
        return file
    kept = io.BytesIO()
    for start, end in dropped:
        kept.write(file.read(start - file.tell()))
        file.seek(end)
    kept.write(file.read())
    kept.seek(0)
    return kept


def _large_texts(file: io.BufferedReader | io.BytesIO, largest: int) -> list[tuple[int, int]]:
    """Where the chunks that are too large begin and end; damaged files are left to who decodes them."""
    found, total, start = [], 0, len(SIGNATURE)
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name in TEXTS:
            size = _size(name, file.read(min(length, largest + 1)), largest)
            if size > largest or total + size > MOST_TEXT:
                found.append((start, start + 12 + length))
            else:
                total += size
        start += 12 + length
        file.seek(start)
    return found


def _size(name: bytes, content: bytes, largest: int) -> int:
    """Bytes of a text or profile when unpacked, as far as the limit."""
    packed = content.partition(b"\0")[2]
    if name in (b"zTXt", b"iCCP"):
        packed = packed[1:]
    elif name == b"iTXt" and packed[:1] == b"\1":
        # Method, language and translated keyword stand before the text.
        packed = packed[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        return len(content)
    try:
        return len(zlib.decompressobj().decompress(packed, largest + 1))
    except zlib.error:
        return len(content)

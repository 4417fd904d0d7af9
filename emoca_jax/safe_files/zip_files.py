"""Zip archives that may come from anybody: directory, sizes and overlaps are checked before a byte is unpacked.

Layout: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14-16 (end records).
"""

import struct
import zlib
from typing import NamedTuple

from emoca_jax.errors import InputError
from emoca_jax.safe_files.mapped_files import MappedFile
from emoca_jax.safe_files.refusal import damaged, quoted, reading

STORED, DEFLATED = 0, 8
END, END64, LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
CENTRAL, LOCAL = b"PK\1\2", b"PK\3\4"
END_REACH = 22 + 0xFFFF
NOT_HERE_32 = 0xFFFFFFFF
NOT_HERE_16 = 0xFFFF
"""The longest comment a 16-bit length allows lies between the end record and the end of the file."""
LONGEST_EXTRA = 1024
ENCRYPTED = 0x1 | 0x40
"""28 bytes for the 64-bit fields, the rest for time stamps and the like; padding belongs into the local header."""
MOST_MEMBERS = 50_000
"""A checkpoint has a few thousand members; each costs a few hundred bytes of bookkeeping."""
GROWTH, SMALL = 8, 256 << 20
CHUNK = 1 << 20
FORGET_EVERY = 64 << 20
WORTH_FORGETTING = 1 << 20
"""Float arrays deflate to half or more, index tables to an eighth; beyond that only small archives may grow."""


class Member(NamedTuple):
    """One file in the archive: `start` is where its (packed) bytes begin."""

    name: str
    method: int
    start: int
    packed: int
    size: int
    crc: int


def is_zip(view: memoryview) -> bool:
    """Whether the bytes begin as a zip archive does."""
    return bytes(view[:4]) in (LOCAL, END)


def read_directory(file: MappedFile) -> dict[str, Member]:
    """Name -> member of the archive, in directory order.

    Errors: InputError for an archive that is damaged, encrypted, packed by a method other than "stored" and
    "deflated", has members that share bytes or names, or would unpack to more than 8 times its size (and 256 MiB).
    """
    view, place = file
    with reading(place):
        count, size, start, end = _find_directory(view, place)
        if count > MOST_MEMBERS:
            raise InputError(f"{place} holds {count} files, more than any model does ({MOST_MEMBERS}): not read.")
        if start + size > end:
            raise damaged(place, "its zip directory lies outside the file, as in a download that broke off")
        members: dict[str, Member] = {}
        spans = []
        position = start
        for _ in range(count):
            member, header, position = _member(view, position, start + size, place)
            if member.name in members:
                raise damaged(place, f"two of its members are called {quoted(member.name)}")
            members[member.name] = member
            spans.append((header, member.start + member.packed, member.name))
        _check_apart(spans, start, place)
        grown = sum(member.size for member in members.values() if member.method == DEFLATED)
        if grown > max(SMALL, GROWTH * len(view)):
            raise InputError(f"{place} would unpack to {grown} bytes from {len(view)}: no model does that, not read.")
        return members


def read_member(file: MappedFile, member: Member, *, check: bool = True) -> memoryview:
    """The member's bytes: mapped if stored, unpacked into memory if deflated; `check` compares the checksum."""
    view, place = file
    packed = view[member.start : member.start + member.packed]
    with reading(place):
        if member.method == STORED:
            if check:
                _check_crc(_crc(file, packed), member, place)
            return packed
        unpacked = bytearray(member.size)
        done = 0
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        for at in range(0, len(packed), CHUNK):
            rest = packed[at : at + CHUNK]
            while rest and not inflater.eof:
                piece = inflater.decompress(rest, min(CHUNK, member.size - done) + 1)
                rest = inflater.unconsumed_tail
                if done + len(piece) > member.size:
                    raise damaged(place, f"{quoted(member.name)} unpacks to more than it says")
                unpacked[done : done + len(piece)] = piece
                done += len(piece)
        if done != member.size or not inflater.eof:
            raise damaged(place, f"{quoted(member.name)} unpacks to less than it says")
        if check:
            _check_crc(zlib.crc32(unpacked), member, place)
        return memoryview(unpacked).toreadonly()


def _find_directory(view: memoryview, place: str) -> tuple[int, int, int, int]:
    """Number of members, directory bytes, directory start, and where the end records begin."""
    tail_start = max(0, len(view) - END_REACH)
    end = tail_start + bytes(view[tail_start:]).rfind(END)
    if end < tail_start or end + 22 > len(view):
        raise damaged(place, "its zip directory is missing, as in a download that broke off")
    _, disk, _, _, count, size, start, _ = struct.unpack_from("<4s4H2IH", view, end)
    locator = end - 20
    if locator >= 0 and bytes(view[locator : locator + 4]) == LOCATOR64:
        (end64,) = struct.unpack_from("<Q", view, locator + 8)
        if end64 + 56 > locator or bytes(view[end64 : end64 + 4]) != END64:
            raise damaged(place, "its zip directory is missing")
        count, size, start = struct.unpack_from("<3Q", view, end64 + 32)
        end = end64
    elif disk == NOT_HERE_16 or start == NOT_HERE_32:
        raise damaged(place, "its zip directory is incomplete")
    return count, size, start, end


def _member(view: memoryview, position: int, limit: int, place: str) -> tuple[Member, int, int]:
    """The member described at `position`, where its local header is, and where the next description begins."""
    fields = struct.unpack_from("<4s6H3I5H2I", view, position)
    signature, _, _, flags, method, _, _, crc, packed, size = fields[:10]
    name_length, extra_length, comment_length = fields[10:13]
    header = fields[16]
    name_start = position + 46
    extra_start = name_start + name_length
    following = extra_start + extra_length + comment_length
    if signature != CENTRAL or following > limit or extra_length > LONGEST_EXTRA:
        raise damaged(place, "its zip directory is damaged")
    raw_name = bytes(view[name_start:extra_start])
    name = raw_name.decode("utf-8", "surrogateescape")
    size, packed, header = _wide_fields(view[extra_start : extra_start + extra_length], size, packed, header)
    if flags & ENCRYPTED:
        raise InputError(f"{place} is encrypted: unpack it first.")
    if method not in (STORED, DEFLATED):
        raise InputError(f"{place} is packed by zip method {method}: unpack it and pack it again with zip.")
    if method == STORED and packed != size:
        raise damaged(place, f"the sizes of {quoted(name)} contradict each other")
    local = struct.unpack_from("<4s5H3I2H", view, header)
    start = header + 30 + local[9] + local[10]
    if local[0] != LOCAL or bytes(view[header + 30 : header + 30 + local[9]]) != raw_name:
        raise damaged(place, f"{quoted(name)} is not where the zip directory says")
    return Member(name, method, start, packed, size, crc), header, following


def _wide_fields(extra: memoryview, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Size, packed size and header offset, from the 64-bit extra field where the 32-bit ones say so."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            numbers = iter(struct.unpack_from(f"<{length // 8}Q", extra, position + 4))
            size, packed, header = (
                next(numbers) if value == NOT_HERE_32 else value for value in (size, packed, header)
            )
        position += 4 + length
    return size, packed, header


def _check_apart(spans: list[tuple[int, int, str]], directory: int, place: str) -> None:
    """Members that share bytes are how a small file claims to be a large one."""
    spans = sorted(spans)
    for (_, end, name), (following, _, _) in zip(spans, [*spans[1:], (directory, 0, "")], strict=True):
        if end > following:
            raise damaged(place, f"{quoted(name)} reaches into what follows it")


def _crc(file: MappedFile, data: memoryview) -> int:
    crc = 0
    for at in range(0, len(data), FORGET_EVERY):
        crc = zlib.crc32(data[at : at + FORGET_EVERY], crc)
        if len(data) > WORTH_FORGETTING:
            file.forget()
    return crc


def _check_crc(crc: int, member: Member, place: str) -> None:
    # PyTorch can be told to save without checksums and writes zeros then.
    if member.crc not in (crc, 0):
        raise damaged(place, f"the checksum of {quoted(member.name)} does not match")

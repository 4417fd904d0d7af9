"""Ways to damage a file on purpose: anywhere, in its numbers, its zip structure, the operations of its pickles."""

import io
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable

# Numbers at which sizes overflow, turn negative, or exceed any memory.
NUMBERS = (
    0,
    1,
    2,
    7,
    0x7F,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    10**12,
    (1 << 63) - 1,
    (1 << 64) - 1,
)
# Names an attacker would ask for, and names that are admitted: in the wrong place they must do no harm either.
NAMES = (
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("subprocess", "Popen"),
    ("copyreg", "__newobj__"),
    ("copyreg", "_reconstructor"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("builtins", "set"),
    ("builtins", "list"),
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("pathlib", "PosixPath"),
    ("argparse", "Namespace"),
    ("chumpy.ch", "Ch"),
    ("chumpy.reordering", "Select"),
    ("chumpy.reordering", "Concatenate"),
    ("scipy.sparse.csc", "csc_matrix"),
    ("omegaconf.dictconfig", "DictConfig"),
    ("torch", "FloatStorage"),
    ("torch", "BFloat16Storage"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.storage", "_load_from_bytes"),
)
OPERATIONS = [bytes([code]) for code in range(256)]
SHORT_OPERATIONS = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes if opcode.arg is None]

Mutation = Callable[[random.Random, bytes, list[bytes]], bytes]


def mutated(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One damaged copy of `data`; `others` is what splices are taken from."""
    if data[:4] == b"PK\3\4" and chance.random() < 0.7:
        return _in_archive(chance, data, others)
    return _several(chance, data, others)


def _several(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    pickles = _find_pickles(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        if pickles and chance.random() < 0.6:
            data = _in_pickle(chance, data)
        else:
            data = chance.choice(ANYWHERE)(chance, data, others)
    return data


def _flip(chance: random.Random, data: bytes, _others: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8)) if data else 0):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _byte(chance: random.Random, data: bytes, _others: list[bytes]) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice(OPERATIONS) + data[place + chance.randrange(2) :]


def _cut(chance: random.Random, data: bytes, _others: list[bytes]) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _remove(chance: random.Random, data: bytes, _others: list[bytes]) -> bytes:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[min(end, start + 64) :]


def _repeat(chance: random.Random, data: bytes, _others: list[bytes]) -> bytes:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    end = min(end, start + 512)
    return data[:end] + data[start:end] * chance.choice((1, 2, 50)) + data[end:]


def _splice(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _number(chance: random.Random, data: bytes, _others: list[bytes]) -> bytes:
    """Overwrite 1 to 8 bytes with a number that is apt to overflow: most such places hold a length or an offset."""
    size = chance.choice((1, 2, 4, 4, 8, 8))
    number = chance.choice((*NUMBERS, len(data))) & ((1 << 8 * size) - 1)
    place = chance.randrange(len(data) + 1)
    return data[:place] + number.to_bytes(size, chance.choice(("little", "big"))) + data[place + size :]


def _digits(chance: random.Random, data: bytes, _others: list[bytes]) -> bytes:
    """Change a decimal number: shapes in `.npy` headers, octal sizes in tar headers, protocol 0."""
    places = [place for place, byte in enumerate(data[:4096]) if chr(byte).isdigit()]
    if not places:
        return data
    place = chance.choice(places)
    return data[:place] + chance.choice((b"9", b"0", b"99999999999", b"-1", b"7777")) + data[place + 1 :]


ANYWHERE: tuple[Mutation, ...] = (_flip, _flip, _byte, _cut, _remove, _repeat, _splice, _number, _number, _digits)


def _find_pickles(data: bytes) -> bool:
    return b"\x80" in data[:200] or data[:1] in b"(}]" or b"numpy" in data[:300]


def _operations(data: bytes) -> list[tuple[int, int, str]]:
    """(start, end, name) of the operations of the pickles in the data, as far as they make sense."""
    start = data.find(b"\x80", 0, 512) if data[:1] not in b"(}]" else 0
    found: list[tuple[int, int, str]] = []
    stream = io.BytesIO(data)
    while 0 <= start < len(data) and len(found) < 5000:
        stream.seek(start)
        try:
            before: tuple[int, str] | None = None
            for opcode, _, place in pickletools.genops(stream):
                assert place is not None  # a stream tells its place
                if before is not None:
                    found.append((before[0], place, before[1]))
                before = (place, opcode.name)
        except (ValueError, IndexError, OverflowError, MemoryError, UnicodeError):
            break
        start = stream.tell()
    return found


def _in_pickle(chance: random.Random, data: bytes) -> bytes:
    """Remove, repeat, replace or insert an operation, or change its argument."""
    operations = _operations(data)
    if not operations:
        return data
    start, end, name = chance.choice(operations)
    other_start, other_end, _ = chance.choice(operations)
    how = chance.choice(("remove", "repeat", "replace", "name", "snippet", "operation", "argument"))
    after = end
    if how == "name":
        globals_ = [operation for operation in operations if operation[2] in ("GLOBAL", "STACK_GLOBAL")]
        start, after, _ = chance.choice(globals_ or operations)
        new = "c{}\n{}\n".format(*chance.choice(NAMES)).encode()
    elif how == "remove":
        new = b""
    elif how == "repeat":
        new = data[start:end] * chance.choice((2, 3, 100))
    elif how == "replace":
        new = data[other_start:other_end]
    elif how == "argument" and name.startswith(("BININT", "LONG", "INT")):
        new = b"\x8a\x09" + chance.choice(NUMBERS).to_bytes(9, "little")
    elif how == "argument":
        size = min(4, end - start - 1)
        new = data[start : start + 1] + chance.choice(NUMBERS).to_bytes(8, "little")[:size]
        after = start + 1 + size
    else:
        new = chance.choice(SNIPPETS)(chance) if how == "snippet" else chance.choice(SHORT_OPERATIONS)
        after = chance.choice((start, end))
    return data[:start] + new + data[after:]


def _call(chance: random.Random) -> bytes:
    module, short = chance.choice(NAMES)
    arguments = chance.choice((b")", b"K\1\x85", b"]\x85", b"X\4\0\0\0true\x85", b"h\0\x85", b"h\1h\2\x86", b"}\x85"))
    return f"c{module}\n{short}\n".encode() + arguments + chance.choice((b"R", b"\x81"))


SNIPPETS: tuple[Callable[[random.Random], bytes], ...] = (
    _call,
    lambda chance: _call(chance) + b"0",
    lambda _: b"}X\x0c\0\0\0__setstate__cos\nsystem\nsb",
    lambda chance: b"h" + bytes([chance.randrange(40)]),
    lambda chance: b"h" + bytes([chance.randrange(40)]) + b"h" + bytes([chance.randrange(40)]) + b"R",
    lambda chance: (
        b"h" + bytes([chance.randrange(40)]) + chance.choice((b"b", b"a", b"s", b"\x85", b"\x86", b"\x87", b"Q"))
    ),
    lambda _: b"2b",
    lambda chance: b"(" * chance.choice((1, 500)),
    lambda chance: b"]" * chance.choice((1, 500)) + b"a" * chance.choice((1, 499)),
    lambda chance: b"2\x86" * chance.choice((1, 60)),
    lambda chance: b"\x8a\x09" + chance.choice(NUMBERS).to_bytes(9, "little"),
    lambda chance: b"X" + struct.pack("<I", chance.choice(NUMBERS) & 0xFFFFFFFF),
    lambda chance: b"i" + "\n".join(chance.choice(NAMES)).encode() + b"\n",
    lambda chance: b"\x82" + bytes([chance.randrange(256)]),
)


def _in_archive(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Damage members and pack them anew with right checksums, then perhaps a field of the directory."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for _ in range(chance.choice((1, 1, 2))):
        # The pickle is the member worth most, then the small ones that say how to read it.
        place = chance.choice(
            [place for place, (name, _) in enumerate(members) for _ in range(6 if "pkl" in name else 1)]
        )
        name, content = members[place]
        members[place] = (name, _several(chance, content, others))
    if chance.random() < 0.1:
        chance.shuffle(members)
    if chance.random() < 0.1:
        members.pop(chance.randrange(len(members)))
    if chance.random() < 0.1:
        place = chance.randrange(len(members))
        members[place] = (chance.choice(members)[0][:-1] + chance.choice("01ly"), members[place][1])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", chance.choice((zipfile.ZIP_STORED,) * 3 + (zipfile.ZIP_DEFLATED,))) as archive:
        for name in dict(members):
            archive.writestr(name, dict(members)[name])
    data = packed.getvalue()
    if chance.random() < 0.2:
        data = _directory_field(chance, data)
    return data


def _directory_field(chance: random.Random, data: bytes) -> bytes:
    """Overwrite a size, offset, count or flag of the zip directory or its end record."""
    signature, fields = chance.choice(
        (
            (b"PK\1\2", ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4))),
            (b"PK\3\4", ((6, 2), (8, 2), (18, 4), (22, 4), (26, 2), (28, 2))),
            (b"PK\5\6", ((8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
        )
    )
    places = []
    place = data.find(signature)
    while place >= 0:
        places.append(place)
        place = data.find(signature, place + 4)
    offset, size = chance.choice(fields)
    start = chance.choice(places) + offset
    number = chance.choice((*NUMBERS, len(data), data.find(b"PK\1\2"))) & ((1 << 8 * size) - 1)
    return data[:start] + number.to_bytes(size, "little") + data[start + size :]

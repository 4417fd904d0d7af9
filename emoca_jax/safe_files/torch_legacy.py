"""PyTorch's formats from before 1.6: a row of pickles behind a magic number, and (0.1) a tar archive of three files.

Formats as `torch.serialization` reads them.
"""

import struct
from collections.abc import Mapping
from typing import Any

from emoca_jax.safe_files.budget import Budget
from emoca_jax.safe_files.pickle_machine import Builder, Machine, checked_key
from emoca_jax.safe_files.refusal import Damage
from emoca_jax.safe_files.stand_ins import as_size
from emoca_jax.safe_files.torch_tensors import KINDS, Storage, storage_of, view

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
TAR_BLOCK = 512
MOST_DIMENSIONS = 64

Names = Mapping[tuple[str, str], Builder]


def is_legacy(data: memoryview) -> bool:
    """Whether the bytes begin with the pickled magic number (any protocol)."""
    return MAGIC.to_bytes(10, "little") in bytes(data[:32]) or str(MAGIC).encode() in bytes(data[:32])


def is_tar(data: memoryview) -> bool:
    """Whether the bytes begin as a tar archive does: a header block whose checksum is right."""
    header = bytes(data[:TAR_BLOCK])
    if len(header) < TAR_BLOCK or not header[:100].strip(b"\0"):
        return False
    try:
        return _octal(header[148:156]) == sum(header) - sum(header[148:156]) + 8 * 32
    except ValueError:
        return False


def read_legacy(data: memoryview, place: str, names: Names, budget: Budget, *, depth: int = 0) -> Any:
    """The value of a legacy file; its storages follow its pickle, so the pickle is read twice: survey, then build."""
    position = 0

    def next_pickle(persistent_load: Any = None, at: int | None = None) -> Any:
        nonlocal position
        machine = Machine(
            data,
            place=place,
            names=names,
            budget=budget,
            position=position if at is None else at,
            persistent_load=persistent_load,
            depth=depth,
        )
        value = machine.run()
        position = machine.position
        return value

    if next_pickle() != MAGIC or next_pickle() != PROTOCOL:
        raise Damage("it does not begin as a PyTorch file does")
    next_pickle()
    contents = position
    storages: dict[Any, Storage] = {}

    def survey(identity: Any) -> Any:
        if identity[0] == "module":
            return identity[1]
        _, kind, key, _, count, part = identity
        found = storage_of(place, kind, count, None)
        storages.setdefault(_key(key), found)
        return Storage(None, found.kind) if part is not None else storages[_key(key)]

    next_pickle(survey)
    for key in next_pickle():
        raw, position = _storage_bytes(data, position, KINDS[storages[_key(key)].kind].itemsize)
        storages[_key(key)].raw = raw
    if any(storage.raw is None for storage in storages.values()):
        raise Damage("a tensor's data are missing")

    parts: dict[tuple[Any, str], Storage] = {}

    def build(identity: Any) -> Any:
        if identity[0] == "module":
            return identity[1]
        _, _, key, _, _, part = identity
        storage = storages[_key(key)]
        if part is None:
            return storage
        part_key, offset, part_count = part
        name = (_key(part_key), storage.kind)
        if name not in parts:
            parts[name] = _part(storage, as_size(offset), as_size(part_count))
        return parts[name]

    return next_pickle(build, contents)


def read_tar(data: memoryview, place: str, names: Names, budget: Budget) -> Any:
    """The value of a tar file of PyTorch 0.1: `storages`, `tensors`, and the `pickle` that refers to the tensors."""
    files = _tar_members(data)

    def pickle_at(content: memoryview, position: int, persistent_load: Any = None) -> tuple[Any, int]:
        machine = Machine(
            content, place=place, names=names, budget=budget, position=position, persistent_load=persistent_load
        )
        return machine.run(), machine.position

    storages: dict[int, Storage] = {}
    content = files["storages"]
    count, position = pickle_at(content, 0)
    for _ in range(as_size(count)):
        (key, _, kind), position = pickle_at(content, position)
        outline = storage_of(place, kind, 0, None)
        raw, position = _storage_bytes(content, position, KINDS[outline.kind].itemsize)
        storages[_key(key)] = Storage(raw, outline.kind)
    parts, _ = pickle_at(content, position)
    for key, root, offset, size in parts:
        storages[_key(key)] = _part(storages[_key(root)], as_size(offset), as_size(size))

    tensors: dict[int, Any] = {}
    content = files["tensors"]
    count, position = pickle_at(content, 0)
    for _ in range(as_size(count)):
        (key, storage_key, _), position = pickle_at(content, position)
        # Four bytes of dimension count and four of padding: it once was an 8-byte number.
        (dimensions,) = struct.unpack_from("<i", content, position)
        if not 0 <= dimensions <= MOST_DIMENSIONS:
            raise Damage("a tensor has an absurd number of dimensions")
        numbers = struct.unpack_from(f"<{2 * dimensions + 1}q", content, position + 8)
        position += 8 + 8 * len(numbers)
        machine = Machine(content, place=place, names=names, budget=budget)
        storage = storages[_key(storage_key)]
        tensors[_key(key)] = view(machine, storage, numbers[-1], numbers[:dimensions], numbers[dimensions:-1])

    def find(identity: Any) -> Any:
        return identity[0] if isinstance(identity, tuple) else tensors[int(identity)]

    return pickle_at(files["pickle"], 0, find)[0]


def _key(key: Any) -> Any:
    """A storage's key: a number, or its digits."""
    if isinstance(key, int):
        return checked_key(key)  # others may be chosen so that they collide
    if isinstance(key, bytes):
        key = key.decode("ascii")
    if not isinstance(key, str):
        raise TypeError("a key expected")
    return key


def _storage_bytes(data: memoryview, position: int, item: int) -> tuple[memoryview, int]:
    """The bytes behind an 8-byte element count, and the position after them."""
    (count,) = struct.unpack_from("<q", data, position)
    end = position + 8 + as_size(count) * item
    if end > len(data):
        raise Damage("it ends too early")
    return data[position + 8 : end], end


def _part(storage: Storage, offset: int, count: int) -> Storage:
    """A storage that is a stretch of another one: the same memory."""
    assert storage.raw is not None
    item = KINDS[storage.kind].itemsize
    if (offset + count) * item > len(storage.raw):
        raise Damage("a tensor's data are shorter than announced")
    return Storage(storage.raw[offset * item : (offset + count) * item], storage.kind, big_endian=storage.big_endian)


def _octal(field: bytes) -> int:
    return int(field.strip(b" \0") or b"0", 8)


def _tar_members(data: memoryview) -> dict[str, memoryview]:
    members: dict[str, memoryview] = {}
    position = 0
    while position + TAR_BLOCK <= len(data) and len(members) < 16:
        header = bytes(data[position : position + TAR_BLOCK])
        if not header.strip(b"\0"):
            break
        size = as_size(_octal(header[124:136]))
        start = position + TAR_BLOCK
        if start + size > len(data):
            raise Damage("it ends too early")
        name = header[:100].split(b"\0", 1)[0].decode("latin-1").removeprefix("./")
        members[name] = data[start : start + size]
        position = start + -(-size // TAR_BLOCK) * TAR_BLOCK
    return members

"""NumPy's files and plain pickles, read without running anything: `.npy`, `.npz`, `.pkl`."""

import math
import os
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from emoca_jax.errors import InputError
from emoca_jax.safe_files.budget import Budget
from emoca_jax.safe_files.mapped_files import MappedFile, map_file
from emoca_jax.safe_files.numpy_names import array_from_raw, dtype_of
from emoca_jax.safe_files.pickle_literals import integer
from emoca_jax.safe_files.pickle_machine import Machine
from emoca_jax.safe_files.refusal import damaged, reading
from emoca_jax.safe_files.unpickle import NAMES, checked_tree, load
from emoca_jax.safe_files.zip_files import Member, is_zip, read_directory, read_member

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
DESCRIPTION = re.compile(r"'descr':\s*'([^']{1,12})'")
ORDER = re.compile(r"'fortran_order':\s*(True|False)")
SHAPE = re.compile(r"'shape':\s*\(([\d\sL,]*)\)")
"""NumPy pads headers to 64 bytes and refuses to read more than 10,000."""


def read_pickle(path: str | os.PathLike[str]) -> Any:
    """The value of a pickle file as `unpickle.load` gives it; arrays lie in the mapped file.

    Errors: InputError where it is damaged or refused.
    """
    file = map_file(path)
    return load(file.view, place=file.place)


def read_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of a `.npy` file, read-only and mapped; arrays of objects go through `unpickle.load`.

    Errors: InputError where the file is damaged, holds records, or its objects are refused.
    """
    file = map_file(path)
    return _array(file.view, file.place)


class NpzArrays(Mapping[str, np.ndarray]):
    """The arrays of an archive by name; keeps none of them, so ask once for what you need."""

    def __init__(self, file: MappedFile, members: dict[str, Member], *, check: bool) -> None:
        self._file = file
        self._members = {name.removesuffix(".npy"): member for name, member in members.items() if name.endswith(".npy")}
        self._check = check

    def __getitem__(self, name: str) -> np.ndarray:
        member = self._members[name]
        return _array(read_member(self._file, member, check=self._check), f"{self._file.place} ({name})")

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def read_npz(path: str | os.PathLike[str], *, check: bool = True) -> NpzArrays:
    """The arrays of a `.npz` file by name, each read when asked for: mapped if stored, unpacked if compressed.

    `check` compares an array's checksum when it is asked for. Errors: InputError as `read_npy`, then too.
    """
    return _npz(map_file(path), check=check)


def npz_of_bytes(data: bytes, place: str) -> NpzArrays:
    """`read_npz` for a file that has been read; `place`: how messages name it."""
    return _npz(MappedFile(memoryview(data), place), check=True)


def _npz(file: MappedFile, *, check: bool) -> NpzArrays:
    if not is_zip(file.view):
        raise InputError(f"{file.place} is not an .npz file: give a file that numpy.savez wrote.")
    return NpzArrays(file, read_directory(file), check=check)


def is_npy(data: memoryview) -> bool:
    """Whether the bytes begin as a `.npy` file does."""
    return bytes(data[:6]) == MAGIC


def _array(data: memoryview, place: str) -> np.ndarray:
    with reading(place):
        if not is_npy(data):
            raise InputError(f"{place} is not an .npy array: give a file that numpy.save wrote.")
        major = data[6]
        if major not in (1, 2, 3):
            raise damaged(place, "it is of an unknown .npy version")
        layout, start = ("<H", 10) if major == 1 else ("<I", 12)
        (length,) = struct.unpack_from(layout, data, 8)
        if length > LONGEST_HEADER or start + length > len(data):
            raise damaged(place, "its header does not fit")
        header = bytes(data[start : start + length]).decode("latin-1")
        contents = data[start + length :]
        description, order, shape = (pattern.search(header) for pattern in (DESCRIPTION, ORDER, SHAPE))
        if description is None or order is None or shape is None:
            raise damaged(place, "its header describes no plain array")
        dtype = dtype_of(description[1])
        if dtype.hasobject:
            value = load(contents, place=place)
            if not isinstance(value, np.ndarray):
                raise damaged(place, "its objects form no array")
            return value
        sizes = [integer(size.rstrip("L").encode()) for size in shape[1].replace(",", " ").split()]
        needed = dtype.itemsize * math.prod(sizes)
        if needed > len(contents):
            raise damaged(place, f"it announces {needed} bytes of numbers and holds {len(contents)}")
        machine = Machine(contents, place=place, names=NAMES, budget=Budget(len(data)))
        return checked_tree(array_from_raw(machine, contents[:needed], dtype, sizes, fortran=order[1] == "True"), place)

"""What the names in a pickle become: plain values and inert objects. None of these runs anything of the file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emoca_jax.errors import InputError
from emoca_jax.safe_files.refusal import Damage

MOST_DIMENSIONS = 64
MOST_DENSE = 1 << 26
"""A FLAME joint regressor has 5 x 5023 entries, the largest body models' a few hundred times that."""


@dataclass(frozen=True, slots=True)
class Name:
    """An admitted name. `build(machine, arguments)` makes what calling it would have made; it imports nothing."""

    module: str
    name: str
    build: Callable[[Any, tuple], Any]

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Opaque:
    """An object of a class that is known but of no use here: its name and what the file says about it, never run."""

    def __init__(self, name: str, arguments: tuple) -> None:
        self.name = name
        self.arguments = arguments
        self.state: Any = None

    def __repr__(self) -> str:
        return f"Opaque({self.name})"


class Attributes(dict):
    """An object that only carries attributes (argparse's Namespace), as a dictionary."""


class Unfinished:
    """An object whose value comes with the state that follows it in the pickle: `finish(machine, state)` makes it."""

    def __init__(self, what: str, finish: Callable[[Any, Any], Any]) -> None:
        self.what = what
        self.finish = finish
        self.memo_slots: list[int | str] = []


@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """A SciPy sparse matrix in coordinates: `values[i]` at `rows[i]`, `columns[i]`; duplicates add up."""

    shape: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    def toarray(self) -> np.ndarray:
        """The dense matrix [rows, columns]. Errors: InputError above 67 million entries."""
        if self.shape[0] * self.shape[1] > MOST_DENSE:
            raise InputError(
                f"A sparse matrix of {self.shape[0]} x {self.shape[1]} is too large to fill: keep it sparse."
            )
        dense = np.zeros(self.shape, self.values.dtype)
        np.add.at(dense, (self.rows, self.columns), self.values)
        return dense


def opaque(module: str, name: str) -> Callable[[Any, tuple], Opaque]:
    """The builder of `Opaque` objects of one class."""
    return lambda _machine, arguments: Opaque(f"{module}.{name}", arguments)


def as_bytes(value: Any) -> bytes | memoryview | bytearray:
    """Raw bytes, however the pickle's protocol and Python version wrote them. Errors: TypeError for anything else."""
    if isinstance(value, bytes | memoryview | bytearray):
        return value
    if isinstance(value, str):
        return value.encode("latin-1")
    raise TypeError(f"bytes expected, got {type(value).__name__}")


def as_sizes(values: Any) -> tuple[int, ...]:
    """Sizes, strides or axes of an array. Errors: Damage or TypeError, also above 64 dimensions (NumPy's limit)."""
    if not isinstance(values, tuple | list) or len(values) > MOST_DIMENSIONS:
        raise TypeError("sizes expected")
    return tuple(as_size(value) for value in values)


def as_size(value: Any) -> int:
    """A count or an index: a whole number that is not negative. Errors: Damage or TypeError."""
    if isinstance(value, np.integer):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a size expected, got {type(value).__name__}")
    if value < 0:
        raise Damage("a size is negative")
    return value

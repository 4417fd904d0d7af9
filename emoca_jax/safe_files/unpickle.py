"""Pickles from strangers as plain data: dictionaries, lists, numbers, text and NumPy arrays. Nothing of them is run.

Admitted names are listed in `python_names`, `numpy_names` and `torch_tensors`; every other name is refused.
"""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from emoca_jax.safe_files.budget import Budget
from emoca_jax.safe_files.numpy_names import NUMPY_NAMES
from emoca_jax.safe_files.pickle_literals import LongText
from emoca_jax.safe_files.pickle_machine import Builder, Machine
from emoca_jax.safe_files.python_names import PYTHON_NAMES
from emoca_jax.safe_files.refusal import damaged, reading
from emoca_jax.safe_files.stand_ins import Unfinished, as_bytes
from emoca_jax.safe_files.torch_legacy import read_legacy
from emoca_jax.safe_files.torch_tensors import TORCH_NAMES, Storage

DEEPEST = 64
LARGEST_TREE = 4_000_000
MOST_EMBEDDED = 2
"""A run's configuration is nested ten deep; whoever walks the result must neither run out of stack nor of time."""


def load(
    data: bytes | memoryview | BinaryIO, *, place: str, persistent_load: Callable[[Any], Any] | None = None
) -> Any:
    """The value of the pickle at the beginning of `data`, any protocol, written by Python 2 or 3.

    Arrays, tensors and chumpy objects become read-only NumPy arrays over `data` wherever possible, SciPy's matrices
    `SparseMatrix`, configuration nodes plain containers, paths text, byte strings above 1 KiB memoryviews, and other
    known objects `Opaque`. `place` names the file in messages.
    Errors: InputError where the pickle is damaged, asks for a name that is not admitted, contains itself, or would cost
    far more memory or time than its size warrants.
    """
    view = memoryview(data if isinstance(data, bytes | memoryview) else data.read())
    with reading(place):
        machine = Machine(view, place=place, names=NAMES, budget=Budget(len(view)), persistent_load=persistent_load)
        return checked_tree(machine.run(), place)


def checked_tree(value: Any, place: str) -> Any:
    """The value, if it is finished, contains no cycles, and is no larger or deeper when every reference is followed."""
    if isinstance(value, Storage):
        raise damaged(place, "it holds a bare storage instead of tensors")
    seen = 0
    sizes: dict[int, int | None] = {}
    path: list[tuple[Any, Iterator[Any], int]] = []
    current: tuple[Any, Iterator[Any], int] = (None, iter([value]), 0)
    while True:
        owner, children, total = current
        for child in children:
            seen += 1
            if seen > LARGEST_TREE:
                raise damaged(place, "it holds more than any model does")
            inner = _children(child, place)
            total += 1
            if inner is None:
                continue
            if id(child) not in sizes:
                sizes[id(child)] = None
                path.append((owner, children, total))
                if len(path) > DEEPEST:
                    raise damaged(place, f"its contents are nested more than {DEEPEST} deep")
                current = (child, inner, 0)
                break
            size = sizes[id(child)]
            if size is None:
                raise damaged(place, "its contents contain themselves")
            total += size
        else:
            if total > LARGEST_TREE:
                raise damaged(place, "its contents repeat themselves beyond measure")
            if not path:
                return value
            sizes[id(owner)] = total
            outer, siblings, so_far = path.pop()
            current = (outer, siblings, so_far + total)


def _children(value: Any, place: str) -> Iterator[Any] | None:
    """What a container contains; None for what contains nothing."""
    if isinstance(value, dict):
        return iter(value.values())
    if isinstance(value, list | tuple):
        return iter(value)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return iter(value.flat)
    if isinstance(value, Unfinished | Storage | LongText):
        what = value.what if isinstance(value, Unfinished) else "a value"
        raise damaged(place, f"{what} in it is left unfinished")
    return None


def _load_from_bytes(machine: Machine, arguments: tuple) -> Any:
    """A storage that PyTorch pickled as the bytes of a legacy file within the pickle."""
    (raw,) = arguments
    machine.budget.copy(len(raw) if isinstance(raw, str) else 0)
    if machine.depth >= MOST_EMBEDDED:
        raise ValueError("it holds files within files")
    return read_legacy(memoryview(as_bytes(raw)), machine.place, NAMES, machine.budget, depth=machine.depth + 1)


NAMES: dict[tuple[str, str], Builder] = {
    **PYTHON_NAMES,
    **NUMPY_NAMES,
    **TORCH_NAMES,
    ("torch.storage", "_load_from_bytes"): _load_from_bytes,
}

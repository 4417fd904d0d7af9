"""What a dataset is made of, whoever writes or reads it: named fields, samples, splits.

Nothing here knows TFDS: the same splits are packaged by a builder (`builder.py`), by Beam, or read as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from emoca_jax.errors import InputError

Sample = dict[str, Any]
"""Field name -> encoded bytes of a picture, index of a label, text, number, or array of numbers."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture (JPEG or PNG), byte for byte as it is in the official folder."""

    about: str


@dataclass(frozen=True)
class Label:
    """The index of one of `names`."""

    about: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Numbers:
    """A number (shape ()) or an array of them."""

    about: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"


@dataclass(frozen=True)
class Words:
    """A text."""

    about: str


Field = Picture | Label | Numbers | Words


@dataclass(frozen=True)
class Description:
    """What is said of a dataset once, for builder, readers and documentation."""

    name: str
    version: str
    about: str
    source: str
    """Where it comes from and under which terms."""
    citation: str
    fields: Mapping[str, Field]
    folder: str | None
    """What has to lie in --manual_dir; None where samples are drawn and no folder is needed."""


@dataclass(frozen=True)
class Split:
    """Samples listed but not read: `split[i]` reads the i-th one.

    rows and read go to other processes and machines: rows hold small plain values, read is a function of a module.
    """

    rows: Sequence[Any]
    read: Callable[[Any], Sample]
    columns: Mapping[str, Int[np.ndarray, "_"]] = field(default_factory=dict)
    """Whole numbers known of every row before it is read, which loaders choose by: expression, identity."""

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if len(column) != len(self.rows):
                raise ValueError(f"column {name} has {len(column)} entries for {len(self.rows)} rows")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return self.read(self.rows[index])


def numbered(names: Sequence[str]) -> Int[np.ndarray, "_"]:
    """A column of names as whole numbers, in alphabetical order from 0."""
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int32)


def nonempty(splits: Mapping[str, Split], folder: object, advice: str) -> dict[str, Split]:
    """The splits that have samples. Errors: InputError naming the folder where none has any."""
    kept = {name: split for name, split in splits.items() if len(split)}
    if not kept:
        raise InputError(f"{folder}: has no samples; {advice}")
    return kept

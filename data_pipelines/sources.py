"""Datasets to read from by number: packaged records, or the official folder itself where records cannot be read.

Both give the same samples in the same order, pictures still encoded.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from data_pipelines import NAMES
from data_pipelines.samples import Field, Label, Numbers, Picture, Sample, Split
from emoca_jax.errors import InputError
from emoca_jax.files.regular import user_path

PEOPLE = "identity"
"""The column that tells who is seen; each dataset numbers its people from 0."""


@runtime_checkable
class Source(Protocol):
    """Samples by number, and whole numbers that are known of all of them at once."""

    @property
    def columns(self) -> Mapping[str, Int[np.ndarray, "_"]]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class Records:
    """Packaged samples; reads from several threads at once."""

    raw: Any
    """TFDS's data source of serialised records."""
    fields: Mapping[str, Field]
    columns: Mapping[str, Int[np.ndarray, "_"]]

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, index: int) -> Sample:
        return parsed(self.raw[index], self.fields)

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        return [parsed(record, self.fields) for record in self.raw.__getitems__(indices)]


@dataclass(frozen=True)
class Joined:
    """Samples of several sources, one source after the other; what only some of them have, a batch may lack."""

    parts: Sequence[Source]

    @property
    def columns(self) -> Mapping[str, Int[np.ndarray, "_"]]:
        """Those that all parts have, PEOPLE numbered on: nobody is in two sources.

        Of the others only what means the same in each part may be relied on: classes, say.
        """
        names = set(self.parts[0].columns).intersection(*(part.columns for part in self.parts))
        return {name: self._column(name) for name in sorted(names)}

    def _column(self, name: str) -> Int[np.ndarray, "_"]:
        columns = [np.asarray(part.columns[name], np.int64) for part in self.parts]
        if name == PEOPLE:
            before = np.cumsum([0, *(int(column.max(initial=-1)) + 1 for column in columns[:-1])])
            columns = [column + first for column, first in zip(columns, before, strict=True)]
        return np.concatenate(columns)

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> Sample:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


def open_records(name: str, split: str, *, data_dir: str | Path) -> Records:
    """The samples that `python -m data_pipelines.build` packaged.

    split: TFDS's notation: "train_clean", "train_clean+train_other", "validation_clean[:10%]".
    Errors: InputError where there is no such dataset or split, or packages are missing.
    """
    try:
        import tensorflow_datasets as tfds
    except ModuleNotFoundError as error:
        raise InputError(f"reading records needs the package {error.name}; pip install '.[train]'") from error

    from data_pipelines.builder import COLUMNS

    description = _folder_module(name).DESCRIPTION
    place = user_path(data_dir) / name / description.version
    if not place.is_dir():
        raise InputError(f"{place}: is not there; make it with python -m data_pipelines.build {name}")
    builder = tfds.builder_from_directory(place)
    splits = builder.info.splits
    try:
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(splits)
        # A decorator of TFDS hides the method's arguments from type checkers.
        read: Any = builder.as_data_source
        raw = read(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    except (ValueError, KeyError) as error:
        raise InputError(f"{name} has no split {split!r}; choose {', '.join(splits)}") from error
    metadata: Any = builder.info.metadata
    return Records(raw, description.fields, _joined(metadata[COLUMNS], parts))


def splits_of_folder(name: str, *, manual_dir: str | Path) -> dict[str, Split]:
    """Every split of an official folder. Errors: InputError as `open_folder`."""
    return _folder_module(name).find(user_path(manual_dir))


def open_folder(name: str, split: str, *, manual_dir: str | Path) -> Split:
    """The same samples from the official folder, unpackaged.

    Errors: InputError where there is no such dataset or split, or the folder lacks something.
    """
    splits = splits_of_folder(name, manual_dir=manual_dir)
    if split not in splits:
        raise InputError(f"{name} has no split {split!r}; choose {', '.join(splits)}")
    return splits[split]


def parsed(record: bytes, fields: Mapping[str, Field]) -> Sample:
    """A serialised record as the sample it was made of.

    TFDS's own parser takes twice as long, in which no other thread of Python can run.
    """
    from tensorflow_datasets.proto import tf_example_pb2

    example: Any = tf_example_pb2
    content = example.Example.FromString(record).features.feature
    return {name: _value(content[name], field) for name, field in fields.items()}


def _value(value: Any, field: Field) -> Any:
    if isinstance(field, Picture):
        return value.bytes_list.value[0]
    if isinstance(field, Label):
        return value.int64_list.value[0]
    if isinstance(field, Numbers):
        dtype = np.dtype(field.dtype)
        values = value.float_list.value if dtype.kind == "f" else value.int64_list.value
        return np.array(values, dtype).reshape(field.shape) if field.shape else dtype.type(values[0])
    return value.bytes_list.value[0].decode()


def _folder_module(name: str) -> Any:
    if name not in NAMES:
        raise InputError(f"there is no dataset {name!r}; choose {', '.join(NAMES)}")
    return importlib.import_module(f"data_pipelines.{name}.folder")


def _joined(columns: Mapping[str, Mapping[str, Sequence[int]]], parts: Sequence[Any]) -> dict[str, np.ndarray]:
    """Columns of the parts that a split consists of, one after the other."""
    names = columns[parts[0].splitname]
    return {
        name: np.concatenate([np.asarray(columns[p.splitname][name][p.from_ : p.to], np.int32) for p in parts])
        for name in names
    }

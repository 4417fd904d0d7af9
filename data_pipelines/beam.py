"""The same packaging as an Apache Beam pipeline: on this machine, Dataflow, Flink or Spark, unchanged.

Rows travel to the workers, which read pictures and serialise samples; TFDS puts them back into the rows' order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from data_pipelines.samples import Sample, Split
from emoca_jax.errors import InputError


def read_all(split: Split, check: Callable[[Sample], Sample]) -> Any:
    """The pipeline step that gives (number of the row, sample) for every row of a split."""
    beam = _beam()
    rows = beam.Create(list(enumerate(split.rows)), reshuffle=True)
    return rows | beam.Map(functools.partial(_numbered, read=split.read, check=check))


def pipeline_options(text: str) -> Any:
    """Beam's options from "name=value,flag", as after `--beam`."""
    _beam()
    from apache_beam.options.pipeline_options import PipelineOptions  # pyright: ignore[reportMissingImports]

    return PipelineOptions(flags=[f"--{option.strip()}" for option in text.split(",") if option.strip()])


def file_systems() -> Any:
    """Beam's file systems: they open addresses such as gs://bucket/photo.jpg. Errors: InputError without Beam."""
    try:
        from apache_beam.io.filesystems import FileSystems  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise InputError("addresses with :// need Apache Beam; pip install '.[beam]'") from error
    return FileSystems


def _numbered(
    numbered: tuple[int, Any], *, read: Callable[[Any], Sample], check: Callable[[Sample], Sample]
) -> tuple[int, Sample]:
    index, row = numbered
    return index, check(read(row))


def _beam() -> Any:
    try:
        import apache_beam  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise InputError(
            f"--beam needs the package {error.name}; pip install '.[beam]' into an environment of its own"
        ) from error
    return apache_beam

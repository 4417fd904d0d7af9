"""Packages a dataset as TFDS array_record files, without TensorFlow.

    python -m data_pipelines.build affectnet --manual_dir ~/AffectNet --data_dir ~/datasets

The result is what `tfds build` makes: `tfds.builder_from_directory` and `data_pipelines.sources.open_records` read it.
It appears whole or not at all; what an interrupted build left is removed by the next one. Exit code 0, or 2 with one
sentence that names what is missing, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_pipelines import NAMES
from emoca_jax.errors import InputError, surprise
from emoca_jax.files.ending import end_on_signals, undone_at_end
from emoca_jax.files.regular import user_path

if TYPE_CHECKING:
    from data_pipelines.builder import SampleBuilder

try:
    import fcntl
except ImportError:  # Windows: nobody builds twice at once there
    fcntl = None

DEFAULT_DATA_DIR = "~/tensorflow_datasets"
"""Where TFDS looks, too."""
UNFINISHED = "incomplete.*"
"""What TFDS calls a folder that it has not finished."""


def builder_of(name: str, data_dir: Path, **options: Any) -> SampleBuilder:
    """The builder of a dataset. Errors: InputError where there is none, or a package is not installed.

    options: keywords of the dataset's own builder.
    """
    if name not in NAMES:
        raise InputError(f"there is no dataset {name!r}; choose {', '.join(NAMES)}")
    try:
        module = importlib.import_module(f"data_pipelines.{name}.{name}_dataset_builder")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("data_pipelines"):
            raise
        raise InputError(f"building needs the package {error.name}; pip install '.[train]'") from error
    return module.Builder(data_dir=data_dir, **options)


def build(
    name: str, *, manual_dir: str | Path | None, data_dir: str | Path, beam: str | None = None, **options: Any
) -> SampleBuilder:
    """Package one dataset; returns its builder. Does nothing where this version of it is there already.

    manual_dir: the official folder, None for datasets that need none.
    beam: None to write one sample after another, or options of an Apache Beam pipeline, with commas between.
    Errors: InputError, one sentence, where the folder is not what it should be or cannot be written to.
    """
    data_dir = user_path(data_dir).absolute()
    builder = builder_of(name, data_dir, **options)
    manual_dir = _checked_folder(name, builder.DESCRIPTION.folder, manual_dir)
    version = Path(builder.data_path)
    with _building(version.parent):
        if version.exists():
            return builder
        with tempfile.TemporaryDirectory() as downloads, _sentences(data_dir):
            _write(builder, manual_dir, Path(downloads), beam)
    return builder


def _write(builder: SampleBuilder, manual_dir: Path | None, downloads: Path, beam: str | None) -> None:
    import tensorflow_datasets as tfds

    configuration = tfds.download.DownloadConfig(manual_dir=manual_dir)
    if beam is not None:
        from data_pipelines.beam import pipeline_options

        type(builder).beam = True
        configuration = configuration.replace(beam_options=pipeline_options(beam))
    # TFDS tells of downloads that there are none of.
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(
            download_dir=downloads, download_config=configuration, file_format=tfds.core.FileFormat.ARRAY_RECORD
        )


def _checked_folder(name: str, content: str | None, manual_dir: str | Path | None) -> Path | None:
    if content is None:
        return None
    if manual_dir is None:
        raise InputError(f"{name} is packaged from its official folder; give --manual_dir with {content}")
    folder = user_path(manual_dir).absolute()
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the one with {content}")
    return folder


@contextlib.contextmanager
def _building(folder: Path) -> Iterator[None]:
    """Nobody else builds into `folder` meanwhile, and nothing unfinished stays in it, however this ends."""

    def clear() -> None:
        for unfinished in folder.glob(UNFINISHED):
            shutil.rmtree(unfinished, ignore_errors=True)

    with _sentences(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = folder / ".lock"
        lock = open(held, "wb")  # noqa: SIM115 (held until the end)
    with lock:
        if fcntl is not None:
            busy = InputError(f"{folder}: another process is building there; wait for it")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise busy from error
            # One that has just ended took the file away, and a third may have made it anew.
            if not held.exists() or not os.path.samestat(os.fstat(lock.fileno()), held.stat()):
                raise busy
        clear()
        try:
            with undone_at_end(clear):
                yield
        finally:
            clear()
            # While it is held. Where there are no locks (Windows), an open file stays.
            with contextlib.suppress(OSError):
                held.unlink()


@contextlib.contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error.strerror or error}); give another --data_dir"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the command line says; returns the exit code."""
    if arguments is None:
        end_on_signals()
    parser = argparse.ArgumentParser(
        prog="python -m data_pipelines.build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--manual_dir", metavar="DIR", help="the official folder, unpacked")
    parser.add_argument("--data_dir", metavar="DIR", default=DEFAULT_DATA_DIR, help=f"default: {DEFAULT_DATA_DIR}")
    parser.add_argument(
        "--beam",
        metavar="OPTIONS",
        nargs="?",
        const="",
        help="build by Apache Beam: runner=DataflowRunner,project=...; without options on this machine",
    )
    parsed = parser.parse_args(arguments)
    try:
        builder = build(parsed.name, manual_dir=parsed.manual_dir, data_dir=parsed.data_dir, beam=parsed.beam)
    except InputError as error:
        print(f"build: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("build: interrupted", file=sys.stderr)
        return 130
    # One sentence for what nobody foresaw, too; TFDS and Beam raise many kinds of their own.
    except Exception as error:
        print(f"build: {surprise(error)}", file=sys.stderr)
        return 2
    counts = ", ".join(f"{name} {info.num_examples}" for name, info in builder.info.splits.items())
    print(f"{builder.data_path}: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

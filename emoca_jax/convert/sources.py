"""The files behind what a user gives: single files and folders of official assets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from emoca_jax.errors import InputError
from emoca_jax.model_folder import DESCRIPTION_NAME, KIND


def find_files(sources: Sequence[str | Path], output: Path | None) -> dict[Path, str]:
    """All files of the sources in order, each with a name of its own to show: short where that is enough.

    Links are followed, hidden files, the output and other model folders left out. Errors: InputError where a source
    does not exist, or there is no file at all.
    """
    files: dict[Path, str] = {}
    shown: set[str] = set()
    for source in map(Path, sources):
        if not source.exists():
            raise InputError(f"{source} does not exist: give an official file or the folder that holds them.")
        if output is not None and source.resolve() == output.resolve() and source.is_dir():
            raise InputError(f"{source} is the output as well: give another --output.")
        base = source.absolute()
        for path in _below(source, output) if source.is_dir() else [source]:
            name = str(path.absolute().relative_to(base.parent))
            if path not in files:
                files[path] = name if name not in shown else str(path)
                shown.add(files[path])
    if not files:
        raise InputError(f"{', '.join(map(str, sources))}: no file in it; `emoca fetch-help` says where to get them.")
    return files


def _below(source: Path, output: Path | None) -> Iterator[Path]:
    walked: set[str] = set()
    for folder, below, names in os.walk(source, followlinks=True):
        here = Path(folder)
        own = _is_model_folder(here) or (output is not None and here.absolute() == output.absolute())
        if own or os.path.realpath(here) in walked:
            below.clear()
            continue
        walked.add(os.path.realpath(here))
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (here / name for name in sorted(names) if not name.startswith(".") and (here / name).is_file())


def _is_model_folder(folder: Path) -> bool:
    """Whether this project made it; other programs write files of that name, too."""
    try:
        return KIND.encode() in (folder / DESCRIPTION_NAME).read_bytes()
    except OSError:
        return False

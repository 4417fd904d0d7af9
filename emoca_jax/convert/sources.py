"""The files behind what a user gives: single files and folders of official assets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from emoca_jax.errors import InputError
from emoca_jax.files.regular import LARGEST_DESCRIPTION, advice, read_regular
from emoca_jax.model_folder import DESCRIPTION_NAME, KIND


def find_files(sources: Sequence[str | Path], output: Path | None) -> dict[Path, str]:
    """All files of the sources in order, each with a name of its own to show: short where that is enough.

    Links are followed, hidden files, the output and other model folders left out. Errors: InputError where a source
    does not exist, a folder may not be read, or there is no file at all.
    """
    files: dict[Path, str] = {}
    shown: set[str] = set()
    for source in map(Path, sources):
        if not os.path.exists(source) and not os.path.islink(source):
            raise InputError(f"{source} does not exist: give an official file or the folder that holds them.")
        if output is not None and os.path.isdir(source) and os.path.realpath(source) == os.path.realpath(output):
            raise InputError(f"{source} is the output as well: give another --output.")
        base = source.absolute()
        for path in _below(source, output) if os.path.isdir(source) else [source]:
            name = str(path.absolute().relative_to(base.parent))
            if path not in files:
                files[path] = name if name not in shown else str(path)
                shown.add(files[path])
    if not files:
        raise InputError(f"{', '.join(map(str, sources))}: no file in it; `emoca fetch-help` says where to get them.")
    return files


def _below(source: Path, output: Path | None) -> Iterator[Path]:
    walked: set[str] = set()

    def closed(error: OSError) -> None:
        raise InputError(f"{error.filename}: {advice(error)}") from error

    for folder, below, names in os.walk(source, followlinks=True, onerror=closed):
        here = Path(folder)
        own = _is_model_folder(here) or (output is not None and here.absolute() == output.absolute())
        if own or os.path.realpath(here) in walked:
            below.clear()
            continue
        walked.add(os.path.realpath(here))
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (here / name for name in sorted(names) if not name.startswith(".") and os.path.isfile(here / name))


def _is_model_folder(folder: Path) -> bool:
    """Whether this project made it; other programs write files of that name, too."""
    try:
        return KIND.encode() in read_regular(folder / DESCRIPTION_NAME, most=LARGEST_DESCRIPTION)
    except InputError:
        return False

"""The files behind what a user gives: single files and folders of official assets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from emoca_jax.errors import InputError
from emoca_jax.model_folder import DESCRIPTION_NAME


def find_files(sources: Sequence[str | Path], output: Path | None) -> dict[Path, str]:
    """All files of the sources in order, and the names to show: those given, and what lies below them."""
    files: dict[Path, str] = {}
    for source in map(Path, sources):
        if source.is_file():
            files[source] = source.name
        elif source.is_dir():
            base = source.absolute().name
            for folder, below, names in os.walk(source):
                below[:] = sorted(name for name in below if not name.startswith("."))
                here = Path(folder)
                if (output and here.absolute() == output.absolute()) or (here / DESCRIPTION_NAME).exists():
                    below.clear()
                    continue
                for name in sorted(names):
                    if not name.startswith(".") and (here / name).is_file():
                        files[here / name] = str(Path(base) / (here / name).relative_to(source))
        else:
            raise InputError(f"{source} does not exist: give an official file or the folder that holds them.")
    if not files:
        raise InputError(f"{', '.join(map(str, sources))}: no file in it; `emoca fetch-help` says where to get them.")
    return files

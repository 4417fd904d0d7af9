"""What folders and patterns hold beside photos, and why it is left out."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from emoca_jax.capture.images import SUFFIXES, looks_like_image
from emoca_jax.capture.other_formats import SUFFIXES as OTHER_SUFFIXES

NO_PHOTO = "no photo"
FOLDER = "a folder with photos: give it, too"
LOST_LINK = "a link that leads nowhere"


def skipped_files(inputs: Sequence[str | Path], *, output: Path | None = None) -> dict[str, list[Path]]:
    """Files and folders that `find_images` passes over, by what they are: phrases that follow "is".

    Hidden files, folders without photos and `output`, where results go, are not worth a word; a file named outright is
    never passed over.
    """
    found: dict[str, dict[Path, None]] = {}
    for name in inputs:
        for path in _passed_over(str(name)):
            if (what := _what(path, output)) is not None:
                found.setdefault(what, {})[path] = None
    return {what: list(paths) for what, paths in found.items()}


def _passed_over(name: str) -> Iterator[Path]:
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            entries = sorted(path.iterdir())
        elif path.exists() or not glob.has_magic(name):
            return
        else:
            # What lies in folders that a pattern matches is none of its business.
            entries = sorted(entry for entry in map(Path, glob.glob(str(path), recursive=True)) if not entry.is_dir())
    except (OSError, RuntimeError, ValueError):
        # Whoever looks for photos says so.
        return
    yield from (entry for entry in entries if not entry.name.startswith(".") and not looks_like_image(entry))


def _what(path: Path, output: Path | None) -> str | None:
    try:
        if path.is_dir():
            is_output = output is not None and path.resolve() == output.resolve()
            return FOLDER if not is_output and any(map(looks_like_image, path.iterdir())) else None
        if path.is_symlink() and not path.exists():
            return LOST_LINK
    except (OSError, RuntimeError):
        return NO_PHOTO
    suffix = path.suffix.lower()
    return "no regular file" if suffix in SUFFIXES else OTHER_SUFFIXES.get(suffix, NO_PHOTO)

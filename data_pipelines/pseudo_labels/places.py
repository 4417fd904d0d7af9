"""Where photos lie and labels go: folders of this machine, or what workers of a pipeline reach (gs://, s3://, hdfs://).

Addresses with :// go by the file systems of Apache Beam, all others are files of whoever works.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from data_pipelines.beam import file_systems
from data_pipelines.pseudo_labels.shards import FACES, FAILED, Counts, Labeller, Shard, counts, shard_files
from emoca_jax.capture.images import SUFFIXES, Photo, find_images, read_photo
from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular
from emoca_jax.files.whole import open_folder, write_file

REMOTE = "://"


def find_photos(inputs: Sequence[str]) -> list[str]:
    """Photos behind names, folders and patterns, as `emoca` finds them; of a remote folder its photos, by name.

    Errors: InputError where one leads to nothing.
    """
    found: dict[str, None] = {}
    for name in inputs:
        photos = _remote_photos(name) if REMOTE in name else map(os.fspath, find_images([name]))
        found |= dict.fromkeys(photos)
    return list(found)


def read(name: str) -> Photo:
    """A photo. Errors: InputError where it cannot be read."""
    if REMOTE not in name:
        return read_photo(name)
    # Decoders see through a file's beginning and name: both stay.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, f"photo{PurePosixPath(name).suffix}")
        try:
            with file_systems().open(name) as file:
                copy.write_bytes(file.read())
        # Every file system has errors of its own.
        except Exception as error:
            raise InputError(f"{name}: cannot be read ({' '.join(str(error).split())[:120]})") from error
        try:
            return replace(read_photo(copy), source=Path(name))
        except InputError as error:
            raise InputError(str(error).replace(str(copy), name)) from error


def write(folder: str, name: str, data: bytes) -> None:
    """A file of a folder, whole or not at all. Errors: InputError where it cannot be written."""
    if REMOTE not in folder:
        write_file(Path(folder, name), data)
        return
    # Stores of objects show them when they are whole.
    with file_systems().create(_joined(folder, name)) as file:
        file.write(data)


def read_or_none(folder: str, name: str) -> bytes | None:
    """What a file of a folder holds; None where there is none."""
    if REMOTE not in folder:
        path = Path(folder, name)
        return read_regular(path) if path.exists() else None
    address = _joined(folder, name)
    if not file_systems().exists(address):
        return None
    with file_systems().open(address) as file:
        return file.read()


def prepare(folder: str) -> None:
    """Make a folder of this machine. Errors: InputError where it cannot be written to."""
    if REMOTE not in folder:
        open_folder(folder)


def do_shard(labeller: Labeller, shard: Shard, folder: str) -> Counts:
    """Label a shard's photos and write its files, unless they are there."""
    faces, failed = (read_or_none(folder, shard.file(kind)) for kind in (FACES, FAILED))
    if faces is not None and failed is not None:
        return counts(shard, faces, failed)
    files = shard_files(labeller, shard, read)
    for name, data in files.items():
        write(folder, name, data)
    return counts(shard, files[shard.file(FACES)], files[shard.file(FAILED)])


def _remote_photos(name: str) -> list[str]:
    systems: Any = file_systems()
    pattern = name if any(mark in name for mark in "*?[") or name.lower().endswith(SUFFIXES) else _joined(name, "*")
    try:
        (matched,) = systems.match([pattern])
    except Exception as error:
        raise InputError(f"{name}: cannot be listed ({' '.join(str(error).split())[:120]})") from error
    photos = sorted(entry.path for entry in matched.metadata_list if entry.path.lower().endswith(SUFFIXES))
    if not photos:
        raise InputError(f"{name}: has no image in it; check the address")
    return photos


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"

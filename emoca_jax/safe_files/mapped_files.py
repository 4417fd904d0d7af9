"""A file as memory: pages come in when they are touched, so that a 700 MB checkpoint costs nothing until it is used."""

import mmap
import os
from pathlib import Path
from typing import NamedTuple

from emoca_jax.errors import InputError
from emoca_jax.files.regular import open_regular


class MappedFile(NamedTuple):
    """The bytes of a file, read-only, and how messages name it. Who changes the file meanwhile changes the bytes."""

    view: memoryview
    place: str

    def forget(self) -> None:
        """Give the pages read so far back to the system; the next touch fetches them again."""
        if isinstance(self.view.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self.view.obj.madvise(mmap.MADV_DONTNEED)


def map_file(path: str | os.PathLike[str]) -> MappedFile:
    """Map a regular file into memory, read-only.

    Errors: InputError as `open_regular`, and where it is empty.
    """
    path = Path(path)
    place = str(path)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise InputError(f"{place} is empty: get it again from its source.")
            return MappedFile(memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)), place)
    except (OSError, ValueError) as error:
        raise InputError(f"{place} cannot be opened ({error}): check the path and its permissions.") from error

"""Files appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from emoca_jax.errors import InputError


def write_file(path: str | Path, data: bytes) -> Path:
    """Put `data` at `path`, replacing what was there; readers see the old file or the new one, never half of it.

    The bytes go to a hidden file in the same folder first, which is removed on any failure, ^C included.
    Errors: InputError naming the file where the folder is missing, full or not writable.
    """
    path = Path(path)
    # Not made from the file's own name, which may be as long as names can be.
    temporary = path.with_name(f".emoca-{os.getpid()}-{threading.get_ident()}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); give another place") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def open_folder(path: str | Path) -> Path:
    """Make the folder `path` with its parents where needed, and prove that files can be written to it.

    Errors: InputError where it is a file or may not be written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".emoca"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written to ({error.strerror or error}); give another folder") from error
    return path

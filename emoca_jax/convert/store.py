"""Where converted parts wait until all are ready: a hidden folder inside the output, moved into place at the end."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save

from emoca_jax.errors import InputError
from emoca_jax.files.ending import finished_first, undone_at_end
from emoca_jax.files.regular import LARGEST_DESCRIPTION, read_regular
from emoca_jax.model_folder import DESCRIPTION_NAME, file_sha256, inside

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

STAGING = ".convert-"
MOVING = 0.5
"""Seconds that ^C waits for files to be moved into place."""


class CannotWrite(InputError):
    """The output folder cannot be written: nothing else needs to be tried."""


class Store:
    """Files on their way into a model folder; the same contents under two names become one file.

    As a context manager it leaves the output as it was unless `publish` ran to its end; ^C included. Others who convert
    into the same folder wait until it is left, and then see what it holds.
    """

    def __init__(self, output: Path | None) -> None:
        """output: None for a dry run, which writes nothing."""
        self._output = output
        self._staging: Path | None = None
        self._made_output = False
        self._moving = threading.Lock()
        self._ends = contextlib.ExitStack()
        self._by_digest: dict[str, str] = {}
        self.files: dict[str, str] = {}
        """Relative name -> sha256 of what has been put."""

    def __enter__(self) -> Store:
        if self._output is not None:
            try:
                self._made_output = not os.path.lexists(self._output)
                self._ends.enter_context(undone_at_end(self._tidy))
                if self._ends.enter_context(_locked(self._output)):
                    for dead in self._output.glob(f"{STAGING}*"):  # of runs that were killed
                        shutil.rmtree(dead, ignore_errors=True)
                self._staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=self._output))
            except (OSError, ValueError) as error:
                self._ends.close()
                raise _cannot_write(self._output, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._tidy()
        self._ends.close()

    def _tidy(self) -> None:
        with contextlib.ExitStack() as stack:
            if self._moving.acquire(timeout=MOVING):
                stack.callback(self._moving.release)
            if self._staging is not None:
                shutil.rmtree(self._staging, ignore_errors=True)
            if self._output is not None and self._made_output:
                with contextlib.suppress(OSError):
                    self._output.rmdir()  # only where it stayed empty

    def put(self, name: str, arrays: Mapping[str, np.ndarray], *, others: Mapping[str, str] | None = None) -> str:
        """Write arrays as safetensors under a relative name; returns the name to refer to, which may be an older one.

        others: name -> sha256 of files that something else refers to; they are not replaced by other contents.
        Errors: CannotWrite where the disk is full or not writable, or a link leads out of the output.
        """
        if self._output is None or self._staging is None:
            return name
        _check_inside(self._output, [name])
        place = self._staging / name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            # Not save_file, whose files only their owner may read.
            place.write_bytes(save({key: np.ascontiguousarray(array) for key, array in arrays.items()}))
            digest = file_sha256(place)
            if others and others.get(name, digest) != digest:
                name = _free_name(name, {*others, *self.files})
                place = place.rename(self._staging / name)
            known = self._by_digest.setdefault(digest, name)
            if known != name:
                place.unlink()
            else:
                self.files[name] = digest
        except (OSError, SafetensorError) as error:
            raise _cannot_write(self._output, error) from error
        return known

    def path(self, name: str) -> Path | None:
        """Where to write a file of another format; None in a dry run."""
        return self._staging / name if self._staging is not None else None

    def publish(self, description: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """Move everything into the output, the description last, and remove files that it no longer speaks of.

        Errors: CannotWrite where the disk is full or not writable, a link leads out of the output, or a file is in the
        way that no conversion made; then nothing has changed.
        """
        if self._output is None or self._staging is None:
            return
        before = _files_of(self._output)
        _check_inside(self._output, [*(before or ()), *description["files"], *texts, DESCRIPTION_NAME])
        with finished_first(), self._moving:
            self._publish(self._output, self._staging, before, description, texts)

    def _publish(
        self,
        output: Path,
        staging: Path,
        before: Mapping[str, str] | None,
        description: Mapping[str, Any],
        texts: Mapping[str, str],
    ) -> None:
        try:
            for name, text in {**texts, DESCRIPTION_NAME: json.dumps(description, indent=1)}.items():
                (staging / name).write_text(text, encoding="utf-8", errors="replace")
            staged = [path.relative_to(staging) for path in staging.rglob("*") if path.is_file()]
            if before is not None:
                described = os.path.lexists(output / DESCRIPTION_NAME)
                _check_ours(output, staging, staged, {*before, *(texts if described else ()), DESCRIPTION_NAME})
            for name in sorted(staged, key=lambda name: (str(name) == DESCRIPTION_NAME, name)):
                (output / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(staging / name, output / name)
        except OSError as error:
            raise _cannot_write(output, error) from error
        for name in set(before or ()) - set(description["files"]):
            with contextlib.suppress(OSError, InputError):
                if before and file_sha256(output / name) == before[name]:  # what somebody put there since is theirs
                    (output / name).unlink()
                    (output / name).parent.rmdir()


def _files_of(folder: Path) -> dict[str, str] | None:
    """What an older description there speaks of -> sha256; only names inside the folder. None where it is damaged."""
    if not os.path.lexists(folder / DESCRIPTION_NAME):
        return {}
    try:
        files = json.loads(read_regular(folder / DESCRIPTION_NAME, most=LARGEST_DESCRIPTION))["files"]
        return {name: files[name] for name in files if not Path(name).is_absolute() and ".." not in Path(name).parts}
    except (InputError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _check_ours(output: Path, staging: Path, staged: Iterable[Path], ours: Container[str]) -> None:
    """Nothing is replaced but what conversions made, `ours`, and what has the same contents anyway."""
    for name in staged:
        place = output / name
        if name.as_posix() in ours or not os.path.lexists(place):
            continue
        if os.path.islink(place) or not place.is_file() or file_sha256(place) != file_sha256(staging / name):
            raise CannotWrite(f"{place}: is there already and no conversion made it; give another --output, or move it")


def _check_inside(output: Path, names: Iterable[str]) -> None:
    try:
        for name in names:
            inside(output, name)
    except InputError as error:
        raise CannotWrite(str(error)) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Make the folder and hold it alone, waiting for others; gives False where the system has no such locks."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            yield False
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError:  # some network file systems
                yield False
                return
            # Whoever held it may have removed the folder, having made it in vain.
            if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
                yield True
                return
        finally:
            os.close(handle)


def _free_name(name: str, taken: set[str]) -> str:
    path = Path(name)
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}").as_posix() for number in itertools.count(2))
    return next(free for free in numbered if free not in taken)


def _cannot_write(output: Path, error: Exception) -> CannotWrite:
    reason = getattr(error, "strerror", None) or str(error)
    if output.exists() and not output.is_dir():
        return CannotWrite(f"{output} is a file, not a folder; give another --output.")
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    advice = "free some space or give another --output" if full else "give another --output"
    return CannotWrite(f"{output} cannot be written to ({reason}); {advice}.")

"""Compiled code survives the process: JAX's persistent compilation cache in the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import warnings
from pathlib import Path
from typing import Any

from emoca_jax.errors import InputError, surprise
from emoca_jax.files.code_cache import VARIABLE, guarded_folder
from emoca_jax.files.version import package_version


def enable() -> Path | None:
    """Keep everything that compiles from now on, however small, and reuse it in later processes.

    Call it before anything compiles, best before jax is imported: XLA warns with every piece of code it reads back that
    the processor lacks "prefer-no-gather", which is a preference and no feature (openxla/xla issue 44565), and only
    then can that be hushed. Returns the folder, None where none can be written: then JAX compiles anew in every process
    and nothing else changes. A folder that JAX has already been given (`JAX_COMPILATION_CACHE_DIR`) is kept, unless
    `EMOCA_JAX_CACHE` says otherwise; whole programs (`kept_programs`) are not kept there, as nobody looked who may
    write to it.

    What lies there is executed: the folder is the user's alone, and one that others own or may write to is not used,
    with a word on stderr. Damaged entries are removed and compiled again. Errors: InputError where `EMOCA_JAX_CACHE`
    names an unknown user, or JAX finds no device of `JAX_PLATFORMS`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    from emoca_jax.files.kept_programs import keep_in

    _check_devices()
    given = jax.config.values["jax_compilation_cache_dir"]
    if given and VARIABLE not in os.environ:
        return Path(given)
    folder, refused = guarded_folder()
    if refused:
        print(f"emoca: {refused}", file=sys.stderr)
    if folder is None:
        return None
    try:
        _remove_damaged(folder)
    except OSError:
        return None
    _heal(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    keep_in(folder, _can_call, is_whole=_has_all_kernels)
    return folder


def is_warm(folder: Path | None, *, what: str = "") -> bool:
    """Whether a whole run of these versions on this kind of device has filled the cache before (see `mark_warm`)."""
    return folder is not None and _mark(folder, what).exists()


def mark_warm(folder: Path | None, *, what: str = "") -> None:
    """Note that a whole run has gone through, so that later ones need not announce compilation.

    what: a word for work that compiles programs of its own; empty for `emoca reconstruct` with the open model.
    """
    if folder is not None:
        try:
            _mark(folder, what).touch()
        except OSError:
            return  # the next run announces once more, no harm done


def _can_call(name: str) -> bool:
    """Whether XLA knows a foreign function of this name: one of our kernels, which are loaded if they can be, or of
    LAPACK, which JAX makes known when it first lowers a program that calls it."""
    import jax

    from emoca_jax.render.backends.native.library import KERNELS, is_loaded, target

    if name.startswith("lapack_"):
        jax.jit(jax.numpy.linalg.svd).lower(jax.ShapeDtypeStruct((2, 2), "float32"))
        return True
    return any(is_loaded(library) for library, kernels in KERNELS.items() if name in map(target, kernels))


def _has_all_kernels() -> bool:
    """Whether no kernels failed to compile that numba is there for."""
    from emoca_jax.render.backends.native.library import failed

    return not failed


def _check_devices() -> None:
    import jax

    try:
        jax.default_backend()
    except (RuntimeError, AssertionError) as error:
        platforms = os.environ.get("JAX_PLATFORMS", "")
        raise InputError(
            f"JAX finds no device for JAX_PLATFORMS={platforms}; unset it, or set it to cpu"
            if platforms
            else surprise(error)
        ) from error


def _remove_damaged(folder: Path, *, all_entries: bool = False) -> None:
    """Remove entries that a full disk left empty, and pipes and the like, which JAX would wait for; or all entries."""
    for entry in list(os.scandir(folder)):
        state = entry.stat(follow_symlinks=False)
        is_entry = entry.name.endswith("-cache")
        if not stat.S_ISREG(state.st_mode) or (is_entry and (all_entries or state.st_size == 0)):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def _heal(folder: Path) -> None:
    """Empty the folder when JAX warns that it cannot read an entry, instead of showing the warning at every run.

    JAX then compiles and writes what it misses, which it does not where there is a file already.
    """
    show = warnings.showwarning

    def heal(message: Any, category: Any, *where: Any, **options: Any) -> None:
        if "persistent compilation cache" in str(message):
            _remove_damaged(folder, all_entries=True)
        else:
            show(message, category, *where, **options)

    warnings.showwarning = heal


def _mark(folder: Path, what: str) -> Path:
    import jax

    from emoca_jax.files.kept_programs import world

    versions = f"emoca_jax-{package_version()}-jax-{jax.__version__}-{world()}"
    return folder / f"{'-'.join(filter(None, ('warm', what, versions)))}-{jax.default_backend()}"

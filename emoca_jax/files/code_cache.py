"""Where compiled code is kept, and whether it is safe there."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from emoca_jax.errors import InputError
from emoca_jax.files.regular import user_path
from emoca_jax.files.whole import open_folder

VARIABLE = "EMOCA_JAX_CACHE"
"""Environment variable with another cache folder; empty: no cache."""


def guarded_folder(*, to_write: bool = True) -> tuple[Path | None, str]:
    """The folder for code compiled for this processor, made where it is missing, or None and why as a clause, which is
    empty where the user wants no cache or there is none and none can be made.

    to_write: or where it cannot be written to, which what only reads does without.

    What lies there is executed: the folder is the user's alone, and one that others own or may write to is not used. A
    home folder may be shared by machines of several kinds, and code compiled for one would crash on another.
    Errors: InputError where `EMOCA_JAX_CACHE` names an unknown user.
    """
    folder = cache_folder(os.environ, sys.platform)
    if folder is None:
        return None, ""
    folder = folder / hashlib.sha256(processor().encode()).hexdigest()[:8]
    try:
        for place in (folder.parent, folder):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            if writer := who_else_may_write(place):
                return None, f"{place} is not used to keep compiled code: {writer}"
        if to_write:
            open_folder(folder)
    except (OSError, InputError):
        return None, ""
    return folder, ""


def who_else_may_write(folder: Path) -> str:
    """Who but this user could put code into the folder, and what to do, as a clause; empty where nobody could."""
    if not hasattr(os, "getuid"):
        return ""
    state = folder.stat()
    if state.st_uid != os.getuid():
        return f"it belongs to another user; set {VARIABLE} to a folder of yours"
    if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to it; remove it, or set {VARIABLE} to another folder"
    return ""


def cache_folder(environment: Mapping[str, str], system: str) -> Path | None:
    """Where compiled code goes by the customs of the system (`sys.platform`), or None where the user wants no cache."""
    if VARIABLE in environment:
        folder = user_path(environment[VARIABLE])
        if folder.parts and folder.parts[0].startswith("~"):
            raise InputError(f"{VARIABLE}={environment[VARIABLE]}: there is no such user; give a folder")
        return folder if environment[VARIABLE] else None
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home folder
        return None
    if system == "darwin":
        return home / "Library" / "Caches" / "emoca_jax"
    if system == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "emoca_jax" / "Cache"
    # The XDG standard has relative paths ignored.
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else home / ".cache") / "emoca_jax"


def processor() -> str:
    """What the processor is and can do, as far as the system tells without asking for privileges."""
    kind = f"{platform.machine()} {platform.processor()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return kind
    told = {line.partition(":")[0].strip(): line.partition(":")[2] for line in lines}
    return kind + "".join(told.get(key, "") for key in ("model name", "flags", "Features"))

"""Whether the kernels for NVIDIA GPUs draw where nothing is said: a process of its own tries them on this GPU, once.

A kernel that crashes, hangs or draws other faces than plain JAX then costs a warning, and nobody's run. What came of it
is kept in the folder for compiled code, for this kind of GPU, its CUDA, these kernels and versions.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import signal
import subprocess
import sys
import threading
import warnings
from importlib.metadata import version
from pathlib import Path

import jax

from emoca_jax.errors import InputError
from emoca_jax.files.code_cache import guarded_folder
from emoca_jax.files.whole import write_file
from emoca_jax.render.backends.warp_kernels import presence

CODE = """
import sys
sys.path.append(sys.argv[1])
from emoca_jax.render.backends.warp.alike import main
sys.exit(main(sys.argv[2]))
"""
"""What the process runs, of this package's folder and the key of what is tried, which it must find the same."""
LONGEST = 300
"""Seconds after which a trial hangs."""
ALIKE, DIFFERS = "alike", "differs"
"""Before the key, the last line of a trial that came to its end; what differs stands in the line before. The first is
what is kept of one that went well, of others the reason."""
CRASHES = tuple(-getattr(signal, name) for name in ("SIGSEGV", "SIGABRT", "SIGBUS") if hasattr(signal, name))
"""Exit codes of what will crash again. Of other ends without an answer nothing is kept: the GPU may have been full."""
MOST_KEPT = 500
"""Letters of a reason."""
FOR_THE_TRIAL = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "EMOCA_JAX_BACKEND": "jax", "JAX_TRACEBACK_FILTERING": "off",
}  # fmt: skip
"""Most of the GPU's memory may be taken already; what is tried says its back end; errors end with their own words."""
NOT_FOR_THE_TRIAL = ("JAX_PLATFORMS", "XLA_FLAGS", "JAX_ENABLE_X64", "JAX_DISABLE_JIT")
BACKENDS = Path(__file__).parents[1]
_lock = threading.Lock()


def draw_unasked() -> bool:
    """Whether the kernels draw on this GPU where nothing is said; if not, one warning a process says why."""
    with _lock:
        reason = _why_not_unasked()
    return not reason


@functools.cache
def _why_not_unasked() -> str:
    # warp is not imported here before it has been seen to work.
    reason = presence.why_missing() or _other_processes() or _tried() or presence.why_not_there()
    if reason:
        warnings.warn(
            f"This GPU draws in plain JAX: {reason} (EMOCA_JAX_BACKEND=jax: no more of this)",
            RuntimeWarning, stacklevel=4,
        )  # fmt: skip
    return reason


def _other_processes() -> str:
    """All processes of one program must draw alike, and each would try by itself."""
    several = "several processes share a program; EMOCA_JAX_BACKEND=warp has all of them draw by kernels"
    return several if jax.process_count() > 1 else ""


def _tried() -> str:
    folder, refused = guarded_folder()
    if folder is None:
        return refused or "there is no folder to keep a trial of the kernels in; set EMOCA_JAX_CACHE to one"
    if not sys.executable or getattr(sys, "frozen", False):
        return "there is no Python to try the kernels with; EMOCA_JAX_BACKEND=warp draws by them without a trial"
    key = key_here()
    # -P: nothing in the folder where the user is takes the place of a module.
    command = (sys.executable, "-P", "-c", CODE, str(BACKENDS.parents[2]), key)
    return verdict(folder / f"warp-trial-{key}", command)


def verdict(kept: Path, command: tuple[str, ...], *, longest: float = LONGEST) -> str:
    """Why the kernels are not to draw here, as a clause that says what to do; empty where they draw alike.

    kept: the file with what came of it, which is written where there is none. command: what tries; its last word is the
    key. longest: seconds.
    """
    if told := _read(kept):
        return "" if told == ALIKE else _with_a_way_out(told, kept)
    told, lasting = _run(command, longest)
    # Another process may have had an answer meanwhile.
    if told != ALIKE and _read(kept) == ALIKE:
        return ""
    if lasting:
        # A full disk: the next process tries again.
        with contextlib.suppress(InputError):
            write_file(kept, told.encode())
        return "" if told == ALIKE else _with_a_way_out(told, kept)
    return f"the kernels for GPUs could not be tried ({told}); the next process tries again"


def _read(kept: Path) -> str:
    try:
        return kept.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _with_a_way_out(reason: str, kept: Path) -> str:
    return f"the kernels for GPUs failed their trial ({reason}); remove {kept} to have them tried again"


def _run(command: tuple[str, ...], longest: float) -> tuple[str, bool]:
    """ALIKE, or what went wrong, in a line; and whether another trial would end likewise."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_TRIAL}
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=longest,
                              check=False, env=environment | FOR_THE_TRIAL)  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer within {longest:g} seconds", False
    except OSError as error:
        return f"it could not be begun: {error}", False
    lines = done.stdout.strip().splitlines() or [""]
    if lines[-1] == f"{ALIKE} {command[-1]}":
        return ALIKE, True
    if lines[-1] == f"{DIFFERS} {command[-1]}":
        return lines[-2:][0][:MOST_KEPT], True
    told = (done.stderr.strip().splitlines() or lines)[-1] or f"exit code {done.returncode}"
    return told[:MOST_KEPT], done.returncode in CRASHES


def key_here() -> str:
    """Changes with whatever the verdict depends on."""
    found = hashlib.sha256()
    for path in (*sorted(BACKENDS.glob("warp*/*.py")), *sorted(BACKENDS.glob("*.py"))):
        found.update(path.read_bytes())
    device = jax.local_devices()[0]
    told = [device.device_kind, device.client.platform_version, *map(version, ("jax", "jaxlib", "warp-lang"))]
    found.update("\n".join(told).encode())
    return found.hexdigest()[:16]

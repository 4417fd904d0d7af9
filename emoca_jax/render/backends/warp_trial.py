"""Whether the kernels for NVIDIA GPUs draw where nothing is said: a process of its own tries them on this GPU, once.

A kernel that crashes, hangs or draws other faces than plain JAX then costs a warning, and nobody's run. What came of it
is kept in the folder for compiled code, for this GPU, its driver, these kernels and versions.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
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

TRIAL = "emoca_jax.render.backends.trial"
"""The module that draws with the kernels and with plain JAX, says in a line what differs, and exits with 0 if nothing
does."""
LONGEST = 300
"""Seconds after which a trial hangs."""
ALIKE = "alike"
"""What is kept of a trial that went well; of others the reason."""
MOST_KEPT = 500
"""Letters of a reason."""
SHARES_THE_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "EMOCA_JAX_BACKEND": ""}
"""For the process that tries: most of the GPU's memory may be this process's already."""
NOT_FOR_THE_TRIAL = ("JAX_PLATFORMS", "XLA_FLAGS", "JAX_ENABLE_X64", "JAX_DISABLE_JIT")
BACKENDS = Path(__file__).parent
_lock = threading.Lock()


def draw_unasked() -> bool:
    """Whether the kernels draw on this GPU where nothing is said; if not, one warning a process says why."""
    with _lock:
        reason = _why_not_unasked()
    return not reason


@functools.cache
def _why_not_unasked() -> str:
    reason = presence.why_not_there() or _other_processes() or _tried()
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
    return verdict(folder / f"warp-trial-{_key()}", (sys.executable, "-m", TRIAL))


def verdict(kept: Path, command: tuple[str, ...], *, longest: float = LONGEST) -> str:
    """Why the kernels are not to draw here, as a clause that says what to do; empty where they draw alike.

    kept: the file with what came of it, which is written where there is none. command: what tries. longest: seconds.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if told := kept.read_text("utf-8"):
            return "" if told == ALIKE else _with_a_way_out(told, kept)
    told = _run(command, longest)
    # A full disk: the next process tries again.
    with contextlib.suppress(InputError):
        write_file(kept, told.encode())
    return "" if told == ALIKE else _with_a_way_out(told, kept)


def _with_a_way_out(reason: str, kept: Path) -> str:
    return f"the kernels for GPUs failed their trial ({reason}); remove {kept} to have them tried again"


def _run(command: tuple[str, ...], longest: float) -> str:
    """ALIKE, or what went wrong, in a line."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_TRIAL}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=longest, check=False,
                              env=environment | SHARES_THE_GPU, cwd=BACKENDS.parents[2])  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer within {longest:g} seconds"
    except OSError as error:
        return f"it could not be begun: {error}"
    if done.returncode == 0:
        return ALIKE
    told = (done.stdout.strip() or done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    return told[:MOST_KEPT]


def _key() -> str:
    """Changes with whatever the verdict depends on."""
    found = hashlib.sha256()
    for path in [
        *sorted((BACKENDS / "warp_kernels").glob("*.py")),
        *sorted(BACKENDS.glob("warp_*.py")),
        BACKENDS / "trial.py",
    ]:
        found.update(path.read_bytes())
    device = jax.local_devices()[0]
    told = [device.device_kind, device.client.platform_version, *map(version, ("jax", "jaxlib", "warp-lang"))]
    found.update("\n".join(told).encode())
    return found.hexdigest()[:16]

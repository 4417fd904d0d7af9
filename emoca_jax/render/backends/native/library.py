"""Kernels found, compiled where they are missing, kept, and made known to XLA.

Compiling takes some seconds and numba, in a process of its own; what comes of it is kept in the folder for compiled
code, and from then on loading takes some hundredths of a second and llvmlite alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import threading
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import jax

from emoca_jax.errors import InputError
from emoca_jax.files.code_cache import guarded_folder
from emoca_jax.files.whole import write_file

Library = Literal["hard", "soft", "colour", "outline", "blend"]
KERNELS: dict[Library, tuple[str, ...]] = {
    "hard": ("surface", "surface_weights", "surface_derivative"),
    "soft": ("silhouette", "silhouette_derivative"),
    "blend": ("blend", "blend_derivative"),
    "outline": ("smooth", "smooth_to_image", "smooth_to_vertices"),
    "colour": (
        "mix", "mix_to_weights", "mix_to_attributes", "look_up", "look_up_to_points", "look_up_to_texels", "shade",
        "shade_to_normals", "shade_to_light", "normal_sums", "normal_sums_derivative",
    ),
}  # fmt: skip
"""Names of the kernels that are compiled together, by what they are called together (`compiling.PARTS`)."""
BACKENDS = Path(__file__).parents[1]
SHARED = (
    "edge_functions.py",
    "native/dialect.py",
    "native/blend.py",
    "native/colour.py",
    "native/outline.py",
    "soft_pairs.py",
)
"""Files in that folder, beside all of `kernels`, whose constants are compiled in."""
COMPILER = "native/compiling.py"
LONGEST = 300
"""Seconds after which compiling hangs."""
failed: list[Library] = []
"""Libraries that could not be compiled in this process, though numba is there."""
_lock = threading.Lock()
_engines: list[Any] = []
"""What keeps loaded code in memory."""


def target(kernel: str) -> str:
    """The name by which XLA knows a kernel."""
    return f"emoca_{kernel}"


def is_loaded(library: Library) -> bool:
    """Whether XLA can call the kernels of a library in this process, which this sees to if it can be done."""
    return why_not(library) == ""


def why_not(library: Library) -> str:
    """Why there are no kernels, as a clause that says what to do; empty where there are. Loads, compiles first if need
    be."""
    with _lock:
        return _why_not(library)


@functools.cache
def _why_not(library: Library) -> str:
    if sys.maxsize < 2**32 or sys.platform == "win32":
        return "they are for 64-bit Linux and macOS"
    if not _call_frame_is_known():
        return f"jax {jax.__version__} calls in a way that is not known here; take another version of jax"
    if importlib.util.find_spec("llvmlite") is None or importlib.util.find_spec("numba") is None:
        return "numba is missing; install it with: pip install 'emoca-jax[fast]'"
    # One that cannot be written to may hold compiled ones all the same.
    folder, refused = guarded_folder(to_write=False)
    path = folder / f"kernels-{library}-{_key()}.o" if folder else None
    code = _read(path) if path else None
    if code is None:
        if path is None or guarded_folder()[0] is None:
            return refused or "there is no folder to keep them in; set EMOCA_JAX_CACHE to one"
        code = _compile(library, path)
    if code is None:
        failed.append(library)
        return "numba could not compile them; leave backend out"
    _register(library, code)
    return ""


def _call_frame_is_known() -> bool:
    """Whether this jaxlib's calls are those of major version 0, which `call_frame` reads."""
    try:
        header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
        return re.search(r"#define XLA_FFI_API_MAJOR 0\s", header.read_text()) is not None
    except (OSError, AttributeError):
        return False


def _key() -> str:
    """Changes with whatever the code depends on but the processor, which the folder stands for."""
    found = hashlib.sha256()
    for path in [*sorted((BACKENDS / "kernels").glob("*.py")), *(BACKENDS / name for name in (*SHARED, COMPILER))]:
        found.update(path.read_bytes())
    for package in ("numba", "llvmlite"):
        found.update(version(package).encode())
    return found.hexdigest()[:16]


def _read(path: Path) -> bytes | None:
    """Kept code, None where it is missing or damaged: its hash stands in front of it."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def _compile(library: Library, path: Path) -> bytes | None:
    with tempfile.TemporaryDirectory(prefix="emoca_jax_") as folder:
        made = Path(folder) / "kernels.o"
        command = [sys.executable, "-m", "emoca_jax.render.backends.native.compiling", library, str(made)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False,
                                  cwd=Path(__file__).parents[4])  # fmt: skip
            code = made.read_bytes()
        except (OSError, subprocess.TimeoutExpired) as error:
            told = done.stderr.strip().splitlines() if "done" in locals() else []
            warnings.warn(
                f"numba could not compile faster drawing ({told[-1] if told else error}); drawing in plain JAX",
                RuntimeWarning, stacklevel=2,
            )  # fmt: skip
            return None
    with contextlib.suppress(InputError):
        write_file(path, hashlib.sha256(code).digest() + code)
    return code


def _register(library: Library, code: bytes) -> None:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_triple(binding.get_process_triple()).create_target_machine()
    # All in one block: sections that the system puts more than 2 GB apart end the process.
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine, use_lmm=True)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    for kernel in KERNELS[library]:
        function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address(target(kernel)))
        jax.ffi.register_ffi_target(target(kernel), jax.ffi.pycapsule(function), platform="cpu")

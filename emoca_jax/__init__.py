"""One photo of a face in, an animatable 3D head that feels what the person feels out: EMOCA in JAX."""

from importlib import import_module

TYPE_CHECKING = False
"""As type checkers know it. `typing` takes 2 ms to import, in which nobody guards ^C."""

if TYPE_CHECKING:
    from emoca_jax import flame, render
    from emoca_jax.codes import Codes
    from emoca_jax.errors import InputError
    from emoca_jax.flame import load_head
    from emoca_jax.jobs.one_person import reconstruct_person
    from emoca_jax.jobs.reconstruct import encode_faces, load_model, reconstruct
    from emoca_jax.jobs.result import FaceResult
    from emoca_jax.model import Reconstruction, decode

__all__ = [
    "Codes",
    "FaceResult",
    "InputError",
    "Reconstruction",
    "decode",
    "encode_faces",
    "flame",
    "load_head",
    "load_model",
    "reconstruct",
    "reconstruct_person",
    "render",
]

HOME = {
    "Codes": "codes",
    "FaceResult": "jobs.result",
    "InputError": "errors",
    "Reconstruction": "model",
    "decode": "model",
    "encode_faces": "jobs.reconstruct",
    "load_head": "flame",
    "load_model": "jobs.reconstruct",
    "reconstruct": "jobs.reconstruct",
    "reconstruct_person": "jobs.one_person",
}


def __getattr__(name: str) -> object:
    """Import on first use (PEP 562), so that `emoca --help` need not wait for jax."""
    if name in HOME:
        return getattr(import_module(f"emoca_jax.{HOME[name]}"), name)
    if name in ("flame", "render"):
        return import_module(f"emoca_jax.{name}")
    raise AttributeError(f"module 'emoca_jax' has no attribute '{name}'")

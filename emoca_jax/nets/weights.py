"""Network weights as flat .npz files: one array per parameter, named by its path, half floats allowed on disk."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from emoca_jax.errors import InputError

Parameters = dict


def load_weights(path: str | Path) -> Parameters:
    """Flax parameters ({"params": nested dictionary of float32 arrays}) from a .npz file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            # Cast in NumPy: on the device each shape would be a program of its own to compile.
            flat = {name: archive[name].astype(np.float32) for name in archive.files}
    except (OSError, ValueError) as error:
        raise InputError(
            f"The weights {path} cannot be read ({error}); reinstall the package or rebuild them."
        ) from error
    return {"params": unflatten_dict(jax.device_put(flat), sep="/")}


def load_shipped_weights(name: str) -> Parameters:
    """Weights of a network that ships with the package, by file name without ending."""
    with resources.as_file(resources.files("emoca_jax") / "assets" / f"{name}.npz") as path:
        return load_weights(path)


def save_weights(path: str | Path, parameters: Parameters, *, dtype: np.typing.DTypeLike = np.float16) -> None:
    """Writes {"params": ...} as a .npz file that `load_weights` reads; the same parameters give the same bytes."""
    flat = flatten_dict(parameters["params"], sep="/")
    arrays: dict[str, Any] = {name: np.asarray(flat[name], dtype) for name in sorted(flat)}
    np.savez(path, **arrays)

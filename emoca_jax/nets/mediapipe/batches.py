"""In how large batches the small networks that find faces are run, the same everywhere: each size is a program more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Float, UInt8

from emoca_jax.running_on import backend


def view_batch() -> int:
    """Inputs that a network takes at once; asking when imported would start jax, too early for many hosts.

    Inputs are padded to one batch size per network: each is a program of its own to trace and compile, seconds at every
    start. On a CPU one by one: the detectors gain nothing from batches, the mesh network less (four crops 11.3 ms, one
    3.2) than it loses where two of a face's looks are alone.
    """
    return 1 if backend() == "cpu" else 4


def run_batched(
    call: Callable[[UInt8[np.ndarray, "..."]], tuple[Float[Array, "..."], ...]],
    inputs: UInt8[np.ndarray, "inputs *shape"],
    size: int,
) -> list[Float[np.ndarray, "inputs ..."]]:
    """Outputs of a network for one or more inputs, run in batches of this size with the last one padded."""
    outputs = []
    for start in range(0, len(inputs), size):
        part = inputs[start : start + size]
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        outputs.append([np.asarray(output)[: len(part)] for output in call(padded)])
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]

"""In how large batches the small networks that find faces are run, the same everywhere: each size is a program more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from emoca_jax.running_on import backend, cores

Result = TypeVar("Result")
CONFIG: Any = jax.config


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
    """Outputs of a network for one or more inputs, run in batches of this size with the last one padded.

    As many batches at once as there are cores: one of these networks alone does not keep two busy.
    """

    def told(start: int) -> list[np.ndarray]:
        part = inputs[start : start + size]
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        return [np.asarray(output)[: len(part)] for output in call(padded)]

    # Alone, as it may have to be compiled first, which each thread would do for itself.
    outputs = [told(0), *at_once(told, range(size, len(inputs), size))]
    return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]


def at_once(work: Callable[..., Result], *items: Iterable[Any]) -> list[Result]:
    """`map` in as many threads as there are cores, for work that leaves Python's lock.

    One after another in threads of a caller's own, which may outlive the interpreter's pools, and where JAX was told in
    this thread alone on what device or how to run: others would not know.
    """
    each = list(zip(*items, strict=True))
    told = CONFIG.jax_default_device is not None or CONFIG.jax_disable_jit
    if len(each) < 2 or told or threading.current_thread() is not threading.main_thread():
        return [work(*own) for own in each]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(cores(), len(each))) as pool:
        return list(pool.map(lambda own: work(*own), each))

"""Where programs run, for the few that are chosen by it: a CPU wants other ones than a GPU or a TPU."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import jax

CONTAINER_SHARE = Path("/sys/fs/cgroup/cpu.max")
"""What a container reads its own share of the processor from."""
DESCRIBED: ContextVar[str | None] = ContextVar("described", default=None)


def backend() -> str:
    """ "cpu", "gpu" or "tpu". Asking starts jax, so it is asked when a program is made, not when a module is read."""
    return DESCRIBED.get() or jax.default_backend()


def cores() -> int:
    """Processor cores that this process may use, a container's share of them (Linux's cgroups, version 2) included."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share = _cores_of(CONTAINER_SHARE.read_text())
    except (OSError, ValueError):
        return allowed
    return min(allowed, share) if share else allowed


def _cores_of(share: str) -> int | None:
    """Whole cores of "MICROSECONDS PERIOD", at least one; None where a container may use all. Errors: ValueError."""
    quota, period = share.split()
    return None if quota == "max" else max(1, int(quota) // int(period))


@contextlib.contextmanager
def as_if_on(name: str) -> Iterator[None]:
    """Programs made inside are those of that backend, to be compiled for a machine that is not there."""
    token = DESCRIBED.set(name)
    try:
        yield
    finally:
        DESCRIBED.reset(token)

"""Batches of examples that fit in memory: codes for EMO-MLP, fixtures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emoca_jax.errors import InputError


class InMemory:
    """Shuffled batches without end; which examples a batch has depends on seed and place alone.

    examples: arrays that share their first axis. batch: examples of one, over all processes; each process makes its own
    part. What an epoch has beyond whole batches is left out of it.
    """

    def __init__(
        self, examples: Mapping[str, np.ndarray], batch: int, *, seed: int = 0, process: int = 0, processes: int = 1
    ) -> None:
        self._examples = dict(examples)
        self._count = next(iter(self._examples.values())).shape[0]
        if not 0 < batch <= self._count or batch % processes:
            raise InputError(
                f"a batch must be a multiple of {processes} processes, at most the {self._count} examples, not {batch}"
            )
        self._batch, self._seed, self._process, self._processes = batch, seed, process, processes
        self._number = 0

    def __next__(self) -> dict[str, np.ndarray]:
        epoch, within = divmod(self._number, self._count // self._batch)
        order = np.random.Generator(np.random.Philox(key=[self._seed, epoch])).permutation(self._count)
        chosen = order[within * self._batch : (within + 1) * self._batch]
        mine = np.split(chosen, self._processes)[self._process]
        self._number += 1
        return {name: array[mine] for name, array in self._examples.items()}

    def get_state(self) -> dict[str, int]:
        return {"batches": self._number}

    def set_state(self, state: dict[str, int]) -> None:
        self._number = state["batches"]

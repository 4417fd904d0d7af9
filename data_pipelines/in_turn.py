"""Batches of examples that fit in memory, classes in turn: codes of labelled photos for EMO-MLP."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data_pipelines.order import Share, classes_in_turn
from emoca_jax.errors import InputError


class InTurn:
    """Batches without end in which classes come equally often; the place alone says which examples one has.

    examples: arrays that share their first axis, among them whole numbers `by`, the classes; no example comes twice
    before all of its class have come. batch: examples of one, over all processes; each process makes its own part.
    """

    def __init__(
        self, examples: Mapping[str, np.ndarray], batch: int, *, by: str, seed: int = 0, process: int = 0,
        processes: int = 1,
    ) -> None:  # fmt: skip
        classes = examples[by]
        if not len(classes) or batch < 1 or batch % processes:
            raise InputError(
                f"a batch must be a multiple of {processes} processes, of some of {len(classes)} examples, not {batch}"
            )
        kinds = [np.flatnonzero(classes == kind) for kind in np.unique(classes)]
        stream = classes_in_turn(kinds, seed, epochs=None)
        self._examples, self._share = dict(examples), Share(stream, batch // processes, process, processes)
        self._number = 0

    def __next__(self) -> dict[str, np.ndarray]:
        chosen = self._share[self._number]
        self._number += 1
        return {name: array[chosen] for name, array in self._examples.items()}

    def get_state(self) -> dict[str, int]:
        return {"batches": self._number}

    def set_state(self, state: dict[str, int]) -> None:
        self._number = state["batches"]

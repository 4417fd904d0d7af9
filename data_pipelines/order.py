"""Which samples come when: every number of every batch by seed and place alone, a batch at a time in NumPy.

grain's own shuffle, repeat, mix and batch pass sample by sample through seven layers of Python: 0.24 ms a sample, as
much as decoding it takes (benchmarks/pipeline.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

Numbers = Int[np.ndarray, "_"]

ENDLESS = 1 << 62
"""Draws of a stream without end; positions stay within 64 bits."""
EPOCHS_KEPT = 3
"""Orders in memory: threads may still be at the end of an epoch, or at the beginning of the next."""


class Stream(NamedTuple):
    """Draws by position, in an order that is the same for everyone."""

    draws: int
    """How many there are."""
    per_draw: int
    """Samples that come together."""
    numbers: Callable[[Numbers], Numbers]
    """Ascending positions -> numbers of samples, `per_draw` for each."""


def every_sample(count: int, seed: int, *, epochs: int | None) -> Stream:
    """All samples, epoch after epoch, each shuffled anew."""
    return Stream(_total(count, epochs), 1, _shuffled(count, seed))


def classes_in_turn(kinds: Sequence[Numbers], seed: int, *, epochs: int | None) -> Stream:
    """A sample of each class in turn; none comes twice before all of its class have come. epochs: of the rarest."""
    orders = [_shuffled(len(kind), seed, place) for place, kind in enumerate(kinds)]

    def numbers(positions: Numbers) -> Numbers:
        turn, place = positions % len(kinds), positions // len(kinds)
        result = np.empty_like(positions)
        for number, (kind, order) in enumerate(zip(kinds, orders, strict=True)):
            result[turn == number] = kind[order(place[turn == number])]
        return result

    return Stream(_total(len(kinds) * min(map(len, kinds)), epochs), 1, numbers)


def groups_side_by_side(groups: Sequence[Numbers], per_group: int, seed: int, *, epochs: int | None) -> Stream:
    """All groups, epoch after epoch, each shuffled anew, and of each `per_group` different samples, drawn anew."""
    order = _shuffled(len(groups), seed)

    def numbers(positions: Numbers) -> Numbers:
        chosen = zip(positions.tolist(), order(positions).tolist(), strict=True)
        return np.concatenate([_random(seed, place).choice(groups[group], per_group, False) for place, group in chosen])

    return Stream(_total(len(groups), epochs), per_group, numbers)


class Share(NamedTuple):
    """A process's part of every batch: the parts of all processes, one behind the other, are the stream."""

    stream: Stream
    size: int
    """Samples of a batch in each process, a multiple of the stream's `per_draw`."""
    process: int
    processes: int

    def __len__(self) -> int:
        """Whole batches; every process has as many, so that none waits for ever for the others."""
        return self.stream.draws // (self._draws * self.processes)

    def __getitem__(self, batch: int) -> Numbers:
        start = (batch * self.processes + self.process) * self._draws
        return self.stream.numbers(np.arange(start, start + self._draws))

    @property
    def _draws(self) -> int:
        return self.size // self.stream.per_draw


def _shuffled(count: int, *seed: int) -> Callable[[Numbers], Numbers]:
    """Positions in an endless row of epochs -> numbers under `count`."""

    @functools.lru_cache(EPOCHS_KEPT)
    def order(epoch: int) -> Numbers:
        return _random(*seed, epoch).permutation(np.arange(count, dtype=np.int32))

    def numbers(positions: Numbers) -> Numbers:
        epochs, places = np.divmod(positions, count)
        result = np.empty_like(positions)
        for epoch in np.unique(epochs).tolist():
            inside = epochs == epoch
            result[inside] = order(epoch)[places[inside]]
        return result

    return numbers


def _random(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _total(draws: int, epochs: int | None) -> int:
    return ENDLESS if epochs is None else draws * epochs

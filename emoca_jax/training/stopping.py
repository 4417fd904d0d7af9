"""A run that is told to stop (SIGTERM, ^C) finishes its step, saves and ends; told twice, it ends at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

import jax
from jax.experimental import multihost_utils

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Stopping:
    """While inside, signals are noted; `asked` tells of them between steps.

    Of many processes, one that is told is enough: SIGTERM is left to the notice of `jax.distributed`, by which all
    agree on a step to stop after; it looks once a second.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Stopping:
        for number in EXIT_CODES if jax.process_count() == 1 else [signal.SIGINT]:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def asked(self, step: int) -> bool:
        """Whether to stop after this step: in many processes the same."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self.signal is not None

    def exit_code(self) -> int:
        """What shells report for a process that the signal ended."""
        return EXIT_CODES[self.signal or signal.SIGTERM]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = signal.Signals(number)
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)

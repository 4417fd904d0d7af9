"""How the process ends when it is told to from outside (^C, SIGTERM): at once, whatever it is in the middle of.

Python's own way, an exception raised wherever the program happens to be, crashes imports of compiled code, is swallowed
by callbacks and waits for compilations to end. So a thread waits for the signal, puts in order what is unfinished, says
one line and ends the process. Nothing is imported here that takes time: the guard stands before all other imports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
"""Signal -> what shells report for a process that it ended."""
LINES = {130: "emoca: interrupted\n", 143: "emoca: terminated\n", 129: "emoca: the terminal is gone\n"}
PATIENCE = 0.7
"""Seconds for putting things in order; then the process ends as it is."""

_unfinished: dict[object, Callable[[], object]] = {}
_last_words: list[Callable[[], object]] = []
_finishing: list[bool] = []
_told = threading.Event()


@contextlib.contextmanager
def undone_at_end(action: Callable[[], object]) -> Iterator[None]:
    """While inside, `action` is done should a signal end the process; it is never done otherwise.

    It runs in another thread at any moment, so it has to be short and harmless when done twice.
    """
    key = object()
    _unfinished[key] = action
    try:
        yield
    finally:
        _unfinished.pop(key, None)


@contextlib.contextmanager
def finished_first() -> Iterator[None]:
    """Inside, the main thread goes on when a signal comes; for what is quick and must not stay half done."""
    _finishing.append(True)
    try:
        yield
    finally:
        _finishing.pop()


@contextlib.contextmanager
def last_words(say: Callable[[], object]) -> Iterator[None]:
    """While inside, `say` prints what ^C has to tell, instead of "interrupted"."""
    _last_words.append(say)
    try:
        yield
    finally:
        _last_words.remove(say)


def end_on_signals() -> None:
    """From now on ^C and its relatives end this process with `EXIT_CODES`; for processes that are ours alone.

    Signals that whoever started the process has it ignore (nohup, & in scripts) stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    codes: dict[int, int] = {}
    for name, code in EXIT_CODES.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            # Python writes the number into the pipe only for signals that have a handler.
            signal.signal(number, _wait_for_the_end)
            codes[int(number)] = code
    threading.Thread(target=_wait, args=(reader, codes), daemon=True).start()


def _wait_for_the_end(*_: object) -> None:
    # The main thread, should it come by here, must not report that its files vanish.
    if not _finishing:
        time.sleep(2 * PATIENCE)


def _wait(reader: int, codes: dict[int, int]) -> None:
    code = None
    while code is None:
        code = codes.get(os.read(reader, 1)[0])
    _end(code)


def _end(code: int) -> None:
    def out_of_patience() -> None:
        _say(LINES[code])
        os._exit(code)

    # Whoever holds a lock that the words need may wait for something that takes long.
    timer = threading.Timer(PATIENCE, out_of_patience)
    timer.daemon = True
    timer.start()
    _put_in_order()
    with contextlib.suppress(Exception):
        if code == EXIT_CODES["SIGINT"] and _last_words:
            _show_cursor()
            _last_words[-1]()
            _told.set()
        _say(LINES[code])
        sys.stdout.flush()
    _put_in_order()  # what was begun meanwhile
    os._exit(code)


def _say(line: str) -> None:
    if not _told.is_set():
        _told.set()
        _show_cursor()
        with contextlib.suppress(OSError):
            os.write(2, line.encode())


def _show_cursor() -> None:
    """A progress line may have hidden it."""
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\r\x1b[K\x1b[?25h")


def _put_in_order() -> None:
    for action in list(_unfinished.values()):
        with contextlib.suppress(Exception):
            action()

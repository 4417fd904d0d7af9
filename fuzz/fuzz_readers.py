"""Feed damaged files to the readers of official weights: none may crash, hang, eat memory or run anything.

    python fuzz/fuzz_readers.py --runs 50000

Each file is a corpus file damaged by `mutations.mutated`, drawn from the seed and its number alone: `--first N
--runs 1` makes number N again. Whatever is read is used, too: every array is copied. A file fails if anything but
`InputError` comes out, if it takes over 5 seconds, if memory runs out (1 GiB above the start), or if meanwhile anything
happens that Python audits (imports, exec, files other than the one being read, processes, sockets). Exit code 1 if any
fails; failing files are kept in `fuzz/failures`.
"""

import argparse
import collections
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mutations import mutated

from emoca_jax.errors import InputError
from emoca_jax.safe_files.array_files import read_npy, read_npz, read_pickle
from emoca_jax.safe_files.stand_ins import SparseMatrix
from emoca_jax.safe_files.torch_files import read_torch

HERE = Path(__file__).parent
TIME_LIMIT = 5.0
MEMORY_ABOVE_START = 1 << 30
# Views may promise more than the file holds; using one means at most this many elements.
MOST_USED = 1 << 20
# Mapping the file that was opened, and asking for an object's identity.
HARMLESS = ("mmap.__new__", "builtins.id")
READERS: dict[str, Callable[[Path], Any]] = {
    ".pt": read_torch,
    ".ckpt": read_torch,
    ".tar": read_torch,
    ".pkl": read_pickle,
    ".npy": read_npy,
    ".npz": lambda path: dict(read_npz(path)),
}


class TimeLimit(BaseException):
    """A file took too long. No subclass of Exception, so that no reader catches it."""


class Forbidden(BaseException):
    """Something happened that reading a file never needs."""


class Watch:
    """Python's audit hook: while `path` is set, only reading that file is allowed."""

    def __init__(self) -> None:
        self.path: str | None = None
        self.seen: str | None = None
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple) -> None:
        if self.path is None or event in HARMLESS:
            return
        if (
            event == "open"
            and str(arguments[0]) == self.path
            and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ):
            return
        self.seen = f"{event} {arguments!r:.200}"
        self.path = None
        raise Forbidden(self.seen)


class Outcome(NamedTuple):
    """How reading one file went: "read", "refused" or "failed"."""

    verdict: str
    seconds: float
    reason: str


def outcome(read: Callable[[Path], Any], path: Path, watch: Watch) -> Outcome:
    """Read a file and use what it holds, under the time limit and the watch."""

    def too_long(_signal: int, _frame: object) -> None:
        raise TimeLimit

    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT)
    start = time.perf_counter()
    watch.seen, watch.path = None, str(path)
    verdict, reason = "read", ""
    try:
        for array in arrays_in(read(path)):
            if array.size <= MOST_USED:
                array.tobytes()
            else:
                array[(-1,) * array.ndim].tobytes()
    except InputError as error:
        verdict, reason = "refused", str(error)
        if "MemoryError" in reason:
            verdict = "failed"
    except TimeLimit:
        verdict, reason = "failed", f"took over {TIME_LIMIT} s"
    except Forbidden as error:
        verdict, reason = "failed", f"not allowed: {error}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        verdict, reason = "failed", f"{type(error).__name__}: {error}"
    finally:
        watch.path = None
        signal.setitimer(signal.ITIMER_REAL, 0)
    if watch.seen is not None:
        verdict, reason = "failed", f"not allowed: {watch.seen}"
    return Outcome(verdict, time.perf_counter() - start, reason)


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """Every array in a tree, each once."""
    todo, seen = [value], set()
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list | tuple):
            todo.extend(value)
        elif isinstance(value, SparseMatrix):
            todo.extend([value.rows, value.columns, value.values])
            if value.shape[0] * value.shape[1] <= MOST_USED:
                todo.append(value.toarray())
        elif isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                todo.extend(value.flat)
            else:
                yield value


def limit_memory() -> None:
    """Make allocations beyond 1 GiB above what is in use fail."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY_ABOVE_START, resource.RLIM_INFINITY))


def main() -> int:
    parser = argparse.ArgumentParser(description="Feed damaged files to the readers of official weights.")
    parser.add_argument("--runs", type=int, default=50_000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first file's number")
    options = parser.parse_args()

    corpus = {path.name: path.read_bytes() for path in sorted((HERE / "corpus").iterdir())}
    names, contents = list(corpus), list(corpus.values())
    watch = Watch()
    counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in names}
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / name
            path.write_bytes(corpus[name])
            # Once for each, so that what is imported on first use is there before the watch begins.
            list(arrays_in(READERS[path.suffix](path)))
        limit_memory()
        peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        for number in range(options.first, options.first + options.runs):
            chance = random.Random(f"{options.seed}/{number}")
            name = chance.choice(names)
            path = Path(folder) / f"fuzzed{Path(name).suffix}"
            data = mutated(chance, corpus[name], contents)
            path.write_bytes(data)
            result = outcome(READERS[path.suffix], path, watch)
            counts[name][result.verdict] += 1
            slowest = max(slowest, (result.seconds, f"number {number}, {name}"))
            if result.verdict == "failed":
                (HERE / "failures").mkdir(exist_ok=True)
                (HERE / "failures" / f"{options.seed}-{number}-{name}").write_bytes(data)
                print(f"number {number} ({name}): {result.reason}", flush=True)
            path.unlink()
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before
    return report(counts, seconds, slowest, peak)


def report(counts: dict[str, collections.Counter[str]], seconds: float, slowest: tuple[float, str], peak: int) -> int:
    """Print the table of verdicts; the exit code."""
    verdicts = ("refused", "read", "failed")
    print(f"| {'corpus file':<24} | {' | '.join(f'{verdict:>7}' for verdict in verdicts)} |")
    print(f"| --- | {' | '.join('---:' for _ in verdicts)} |")
    total: collections.Counter[str] = collections.Counter()
    for name, count in counts.items():
        total.update(count)
        print(f"| {name:<24} | {' | '.join(f'{count[verdict]:>7}' for verdict in verdicts)} |")
    print(f"| {'all':<24} | {' | '.join(f'{total[verdict]:>7}' for verdict in verdicts)} |")
    print(f"{sum(total.values())} files in {seconds:.1f} s; slowest {slowest[0]:.3f} s ({slowest[1]})")
    print(f"memory at most {peak >> 10} MiB above the start")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

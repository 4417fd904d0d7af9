"""How long one photo takes and how well it fits: `python benchmarks/reconstruct.py [PHOTO ...] [--process]`.

Warm times are medians in this process after one unmeasured run; `--process` also times whole `emoca reconstruct`
processes, once with an empty compilation cache and once with a filled one, and reads their peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.jpg"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="*", type=Path, default=EXAMPLES)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--process", action="store_true", help="time whole processes too, cold and warm cache")
    parser.add_argument("--units", type=int, default=5, help="strongest expression units to print per face")
    arguments = parser.parse_args()
    print_machine()
    if arguments.process:
        time_processes(arguments.photos[0])
    time_warm(arguments.photos, arguments.repeat, arguments.units)


def print_machine() -> None:
    import jax
    import jaxlib.version

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"jax {jax.__version__}, jaxlib {jaxlib.version.__version__}, {jax.devices()[0].device_kind}"
    )


def time_warm(photos: list[Path], repeat: int, units: int) -> None:
    import numpy as np

    import emoca_jax as ej
    from emoca_jax.capture.detect import detect_faces
    from emoca_jax.capture.images import read_photo

    model = ej.load_model("open")
    names = np.array(model.head.expression_names)
    errors = []
    print(f"{'photo':24} {'detect s':>9} {'total s':>8} {'error %':>8}  emotion, valence, arousal, strongest units")
    for path in photos:
        photo = read_photo(path)
        try:
            result = ej.reconstruct(model, photo, faces="largest")[0]
        except ej.InputError as problem:
            print(f"{path.name:24} {problem}")
            continue
        detection = median_seconds(lambda photo=photo: detect_faces(model.detector, photo.pixels), repeat)
        total = median_seconds(lambda photo=photo: ej.reconstruct(model, photo, faces="largest"), repeat)
        expression = np.asarray(result.codes.expression)
        strongest = np.argsort(-expression)[:units]
        told = ", ".join(f"{names[i]} {expression[i]:.2f}" for i in strongest)
        emotion = result.emotion
        print(
            f"{path.name:24} {detection:9.3f} {total:8.2f} {result.fit_error:8.3f}  {emotion.label} "
            f"{emotion.valence:+.2f} {emotion.arousal:+.2f}  {told}"
        )
        errors.append(result.fit_error)
    print(
        f"fit error, % of face width: median {np.median(errors):.3f}, 90th percentile {np.percentile(errors, 90):.3f}"
    )
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def median_seconds(call: Callable[[], object], repeat: int) -> float:
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def time_processes(photo: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "EMOCA_JAX_CACHE": str(Path(folder) / "cache")}
        for state in ("cold", "warm", "warm"):
            command = [sys.executable, "-m", "emoca_jax.cli", "reconstruct", str(photo), "--output", folder]
            began = time.perf_counter()
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            print(
                json.dumps(
                    {
                        "compilation_cache": state,
                        "process_seconds": round(seconds, 2),
                        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
                        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
                        "exit": os.waitstatus_to_exitcode(status),
                    }
                )
            )


if __name__ == "__main__":
    main()

"""Drawing on a GPU, checked and measured in one command: `python benchmarks/rasterize_gpu.py`.

With `--nvdiffrast CHECKOUT` nvdiffrast (built there first) draws the same; `--write FILE.md` keeps what is printed. On
one GPU of the H100's kind it is made to end within 8 minutes, building and compiling included; on a CPU it runs too,
slowly, where `--batch 1 --calls 1 --seconds 0` tries it out. In this order:

1. Whether the kernels for GPUs (`pip install 'emoca-jax[gpu]'`) draw what they draw on warp's CPU device, hard surfaces
   bit for bit, and what plain JAX draws on this GPU (`alike_gpu.py`). If not, the exit code is 1.
2. Images per second of every drawing by both back ends, so many calls in a row that the GPU never waits for Python.
3. nvdiffrast.
4. The whole decode of open heads with gradients to all codes, and three ResNet-50 encoders forward in float32, TF32 and
   bfloat16, with how far the codes of the latter are off (`whole_gpu.py`).
5. Bytes per second of the hard surface in plain JAX against what the memory can do (a copy of 1 GB), and the share of
   drawing in a training step with these encoders.

Targets on one H100, batch 64, 224 pixels, in images per second: hard 60,000, shaded and textured with gradients 28,000,
anti-aliased 26,000, soft with 50 faces 1,000, decode with gradients 8,000, encoders 4,000 with codes within 1e-2 of
float32's; first call within 10 s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Several programs share the GPU.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import numpy as np
import whole_gpu
from alike_gpu import differences
from rasterize import SEED, TEXTURE_SIZE, Timing, drawing_by, jobs, machine, measure, sphere

from emoca_jax.nets.encoders import IMAGE_SIZE, Encoder
from emoca_jax.render.backends import choice
from emoca_jax.render.backends.warp_kernels import presence

COPY_FLOATS = 2**28
SIZES = (224, 512)
DRAWINGS = (
    "surface",
    "shaded, textured image",
    "shaded, textured image with gradients",
    "anti-aliased outline with gradients",
    "soft outline, 50 faces",
    "soft outline, 50 faces, with gradients",
    "soft colours, 50 faces, with gradients",
)
ONCE = ("soft",)
"""Drawings that begin so take seconds in plain JAX: by it at the first size only."""
HEADER = (
    "| drawing | back end | size | batch | images/s | ms per image | first call, s |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
LONGEST = 240
"""Seconds for nvdiffrast, its build included."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--calls", type=int, default=20, help="in a row, timed together")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each drawing beside its first call")
    parser.add_argument("--nvdiffrast", type=Path, metavar="CHECKOUT")
    parser.add_argument("--write", type=Path, metavar="FILE.md")
    options = parser.parse_args()
    began, lines = time.perf_counter(), []
    faults = [] if presence.why_not_there() else list(differences())
    for line in report(options, faults):
        print(line, flush=True)
        lines.append(line)
        if options.write:
            options.write.write_text("\n".join(lines) + "\n")
    print(f"{time.perf_counter() - began:.0f} s in all")
    sys.exit(1 if faults else 0)


def report(options: argparse.Namespace, faults: list[str]) -> Iterator[str]:
    """Line by line, as they are found."""
    yield from (machine() + ".", "")
    missing = presence.why_not_there()
    yield f"Kernels: {missing}." if missing else "\n".join(faults) or "Kernels: all pictures alike."
    mesh, timings = sphere(), {}
    yield from ("", HEADER)
    for backend in ("jax",) if missing else ("warp", "jax"):
        with drawing_by(backend):
            for size in SIZES:
                drawings = jobs(mesh, options.batch, size)
                for name in DRAWINGS:
                    if backend == "jax" and size != SIZES[0] and name.startswith(ONCE):
                        continue
                    first, each = in_a_row(*drawings[name], calls=options.calls, seconds=options.seconds)
                    timings[name, backend, size] = each
                    yield row(name, backend, size, options.batch, each, f"{first:.1f}")
    if options.nvdiffrast:
        yield from peer(options)
    yield from whole(options, ("jax",) if missing else ("warp", "jax"))
    with drawing_by("jax"):
        surface = jobs(mesh, options.batch, IMAGE_SIZE)["surface"]
        yield from ("", roofline(*surface, timings["surface", "jax", IMAGE_SIZE]))
    encoding = training_step(options.batch, options.seconds)
    for backend in ("jax",) if missing else ("warp", "jax"):
        drawing = timings["shaded, textured image with gradients", backend, IMAGE_SIZE]
        yield (
            f"training step: encoders {1e3 * encoding.median:.1f} ms, shaded image with gradients ({backend}) "
            f"{1e3 * drawing:.1f} ms, drawing is {drawing / (drawing + encoding.median):.1%} of both"
        )


def whole(options: argparse.Namespace, backends: tuple[choice.Backend, ...]) -> Iterator[str]:
    """Rows of what surrounds drawing."""
    for backend in backends:
        with drawing_by(backend):
            found = whole_gpu.decoding(options.batch, seconds=options.seconds)
        yield row("decode with gradients", backend, IMAGE_SIZE, options.batch, found.seconds, f"{found.first:.1f}")
    for way, told in whole_gpu.encoding(options.batch, seconds=options.seconds).items():
        name = f"three encoders, {way}, codes off by {told.off:.1e} of their deviation"
        yield row(name, "-", IMAGE_SIZE, options.batch, told.rate.seconds, f"{told.rate.first:.1f}")


def in_a_row(function: Any, inputs: tuple[Any, ...], *, calls: int, seconds: float) -> tuple[float, float]:
    """Seconds of compiling and the first call, and of one of `calls` in a row: the median of what fits in the time."""
    start = time.perf_counter()
    function = function.lower(*inputs).compile()
    jax.block_until_ready(function(*inputs))
    first = time.perf_counter() - start
    start = time.perf_counter()
    jax.block_until_ready(function(*inputs))
    # Those that take long need no row.
    calls = max(1, min(calls, int(seconds / (time.perf_counter() - start))))
    times = []
    while not times or sum(times) < seconds:
        start = time.perf_counter()
        for _ in range(calls):
            answer = function(*inputs)
        jax.block_until_ready(answer)
        times.append(time.perf_counter() - start)
    return first, float(np.median(times)) / calls


def row(name: str, backend: str, size: int, batch: int, seconds: float, first: str) -> str:
    cells = (name, backend, size, batch, f"{batch / seconds:,.0f}", f"{1e3 * seconds / batch:.4f}", first)
    return f"| {' | '.join(map(str, cells))} |"


def peer(options: argparse.Namespace) -> Iterator[str]:
    """nvdiffrast's rows, from a process of its own."""
    mesh, rng = sphere(), np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh.npz"
        texture = rng.uniform(size=(TEXTURE_SIZE, TEXTURE_SIZE, 3)).astype(np.float32)
        vertices = np.asarray(jobs(mesh, options.batch, IMAGE_SIZE)["surface"][1][0]).reshape(options.batch, -1, 3)
        np.savez(path, vertices=vertices, faces=mesh.faces, uv=mesh.uv, uv_faces=mesh.uv_faces, texture=texture,
                 sizes=SIZES, calls=options.calls, runs=20)  # fmt: skip
        script = Path(__file__).parent / "peers" / "on_gpu_nvdiffrast.py"
        command = [sys.executable, str(script), str(path), str(options.nvdiffrast.resolve())]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            yield f"nvdiffrast did not run: {error}: {str(error.stderr)[-500:]}"
            return
    found = json.loads(done.stdout.splitlines()[-1])
    version = found.pop("version")
    for name, seconds in found.items():
        drawing, _, size = name.rpartition(" ")
        yield row(drawing, f"nvdiffrast {version}", int(size), options.batch, seconds, "-")


def roofline(function: Any, inputs: tuple[Any, ...], seconds: float) -> str:
    """Bytes per second, if inputs are read once, results written once and temporaries both, beside a plain copy."""
    memory = function.lower(*inputs).compile().memory_analysis()
    needed = memory.argument_size_in_bytes + memory.output_size_in_bytes + 2 * memory.temp_size_in_bytes
    copy = measure(jax.jit(lambda x: x + 1), jnp.zeros(COPY_FLOATS), runs=20)
    possible, moved = 2 * 4 * COPY_FLOATS / copy.median, needed / seconds
    return (
        f"surface in plain JAX: {moved / 1e9:,.1f} GB/s (inputs and results once, temporaries written and read once), "
        f"a copy reaches {possible / 1e9:,.0f} GB/s, so {moved / possible:.1%} of the memory roofline"
    )


def training_step(batch: int, seconds: float) -> Timing:
    """Three encoders, forward and backward in training mode, as they stand beside the renderer in a step."""
    images = jnp.zeros((batch, IMAGE_SIZE, IMAGE_SIZE, 3))
    encoders = [Encoder(outputs) for outputs in whole_gpu.OUTPUTS]
    variables = [jax.jit(encoder.init)(jax.random.key(0), images[:1]) for encoder in encoders]

    def loss(params, rest, images):
        total = 0.0
        for encoder, own, others in zip(encoders, params, rest, strict=True):
            out, _ = encoder.apply({"params": own, **others}, images, train=True, mutable=["batch_stats"])
            total += jnp.mean(out**2)
        return total

    params = [variable["params"] for variable in variables]
    rest = [{key: value for key, value in variable.items() if key != "params"} for variable in variables]
    return measure(jax.jit(jax.grad(loss)), params, rest, images, runs=20, seconds=seconds)


if __name__ == "__main__":
    main()

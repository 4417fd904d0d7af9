"""Drawing on a GPU, checked and measured in one command: `python benchmarks/rasterize_gpu.py`.

With `--nvdiffrast CHECKOUT` nvdiffrast (built there first) draws the same; `--write FILE.md` keeps what is printed. On
one GPU of the H100's kind it is made to end within 8 minutes, building and compiling included; on a CPU it runs too,
slowly, where `--batch 1 --calls 1 --seconds 0` tries it out. In this order:

1. Whether the kernels for GPUs (`pip install 'emoca-jax[gpu]'`) draw what they draw on warp's CPU device, hard surfaces
   bit for bit, and what plain JAX draws on this GPU. If not, the exit code is 1.
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
import functools
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
from rasterize import SEED, TEXTURE_SIZE, Timing, drawing_by, jobs, machine, measure, sphere

from emoca_jax import render
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
)
ONCE = ("soft",)
"""Drawings that begin so take seconds in plain JAX: by it at the first size only."""
HEADER = (
    "| drawing | back end | size | batch | images/s | ms per image | first call, s |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
CHECKED = 48
"""Pixels of the pictures that are compared, which a CPU draws as well."""
SAME_GRADIENT = 1e-4
SAME_SOFT = (2e-4, 1e-3)
"""Values and gradients: a face just within the blur here and just beyond it there weighs 1e-4."""
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


def differences() -> Iterator[str]:
    """In which pictures the kernels differ, on this platform, from warp's CPU device and from plain JAX."""
    rng = np.random.default_rng(SEED)
    ball, size = sphere(), (CHECKED, CHECKED + 9)
    soup = rng.uniform(-1.3, 1.3, (2, 40, 3)).astype(np.float32), rng.integers(0, 40, (60, 3)).astype(np.int32)
    # Nearer than the plane at which perspective begins in places, nowhere behind the camera, where the soup is.
    vertices = np.asarray(ball.vertices)[None] + np.array([0, 0, 1.2], np.float32)
    scenes = {"ball": (vertices, np.asarray(ball.faces, np.int32)), "soup": soup}
    ways: dict[str, dict[str, Any]] = {
        "as it is": {}, "official": {"official": True, "cull": "back"},
        "perspective": {"perspective": True, "near": 0.3},
    }  # fmt: skip
    for scene, (vertices, faces) in scenes.items():
        weights = rng.normal(size=(len(vertices), *size, 4)).astype(np.float32)
        for way, rules in ways.items():
            here = drawn("warp", vertices, faces, weights, size, rules)
            with jax.default_device(jax.local_devices(backend="cpu")[0]):
                exact = drawn("warp", vertices, faces, weights, size, rules)
            plain = drawn("jax", vertices, faces, weights, size, rules)
            name = f"{scene}, {way}"
            for what, ours, theirs in zip(("faces", "barycentrics", "depths"), here, exact, strict=False):
                if not np.array_equal(ours, theirs):
                    yield f"{name}: {what} are not those of the CPU, {np.mean(ours != theirs):.2e} of them"
            other = here[0] != plain[0]
            if other.any():
                yield f"{name}: other faces than plain JAX in {other.sum()} of {other.size} pixels"
            for against, other_gradient in (("the CPU", exact[3]), ("plain JAX", plain[3])):
                far = np.abs(here[3] - other_gradient).max() / max(1.0, np.abs(other_gradient).max())
                if not far < SAME_GRADIENT and not other.any():
                    yield f"{name}: the gradient is {far:.1e} of its largest number away from that of {against}"
        on_cpu, blurred = jax.local_devices(backend="cpu")[0], functools.partial(softened, vertices, faces, size)
        here, plain = blurred("warp"), blurred("jax")
        with jax.default_device(on_cpu):
            exact = blurred("warp")
        for against, theirs in (("the CPU", exact), ("plain JAX", plain)):
            for what, ours, other, most in zip(("values", "gradients"), here, theirs, SAME_SOFT, strict=True):
                far = np.abs(ours - other).max() / np.abs(other).max()
                if not far < most:
                    yield f"{scene}, soft: {what} are {far:.1e} of the largest away from those of {against}"


def softened(
    vertices: np.ndarray, faces: np.ndarray, size: tuple[int, int], backend: choice.Backend
) -> tuple[np.ndarray, np.ndarray]:
    """A soft silhouette of the 50 nearest faces, and the gradient of its mean square."""

    def loss(vertices):
        image = render.soft_silhouette(vertices, jnp.asarray(faces), size, sigma=1e-3, backend=backend)
        return jnp.mean(image**2), image

    gradient, image = jax.jit(jax.grad(loss, has_aux=True))(jnp.asarray(vertices))
    return np.asarray(image), np.asarray(gradient)


def drawn(
    backend: choice.Backend, vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, size: tuple[int, int],
    rules: dict[str, Any],
) -> list[np.ndarray]:  # fmt: skip
    """Faces, barycentrics, depths, and the gradient of a weighed sum of the last two."""

    def loss(vertices):
        seen = render.rasterize(vertices, jnp.asarray(faces), size, backend=backend, **rules)
        depth = jnp.where(seen.face_index >= 0, seen.depth, 0.0)
        return jnp.sum(seen.barycentric * weights[..., :3]) + jnp.sum(depth * weights[..., 3]), seen

    gradient, seen = jax.jit(jax.grad(loss, has_aux=True))(jnp.asarray(vertices))
    return [np.asarray(array) for array in (seen.face_index, seen.barycentric, seen.depth, gradient)]


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

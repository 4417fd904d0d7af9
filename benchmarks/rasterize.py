"""How long drawing a mesh takes here: `python benchmarks/rasterize.py [--mesh open|sphere|dense] [--runs N]`.

Prints a table for the visible surface, a shaded textured image, that image with its gradients to vertices, texture and
light, the three ways to outlines with gradients (anti-aliased, soft with the nearest 4 or 50 faces per pixel), and soft
colours; by every back end that draws here (docs/rendering.md), or the one that `--backend` names. The fastest run and
the processor time stand beside the median because other programs on the machine disturb them less. Memory is what the
compiled program allocates beside its inputs. `benchmarks/rasterize_peers.py` compares with others.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import platform
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax import render
from emoca_jax.arrays import to_rank
from emoca_jax.render.backends import choice

SEED = 0
TEXTURE_SIZE = 512
FRONT = 3.0
"""Added to depths: pytorch3d's soft rasteriser and ours ignore what has none in front of the camera."""


class Mesh(NamedTuple):
    """Vertices on the image plane and what is needed to colour them."""

    vertices: jax.Array
    faces: jax.Array
    uv: jax.Array
    uv_faces: jax.Array


class Timing(NamedTuple):
    first: float
    median: float
    fastest: float
    processor: float
    """Of all threads together, mean of the runs."""
    memory: int = 0
    """Bytes that the compiled program allocates for results and on the way."""


def sphere(columns: int = 101, rows: int = 50) -> Mesh:
    """A bumpy ball that fills the image with about as many faces as FLAME's 9,976."""
    v, u = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns), indexing="ij")
    polar, around = np.pi * v, 2 * np.pi * u
    radius = 0.85 + 0.08 * np.sin(5 * around) * np.sin(polar) ** 2
    xyz = np.stack([radius * np.sin(polar) * np.cos(around), radius * np.cos(polar),
                    radius * np.sin(polar) * np.sin(around)], axis=-1)  # fmt: skip
    number = np.arange((rows + 1) * columns).reshape(rows + 1, columns)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    arrays = (xyz.reshape(-1, 3).astype(np.float32), faces, np.stack([u, 1 - v], -1).reshape(-1, 2), faces)
    return Mesh(*(jnp.array(array) for array in arrays))


def dense() -> Mesh:
    """The ball with as many vertices as EMOCA's detail mesh, 59,315."""
    return sphere(345, 171)


def open_head() -> Mesh:
    """The shipped head's template, filling the image from top to bottom."""
    from emoca_jax import flame

    head = flame.load_head("open")
    low, high = head.template.min(0), head.template.max(0)
    scale = 1.8 / (high - low)[1]
    camera = jnp.stack([scale, *(-(low + high) / 2)[:2]])
    return Mesh(render.weak_perspective(head.template, camera), head.faces, head.uv, head.uv_faces)


MESHES: dict[str, Callable[[], Mesh]] = {"open": open_head, "sphere": sphere, "dense": dense}


def measure(function: Any, *arguments: Any, runs: int, seconds: float = 10.0) -> Timing:
    """Time a jitted function: one first call, then `runs` more or as many as fit into the time, two at least."""
    start = time.perf_counter()
    function = function.lower(*arguments).compile()
    jax.block_until_ready(function(*arguments))
    first = time.perf_counter() - start
    times, processor = [], time.process_time()
    while len(times) < 2 or (len(times) < runs and sum(times) < seconds):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    processor = (time.process_time() - processor) / len(times)
    needed = function.memory_analysis()
    memory = needed.temp_size_in_bytes + needed.output_size_in_bytes if needed else 0
    return Timing(first, float(np.median(times)), min(times), processor, memory)


def jobs(mesh: Mesh, batch: int, size: int) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """What is timed, with its inputs: every image of a batch a little different."""
    rng = np.random.default_rng(SEED)
    lead = () if batch == 1 else (batch,)
    shift = jnp.array(rng.uniform(-0.02, 0.02, (*lead, 1, 3)), jnp.float32)
    shift = shift + to_rank(jnp.array([0, 0, FRONT]), shift.ndim)
    vertices = to_rank(mesh.vertices, shift.ndim) + shift
    texture = jnp.array(rng.uniform(size=(TEXTURE_SIZE, TEXTURE_SIZE, 3)), jnp.float32)
    light = jnp.zeros((*lead, 9, 3)).at[..., 0, :].set(3.0).at[..., 3, :].set(0.5)
    faces, uv, uv_faces = mesh.faces, mesh.uv, mesh.uv_faces
    colours = jnp.array(rng.uniform(size=(len(mesh.vertices), 3)), jnp.float32)

    def surface(vertices, faces):
        return render.rasterize(vertices, faces, (size, size))

    def image(vertices, texture, light, faces, uv, uv_faces):
        fragments = render.rasterize(vertices, faces, (size, size))
        # The screen's y and depth run against the world's: back to it for the normals.
        world = vertices * to_rank(jnp.array([1.0, -1.0, -1.0]), vertices.ndim)
        normals = render.interpolate(fragments, render.vertex_normals(world, faces), faces)
        colour = render.sample_texture(texture, render.interpolate(fragments, uv, uv_faces))
        return colour * render.spherical_harmonics(render.normalize(normals), light)

    def antialiased(vertices, faces, edges):
        fragments = render.rasterize(vertices, faces, (size, size))
        inside = (fragments.face_index >= 0).astype(jnp.float32)[..., None]
        return render.antialias(inside, fragments, vertices, faces, mesh_edges=edges)

    def soft(nearest):
        return lambda vertices, faces: render.soft_silhouette(vertices, faces, (size, size), faces_per_pixel=nearest)

    def coloured(vertices, colours, faces):
        return render.soft_rasterize(vertices, faces, colours, (size, size), faces_per_pixel=50)

    def with_gradient(function, argnums: Any = 0):
        def loss(*inputs):
            return jnp.mean(function(*inputs) ** 2)

        return jax.jit(jax.value_and_grad(loss, argnums=argnums))

    inputs = (vertices, texture, light, faces, uv, uv_faces)
    return {
        "surface": (jax.jit(surface), (vertices, faces)),
        "shaded, textured image": (jax.jit(image), inputs),
        "shaded, textured image with gradients": (with_gradient(image, (0, 1, 2)), inputs),
        "anti-aliased outline with gradients": (
            with_gradient(antialiased),
            (vertices, faces, render.mesh_edges(mesh.faces)),
        ),
        "soft outline, 4 faces, with gradients": (with_gradient(soft(4)), (vertices, faces)),
        "soft outline, 50 faces": (jax.jit(soft(50)), (vertices, faces)),
        "soft outline, 50 faces, with gradients": (with_gradient(soft(50)), (vertices, faces)),
        "soft colours, 50 faces, with gradients": (with_gradient(coloured, (0, 1)), (vertices, colours, faces)),
    }


def machine() -> str:
    return (
        f"jax {jax.__version__}, numpy {np.__version__}, Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"{jax.devices()[0].device_kind}, load {os.getloadavg()[0]:.1f}"
    )


def back_ends() -> tuple[choice.Backend, ...]:
    """Those that draw here, the fastest first."""
    return ("native", "jax") if choice.draws_natively(None, "hard") else ("jax",)


@contextlib.contextmanager
def drawing_by(backend: choice.Backend) -> Iterator[None]:
    """All that is compiled inside is drawn by this back end."""
    before = os.environ.get(choice.VARIABLE)
    os.environ[choice.VARIABLE] = backend
    jax.clear_caches()  # what has been traced keeps the back end that it was traced with
    try:
        yield
    finally:
        jax.clear_caches()
        os.environ.pop(choice.VARIABLE)
        if before is not None:
            os.environ[choice.VARIABLE] = before


HEADER = (
    "| drawing | back end | size | batch | ms per image, median | fastest | processor | first call, s | memory, MB |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def row(name: str, size: int, batch: int, timing: Timing, backend: choice.Backend = "jax") -> str:
    per_image = [f"{1e3 * seconds / batch:.1f}" for seconds in (timing.median, timing.fastest, timing.processor)]
    cells = [name, backend, size, batch, *per_image, f"{timing.first:.1f}", f"{timing.memory / 1e6:.0f}"]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", choices=MESHES, default="open")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=(224, 512))
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 8))
    parser.add_argument("--backend", choices=get_args(choice.Backend), help="only this one")
    options = parser.parse_args()
    mesh = MESHES[options.mesh]()

    covered = jnp.mean(render.rasterize(mesh.vertices, mesh.faces, (224, 224)).face_index >= 0)
    print(
        f"{options.mesh}: {len(mesh.vertices)} vertices, {len(mesh.faces)} faces, {100 * float(covered):.0f} % covered"
    )
    print(f"{machine()}\n{HEADER}")
    for backend in (options.backend,) if options.backend else back_ends():
        for size, batch in itertools.product(options.sizes, options.batches):
            with drawing_by(backend):
                for name, (function, inputs) in jobs(mesh, batch, size).items():
                    print(row(name, size, batch, measure(function, *inputs, runs=options.runs), backend), flush=True)


if __name__ == "__main__":
    main()

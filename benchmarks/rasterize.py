"""How long drawing a head takes: `python benchmarks/rasterize.py [--mesh open|sphere] [--runs N]`.

Prints a table of medians for the visible surface alone, for a shaded textured image, and for that image with its
gradients to vertices, texture and light. The fastest run and the processor time stand beside the median because other
programs on the machine disturb them less.
pytorch3d's CPU rasteriser joins in where it is installed.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax import render

SEED = 0
TEXTURE_SIZE = 512


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


def open_head() -> Mesh:
    """The shipped head's template, filling the image from top to bottom."""
    from emoca_jax import flame

    head = flame.load_head("open")
    low, high = head.template.min(0), head.template.max(0)
    scale = 1.8 / (high - low)[1]
    camera = jnp.stack([scale, *(-(low + high) / 2)[:2]])
    return Mesh(render.weak_perspective(head.template, camera), head.faces, head.uv, head.uv_faces)


def measure(function: Callable[..., Any], *arguments: Any, runs: int) -> Timing:
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    first = time.perf_counter() - start
    times, processor = [], time.process_time()
    for _ in range(runs):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    processor = (time.process_time() - processor) / runs
    return Timing(first, float(np.median(times)), min(times), processor)


def jobs(mesh: Mesh, batch: int, size: int) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """The three things timed, with their inputs: every image of a batch a little different."""
    rng = np.random.default_rng(SEED)
    lead = () if batch == 1 else (batch,)
    shift = jnp.array(rng.uniform(-0.02, 0.02, (*lead, 1, 3)), jnp.float32)
    vertices = mesh.vertices + shift
    texture = jnp.array(rng.uniform(size=(TEXTURE_SIZE, TEXTURE_SIZE, 3)), jnp.float32)
    light = jnp.zeros((*lead, 9, 3)).at[..., 0, :].set(3.0).at[..., 3, :].set(0.5)
    faces, uv, uv_faces = mesh.faces, mesh.uv, mesh.uv_faces

    def surface(vertices, faces):
        return render.rasterize(vertices, faces, (size, size))

    def image(vertices, texture, light, faces, uv, uv_faces):
        fragments = render.rasterize(vertices, faces, (size, size))
        # The screen's y and depth run against the world's: back to it for the normals.
        world = vertices * jnp.array([1.0, -1.0, -1.0])
        normals = render.interpolate(fragments, render.vertex_normals(world, faces), faces)
        colour = render.sample_texture(texture, render.interpolate(fragments, uv, uv_faces))
        return colour * render.spherical_harmonics(render.normalize(normals), light)

    def loss(*inputs):
        return jnp.mean(image(*inputs) ** 2)

    inputs = (vertices, texture, light, faces, uv, uv_faces)
    return {
        "surface": (jax.jit(surface), (vertices, faces)),
        "shaded, textured image": (jax.jit(image), inputs),
        "the same with gradients": (jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2))), inputs),
    }


def pytorch3d_surface(mesh: Mesh, size: int) -> Timing | None:
    """pytorch3d's naive CPU rasteriser on one image, once, where it can be imported."""
    try:
        import torch
        from pytorch3d.renderer.mesh import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError:
        return None
    # Its x points left and its y up, and it drops what is not in front of z = 0.
    vertices = np.array(mesh.vertices) * [-1, -1, 1] + [0, 0, 10]
    meshes = Meshes(torch.tensor(vertices[None]).float(), torch.tensor(np.array(mesh.faces)[None]).long())
    start, processor = time.perf_counter(), time.process_time()
    rasterize_meshes(meshes, image_size=size, blur_radius=0.0, faces_per_pixel=1, bin_size=0)
    once = time.perf_counter() - start
    return Timing(once, once, once, time.process_time() - processor)


def row(name: str, size: int, batch: int, timing: Timing) -> str:
    per_image = [f"{1e3 * seconds / batch:.1f}" for seconds in (timing.median, timing.fastest, timing.processor)]
    return f"| {name} | {size} | {batch} | {' | '.join(per_image)} | {timing.first:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", choices=("open", "sphere"), default="open")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=(224, 512))
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 8))
    options = parser.parse_args()
    mesh = open_head() if options.mesh == "open" else sphere()

    covered = jnp.mean(render.rasterize(mesh.vertices, mesh.faces, (224, 224)).face_index >= 0)
    print(
        f"{options.mesh}: {len(mesh.vertices)} vertices, {len(mesh.faces)} faces, {100 * float(covered):.0f} % covered"
    )
    print(f"jax {jax.__version__}, numpy {np.__version__}, Python {platform.python_version()}, {os.cpu_count()} CPUs,"
          f" {jax.devices()[0].device_kind}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print("| drawing | size | batch | ms per image, median | fastest | processor | first call, s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in options.sizes:
        for batch in options.batches:
            for name, (function, inputs) in jobs(mesh, batch, size).items():
                print(row(name, size, batch, measure(function, *inputs, runs=options.runs)), flush=True)
        peer = pytorch3d_surface(mesh, size)
        if peer is not None:
            print(row("surface by pytorch3d", size, 1, peer), flush=True)


if __name__ == "__main__":
    main()

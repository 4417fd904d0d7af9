"""A sphere becomes a head, from silhouettes alone: `python scripts/draw_inverse_rendering.py`.

The renderer draws the head as black shapes from VIEWS directions. A sphere is drawn the same way with anti-aliased
outlines, through which the difference has a gradient to its vertices. Writes docs/pictures/render_inverse.png, a row
per view with the steps from left to right, and prints what was reached.
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from PIL import Image, ImageDraw

from emoca_jax import flame, render
from emoca_jax.export.pictures import paper
from emoca_jax.mesh_view.mesh_files import CLAY, Mesh
from emoca_jax.mesh_view.picture import Style, Viewpoint, draw_views, over_background
from emoca_jax.products import precise_einsum

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "render_inverse.png"
SEED = 0
VIEWS, VIEWS_PER_STEP, OVERSAMPLING = 48, 6, 4
STAGES = ((3, 64, 100, 3e-2, 4.0), (4, 128, 300, 1e-2, 1.5))
"""Subdivisions of an icosahedron (642 and 2,562 vertices), side of the pictures, steps, their length at first, and how
far a change of one vertex spreads to its neighbours (lambda of Nicolet et al. 2021)."""
SHOWN = (0, 5, 20, 100, 150, 400)
VIEWPOINTS = (Viewpoint(25, 8), Viewpoint(90, 0))


def icosahedron() -> tuple[Float[np.ndarray, "12 3"], Int[np.ndarray, "20 3"]]:
    golden = (1 + 5**0.5) / 2
    vertices = np.array([[a, b * golden, 0] for a in (-1, 1) for b in (-1, 1)], float)
    vertices = np.concatenate([vertices, np.roll(vertices, 1, 1), np.roll(vertices, 2, 1)])
    near = np.abs(np.linalg.norm(vertices[:, None] - vertices, axis=-1) - 2) < 1e-6
    triples = ((a, b, c) for a in range(12) for b in range(a) for c in range(b))
    faces = np.array([(a, b, c) for a, b, c in triples if near[a, b] and near[b, c] and near[a, c]])
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    inwards = np.einsum("fk,fk->f", np.cross(b - a, c - a), a) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return vertices, faces


def subdivide(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "more 3"], Int[np.ndarray, "4*faces 3"]]:
    """Every face cut into four at the middles of its edges."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    (a, b, c), (ab, bc, ca) = faces.T, index.reshape(-1, 3).T + len(vertices)
    pieces = ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))
    return (
        np.concatenate([vertices, vertices[unique].mean(1)]),
        np.concatenate([np.stack(piece, -1) for piece in pieces]),
    )


def sphere(subdivisions: int, radius: float) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"]]:
    vertices, faces = icosahedron()
    for _ in range(subdivisions):
        vertices, faces = subdivide(vertices, faces)
    return radius * vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces


def smoother(count: int, faces: Int[np.ndarray, "faces 3"], reach: float) -> Float[np.ndarray, "vertices vertices"]:
    """(I + lambda L)^-1 with the mesh's graph Laplacian L: spreads a change of one vertex over its surroundings."""
    laplacian = np.zeros((count, count))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        laplacian[faces[:, a], faces[:, b]] = laplacian[faces[:, b], faces[:, a]] = -1
    np.fill_diagonal(laplacian, -laplacian.sum(1))
    return np.linalg.inv(np.eye(count) + reach * laplacian)


def directions(count: int) -> Float[np.ndarray, "views 3 3"]:
    """Cameras evenly spread over all directions (a Fibonacci lattice), as rotations of the mesh."""
    number = np.arange(count) + 0.5
    height, around = 1 - 2 * number / count, np.pi * (1 + 5**0.5) * number
    level = np.sqrt(1 - height**2)
    towards = np.stack([level * np.cos(around), height, level * np.sin(around)], -1)
    right = np.cross([0, 1, 0], towards)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(towards, right), towards], axis=1)


def seen(vertices: Float[Array, "vertices 3"], turns: Float[Array, "views 3 3"]) -> Float[Array, "views vertices 3"]:
    """The mesh on the image plane of each camera; depths are positive for a mesh inside of the unit ball."""
    turned = precise_einsum("vk,nlk->nvl", vertices, turns)
    return turned * jnp.array([[[1.0, -1.0, -1.0]]]) + jnp.array([[[0.0, 0.0, 3.0]]])


@functools.partial(jax.jit, static_argnames="size")
def silhouettes(vertices: Array, faces: Array, turns: Array, size: int) -> Float[Array, "views size size"]:
    """How much of each pixel the mesh covers, by counting samples."""
    fine = size * OVERSAMPLING

    def one(turn):
        return render.rasterize(seen(vertices, turn[None])[0], faces, (fine, fine)).face_index >= 0

    hit = jax.lax.map(one, turns)
    return hit.reshape(len(turns), size, OVERSAMPLING, size, OVERSAMPLING).mean((2, 4))


def optimise(vertices, faces, turns, targets, steps, rate, reach):
    """Yields the vertices after every step.

    Adam on coordinates that `smooth` turns into vertices, with one step length for all of them, so that every step
    moves whole regions (Nicolet et al. 2021, Large Steps in Inverse Rendering of Geometry).
    """
    size = targets.shape[-1]

    @jax.jit
    def step(number, vertices, first, second, faces, turns, targets, smooth):
        def loss(vertices):
            plane = seen(vertices, turns)
            fragments = render.rasterize(plane, faces, (size, size))
            inside = (fragments.face_index >= 0).astype(jnp.float32)[..., None]
            shapes = render.antialias(inside, fragments, plane, faces, mesh_edges=edges)[..., 0]
            return jnp.mean((shapes - targets) ** 2)

        gradient = smooth @ jax.grad(loss)(vertices)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        length = rate * jnp.cos(0.5 * jnp.pi * number / steps) / jnp.sqrt((second / (1 - 0.99 ** (number + 1))).max())
        return vertices - length / (1 - 0.9 ** (number + 1)) * (smooth @ first), first, second

    smooth = jnp.asarray(smoother(len(vertices), faces, reach), jnp.float32)
    vertices, faces = jnp.asarray(vertices, jnp.float32), jnp.asarray(faces)
    edges = render.mesh_edges(faces)
    first = second = jnp.zeros_like(vertices)
    draw = np.random.default_rng(SEED)
    for number in range(steps):
        some = draw.choice(len(turns), VIEWS_PER_STEP, replace=False)
        vertices, first, second = step(number, vertices, first, second, faces, turns[some], targets[some], smooth)
        yield np.asarray(vertices)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=PICTURE)
    output = parser.parse_args().output
    head = flame.load_head("open")
    low, high = np.asarray(head.template).min(0), np.asarray(head.template).max(0)
    goal = (np.asarray(head.template) - (low + high) / 2) * (1.5 / np.linalg.norm(high - low))
    turns = jnp.asarray(directions(VIEWS), jnp.float32)
    began, number = time.perf_counter(), 0
    vertices, faces = sphere(STAGES[0][0], 0.4)
    kept = {0: (vertices, faces)}
    for stage, (_, size, steps, rate, reach) in enumerate(STAGES):
        if stage:
            vertices, faces = subdivide(vertices, faces)
        targets = silhouettes(jnp.asarray(goal), head.faces, turns, size)
        for moved in optimise(vertices, faces, turns, targets, steps, rate, reach):
            number, vertices = number + 1, moved
            if number in SHOWN:
                kept[number] = vertices, faces
                shapes = silhouettes(jnp.asarray(vertices), jnp.asarray(faces), turns, size)
                overlap = jnp.minimum(shapes, targets).sum() / jnp.maximum(shapes, targets).sum()
                print(
                    f"step {number:4d}  {time.perf_counter() - began:6.1f} s  silhouettes overlap by "
                    f"{float(overlap):.1%} (intersection over union, {VIEWS} views of {size} x {size})",
                    flush=True,
                )
    write_picture(output, kept, (goal, np.asarray(head.faces)))


def write_picture(
    path: Path, kept: dict[int, tuple[np.ndarray, np.ndarray]], goal: tuple[np.ndarray, np.ndarray]
) -> None:
    """One column per step and one for the head itself, one row per view."""
    size, margin, caption = 220, 14, 26
    columns = [(f"step {step}", clay(*mesh)) for step, mesh in kept.items()]
    columns.append(("the head", clay(*goal)))
    sheet = Image.new("RGB", (len(columns) * size + 2 * margin, len(VIEWPOINTS) * size + 2 * margin + caption), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (name, mesh) in enumerate(columns):
        left = margin + column * size
        pen.text((left + size / 2, margin), name, fill=paper.INK, font=paper.font(16), anchor="ma")
        for row, picture in enumerate(draw_views(mesh, VIEWPOINTS, size, style=Style("orthographic"))):
            sheet.paste(
                Image.fromarray(over_background(picture, (255, 255, 255))), (left, margin + caption + row * size)
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(256).save(path, optimize=True)


def clay(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    normals = np.asarray(render.vertex_normals(jnp.asarray(vertices), jnp.asarray(faces)))
    return Mesh(
        vertices=vertices.astype(np.float32),
        faces=faces.astype(np.int32),
        normals=normals,
        uv=np.zeros((len(vertices), 2), np.float32),
        colours=np.tile(np.array(CLAY, np.float32), (len(vertices), 1)),
        face_picture=np.full(len(faces), -1, np.int32),
        pictures=(),
    )


if __name__ == "__main__":
    main()

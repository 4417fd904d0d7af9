"""How the three kinds of edges look, and which vertices feel them: `python scripts/draw_edge_styles.py`.

Writes docs/pictures/render_edges.png: a part of the head's outline, hard, anti-aliased and soft, pixel by pixel, and
under it the vertices that get a gradient when the outline should move to the right.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from emoca_jax import flame, render
from emoca_jax.export.pictures import paper
from emoca_jax.render.draw import EdgeStyle

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "render_edges.png"
SIZE = 40
"""Pixels along a side: few enough to be seen."""
ZOOM = 9
SHIFT = 0.05
"""Of the target, on the image plane: one pixel."""
STYLES: tuple[EdgeStyle, ...] = ("hard", "antialias", "soft")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=PICTURE)
    output = parser.parse_args().output
    head = flame.load_head("open")
    turn = np.radians(65)  # nearly a profile: nose, lips and chin on the outline
    matrix = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    turned = np.asarray(head.template) @ matrix.T
    low, high = turned.min(0), turned.max(0)
    # The face fills the picture; the back of the head runs out of it.
    middle = np.array([low[0] + 0.28 * (high - low)[0], (low + high)[1] / 2 - 0.02, 0])
    plane = (turned - middle) * np.array([1, -1, -1]) * (2.6 / (high - low)[1]) + np.array([0, 0, 3])
    plane = jnp.asarray(plane, jnp.float32)

    side, margin, caption = SIZE * ZOOM, 16, 26
    sheet = Image.new("RGB", (3 * side + 4 * margin, 2 * side + 3 * margin + caption), "white")
    pen = ImageDraw.Draw(sheet)
    for column, edges in enumerate(STYLES):
        alpha, slope = coverage_and_slope(plane, head.faces, edges)
        left = margin + column * (side + margin)
        pen.text((left, margin), edges, fill=paper.INK, font=paper.font(17))
        sheet.paste(tile(alpha), (left, margin + caption))
        felt = np.linalg.norm(slope[:, :2], axis=1)
        sheet.paste(dots(alpha, np.asarray(plane), felt), (left, 2 * margin + caption + side))
        print(f"{edges}: {np.count_nonzero(felt)} of {len(felt)} vertices get a gradient")
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(128).save(output, optimize=True)


def coverage_and_slope(plane: jax.Array, faces: jax.Array, edges: EdgeStyle) -> tuple[np.ndarray, np.ndarray]:
    """Coverage, and its gradient to the vertices when the same outline a pixel to the right is asked for."""

    def coverage(plane):
        def white(fragments):
            return jnp.ones((*fragments.face_index.shape, 1))

        return render.draw(white, plane, faces, (SIZE, SIZE), edges=edges, sigma=3e-4, faces_per_pixel=None).alpha

    target = coverage(plane + jnp.array([[SHIFT, 0, 0]]))
    slope = jax.jit(jax.grad(lambda plane: jnp.sum((coverage(plane) - target) ** 2)))(plane)
    return np.asarray(coverage(plane)), np.asarray(slope)


def tile(alpha: np.ndarray) -> Image.Image:
    shade = np.round(255 - 215 * alpha).astype(np.uint8)
    return Image.fromarray(np.kron(shade, np.ones((ZOOM, ZOOM), np.uint8))).convert("RGB")


def dots(alpha: np.ndarray, plane: np.ndarray, felt: np.ndarray) -> Image.Image:
    """A disc on each vertex with a gradient, the larger the steeper, over the outline in pale."""
    fine = 3
    picture = Image.fromarray(np.round(255 - 30 * np.kron(alpha, np.ones((ZOOM * fine,) * 2))).astype(np.uint8))
    picture = picture.convert("RGB")
    pen = ImageDraw.Draw(picture)
    largest = max(float(np.quantile(felt[felt > 0], 0.98)) if np.any(felt > 0) else 1.0, 1e-12)
    for (x, y), steep in zip((plane[:, :2] + 1) * (SIZE * ZOOM * fine / 2), felt, strict=True):
        if steep > 1e-3 * largest:
            radius = fine * (0.7 + 2.6 * min(steep / largest, 1) ** 0.5)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=paper.ACCENT)
    return picture.resize((SIZE * ZOOM, SIZE * ZOOM), Image.Resampling.BOX)


if __name__ == "__main__":
    main()

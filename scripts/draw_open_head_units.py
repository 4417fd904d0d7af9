"""Draws docs/pictures/open_head_units.png (every unit), _visemes.png (the mouth), _texture.png (layout, landmarks).

python scripts/draw_open_head_units.py
"""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from open_head.picture import draw, light_from, turn
from PIL import Image, ImageDraw

from emoca_jax import flame
from emoca_jax.flame import FaceHead

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
TILE, COLUMNS, LABEL, TEXTURE_SIZE = 150, 13, 16, 512
CENTRE, SCALE = np.array([0.0, -0.045, 0.03]), 11.0
"""Metres, and half sides of the picture per metre."""
MOUTH, MOUTH_SCALE, MOUTH_YAWS = np.array([0.0, -0.055, 0.03]), 24.0, (0.0, 40.0)
YAW, LIGHT = 15.0, (0.3, 0.5, 1.0)
WIRE, POINT = (40, 60, 90), (30, 220, 80)


def main() -> None:
    head = flame.load_head("open")
    FOLDER.mkdir(parents=True, exist_ok=True)
    Image.fromarray(unit_sheet(head)).save(FOLDER / "open_head_units.png", optimize=True)
    Image.fromarray(viseme_sheet(head)).save(FOLDER / "open_head_visemes.png", optimize=True)
    Image.fromarray(texture_sheet(head)).save(FOLDER / "open_head_texture.png", optimize=True)


def unit_sheet(head: FaceHead) -> np.ndarray:
    """Every unit alone at full activation on the average head, uint8 [H, W, 3]."""
    names = head.expression_names
    return labelled(names, [portrait(head, code, YAW, TILE) for code in np.eye(len(names))])


def viseme_sheet(head: FaceHead) -> np.ndarray:
    """The mouth at each viseme from the front and from the side, uint8 [H, W, 3]."""
    codes = np.asarray(flame.viseme_codes(head))
    rows = [[portrait(head, code, yaw, TILE, MOUTH, MOUTH_SCALE) for code in codes] for yaw in MOUTH_YAWS]
    return np.concatenate([labelled(tuple(flame.VISEMES), row, columns=5) for row in rows], axis=1)


def labelled(names: tuple[str, ...], tiles: list[np.ndarray], *, columns: int = COLUMNS) -> np.ndarray:
    """Tiles in rows, each under its name."""
    sheet = Image.new("RGB", (columns * TILE, -(-len(names) // columns) * (TILE + LABEL)), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (name, tile) in enumerate(zip(names, tiles, strict=True)):
        x, y = index % columns * TILE, index // columns * (TILE + LABEL)
        sheet.paste(Image.fromarray(tile), (x, y + LABEL))
        pen.text((x + 3, y + 2), name, fill="black")
    return np.asarray(sheet)


def texture_sheet(head: FaceHead) -> np.ndarray:
    """The mean albedo, the layout's triangles over it, and MediaPipe's 468 points on the average head."""
    assert head.albedo is not None
    plain = Image.fromarray(to_bytes(np.asarray(head.albedo.mean)))
    plain = plain.resize((TEXTURE_SIZE, TEXTURE_SIZE), Image.Resampling.BICUBIC)
    wires, places = plain.copy(), np.asarray(head.uv) * [1, -1] + [0, 1]
    pen = ImageDraw.Draw(wires)
    for face in np.asarray(head.uv_faces):
        pen.polygon([tuple(place) for place in places[face] * TEXTURE_SIZE], outline=WIRE)
    points = Image.fromarray(portrait(head, np.zeros(len(head.expression_names)), 0.0, TEXTURE_SIZE))
    marks = np.asarray(flame.landmarks_mediapipe(head, head.template))
    pen = ImageDraw.Draw(points)
    for x, y in (1 + (marks - CENTRE)[:, :2] * [SCALE, -SCALE]) * TEXTURE_SIZE / 2:
        pen.ellipse((x - 1, y - 1, x + 1, y + 1), fill=POINT)
    return np.concatenate([np.asarray(picture) for picture in (plain, wires, points)], axis=1)


def portrait(
    head: FaceHead,
    expression: np.ndarray,
    yaw: float,
    size: int,
    centre: np.ndarray = CENTRE,
    scale: float = SCALE,
) -> np.ndarray:
    """The average head's face, uint8 [size, size, 3], drawn at twice the size for smooth edges."""
    assert head.albedo is not None
    shape = jnp.zeros(head.shape_dirs.shape[-1])
    vertices = np.asarray(flame.unposed_vertices(head, shape, jnp.asarray(expression)))
    faces, uv, uv_faces = np.asarray(head.faces), np.asarray(head.uv), np.asarray(head.uv_faces)
    texture, rotation, light = np.asarray(head.albedo.mean), turn(yaw, 0.0), light_from(LIGHT)
    picture, _, _ = draw(vertices, faces, uv, uv_faces, texture, rotation, centre, scale, light, 2 * size)
    return to_bytes(picture.reshape(size, 2, size, 2, 3).mean((1, 3)))


def to_bytes(picture: np.ndarray) -> np.ndarray:
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)


if __name__ == "__main__":
    main()

"""The comparison picture: what the photo shows beside what the head makes of it, for people to look at."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from emoca_jax import render
from emoca_jax.codes import Codes
from emoca_jax.export.pictures import paper
from emoca_jax.export.pictures.detail import detail_tiles
from emoca_jax.export.pictures.panel import emotion_panel
from emoca_jax.faces import ReconstructedFace
from emoca_jax.files.kept_programs import kept
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import decode

OVERSAMPLING = 2
"""Renderings are made this much larger and averaged down: smooth outlines."""
COLUMNS = 4
FILL = 0.84
"""Part of its tile that a neutral head takes."""
CLAY = np.array([0.70, 0.685, 0.67], np.float32)
LIGHTS = (((-0.40, 0.45, 0.80), 0.70), ((0.75, 0.10, 0.55), 0.24), ((0.0, -0.8, 0.3), 0.10))
"""Studio for what must not depend on the photo's light: direction (world) and strength of key, fill and bounce."""
AMBIENT = 0.40
SHAPE_OPACITY = 0.86
"""Of the grey shape laid over the photo: the photo shines through enough to judge the fit."""


class _View(NamedTuple):
    """One decoded view as float RGB [H, W, 3]; colours are multiplied by `alpha`, the share of a pixel covered."""

    alpha: Float[np.ndarray, "height width 1"]
    colour: Float[np.ndarray, "height width 3"]
    """The texture as it is."""
    shading: Float[np.ndarray, "height width 3"]
    clay: Float[np.ndarray, "height width 3"]
    studio: Float[np.ndarray, "height width 3"]
    """The texture under studio light."""


def comparison(result: ReconstructedFace, *, size: int = 384) -> UInt8[np.ndarray, "height width 3"]:
    """Photo, landmarks, shape over photo, textured rendering / shading, neutral front, neutral side, emotion.

    A model with a detail stage adds its own tiles before the last. size: side in pixels of each tile. The first five
    show the square crop that was fitted, so a thing has the same place in each.
    """
    photo = photo_tile(result, size)
    # In the photo's own light, so that what differs from the photo is the head's.
    seen = _view(result, result.codes, result.photo_texture, size)
    front, side = (_view(result, neutral_codes(result, yaw), result.texture, size) for yaw in (0.0, 90.0))
    over_photo = photo / 255 * (1 - SHAPE_OPACITY * seen.alpha) + SHAPE_OPACITY * seen.clay
    # The estimated light may exceed white; what matters is its shape.
    brightest = max(1.0, float(np.quantile(seen.shading, 0.995)))
    tiles = [
        ("photo", photo),
        ("landmarks: detected, fitted", landmark_tile(result, photo)),
        ("shape over photo", _bytes(over_photo)),
        ("textured rendering", _on_paper(seen.colour, seen.alpha)),
        ("shading", _on_paper(seen.shading / brightest, seen.alpha)),
        ("neutral", _on_paper(front.studio, front.alpha)),
        ("neutral, side", _on_paper(side.studio, side.alpha)),
        *detail_tiles(result, photo),
        ("emotion", emotion_panel(result, size)),
    ]
    return _sheet(result, tiles, size)


def photo_tile(result: ReconstructedFace, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The photo through the fitted square; tile-coloured where the square reaches beyond the photo."""
    to_plane = np.array([[2 / size, 0, -1], [0, 2 / size, -1], [0, 0, 1]])
    to_photo = result.crop @ to_plane
    # Average first where the tile is coarser than the photo: the resampling below looks at 4 x 4 pixels only.
    factor = max(1, int(np.sqrt(abs(np.linalg.det(to_photo[:2, :2])))))
    image = Image.fromarray(result.photo)
    image = image.reduce(factor) if factor > 1 else image
    coefficients = (to_photo[:2] / factor).reshape(-1).tolist()
    tile = image.transform(
        (size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=paper.TILE
    )
    return np.array(tile)


def landmark_tile(
    result: ReconstructedFace, photo: UInt8[np.ndarray, "size size 3"]
) -> UInt8[np.ndarray, "size size 3"]:
    """Detected points as white discs, visible fitted ones as coloured dots on top: in a good fit, dot sits in disc."""
    size, fine = len(photo), 4
    image = Image.fromarray(_bytes(photo / 255 * 0.72)).resize((size * fine, size * fine))
    draw = ImageDraw.Draw(image)
    detected, fitted = result.landmarks[:, :2], result.fitted_landmarks[result.landmark_visible]
    unit = fine * size / 384
    for points, radius, colour in (detected, 1.5 * unit, (255, 255, 255)), (fitted, 0.95 * unit, paper.ACCENT):
        for x, y in _to_tile(result, points, size) * fine:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return np.array(image.resize((size, size), Image.Resampling.BOX))


def neutral_codes(result: ReconstructedFace, yaw: float) -> Codes:
    """The same person at rest, turned by `yaw` degrees (90: profile, nose to the right), filling the tile."""
    codes, head = result.codes, result.head
    root = np.asarray(head.joint_regressor)[0] @ result.neutral_vertices
    turn = np.radians(yaw)
    across, depth = (result.neutral_vertices - root)[:, 0], (result.neutral_vertices - root)[:, 2]
    x = np.cos(turn) * across + np.sin(turn) * depth + root[0]
    y = result.neutral_vertices[:, 1]
    # One scale for every turn, so that front and side show the same person at the same size.
    span = max(np.ptp(result.neutral_vertices, axis=0))
    camera = [2 * FILL / span, -(x.min() + x.max()) / 2, -(y.min() + y.max()) / 2]
    return codes.replace(
        expression=np.zeros_like(codes.expression),
        pose=np.array([[0, turn, 0], [0, 0, 0]], np.float32),
        jaw=np.zeros_like(codes.jaw),
        eyes=np.zeros_like(codes.eyes),
        camera=np.array(camera, np.float32),
    )


@kept(static=("size",))
def _draw(
    head: FaceHead, codes: Codes, texture: Float[jax.Array, "rows columns 3"], size: int
) -> tuple[jax.Array, ...]:
    picture = decode(head, codes, (size * OVERSAMPLING, size * OVERSAMPLING), texture)
    directions, strengths = (jnp.array(column) for column in zip(*LIGHTS, strict=True))
    lit = render.directional_lights(
        picture.normal_image.reshape(-1, 3), directions, jnp.repeat(strengths[:, None], 3, axis=1)
    )
    alpha = picture.alpha[..., None]
    light = (AMBIENT + lit.reshape(picture.normal_image.shape)) * alpha
    clay = light * CLAY[None, None]
    layers = (alpha, alpha * picture.albedo_image, picture.shading, clay, light * picture.albedo_image)
    return tuple(
        jnp.clip(layer, 0, None).reshape(size, OVERSAMPLING, size, OVERSAMPLING, -1).mean((1, 3)) for layer in layers
    )


def _view(result: ReconstructedFace, codes: Codes, texture: UInt8[np.ndarray, "rows columns 3"], size: int) -> _View:
    colours = jnp.asarray(texture, jnp.float32) / 255
    return _View(*(np.asarray(layer) for layer in _draw(result.head, codes, colours, size)))


def _to_tile(
    result: ReconstructedFace, points: Float[np.ndarray, "points 2"], size: int
) -> Float[np.ndarray, "points 2"]:
    plane = np.linalg.solve(result.crop, np.concatenate([points, np.ones((len(points), 1))], 1).T).T
    return (plane[:, :2] + 1) * size / 2


def _on_paper(colours: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w 1"]) -> UInt8[np.ndarray, "h w 3"]:
    return _bytes(colours + (1 - alpha) * np.array(paper.TILE) / 255)


def _bytes(image: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _sheet(
    result: ReconstructedFace, tiles: list[tuple[str, np.ndarray]], size: int
) -> UInt8[np.ndarray, "height width 3"]:
    unit = size / 384
    margin, gap, header, caption = (round(value * unit) for value in (28, 16, 44, 30))
    rows = -(-len(tiles) // COLUMNS)
    width = 2 * margin + COLUMNS * size + (COLUMNS - 1) * gap
    height = 2 * margin + header + rows * (size + caption) + (rows - 1) * gap
    sheet = Image.new("RGB", (width, height), paper.BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((margin, margin), result.source_name, fill=paper.INK, font=paper.font(22 * unit))
    note = f"face {result.face}   fit error {result.fit_error:.2f} % of face width"
    draw.text((width - margin, margin + 4 * unit), note, fill=paper.FAINT, font=paper.font(16 * unit), anchor="ra")
    for index, (name, tile) in enumerate(tiles):
        x = margin + index % COLUMNS * (size + gap)
        y = margin + header + index // COLUMNS * (size + caption + gap)
        sheet.paste(Image.fromarray(tile), (x, y), paper.rounded(size, 12 * unit))
        draw.text((x + 2 * unit, y + size + 7 * unit), name, fill=paper.FAINT, font=paper.font(16 * unit))
    return np.array(sheet)

"""Tiles of the comparison picture that only a model with its own albedo and a detail stage can fill."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel
from emoca_jax.export.pictures import paper
from emoca_jax.faces import ReconstructedFace
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import decode
from emoca_jax.render.clay import clay_image

Tile = UInt8[np.ndarray, "size size 3"]

OVERSAMPLING = 2
SHAPE_OPACITY = 0.9


def detail_tiles(result: ReconstructedFace, photo: Tile) -> list[tuple[str, Tile]]:
    """Coarse and detailed shape over the photo, and the model's own albedo under its light without and with wrinkles.

    Empty where there is no detail stage. photo: the tile they are laid over.
    """
    if result.detail_model is None or result.codes.detail is None:
        return []
    layers = _draw(result.head, result.codes, result.detail_model, len(photo), result.official)
    alpha, coarse, detailed, plain, wrinkled = (np.asarray(layer) for layer in layers)
    behind = photo / 255 * (1 - SHAPE_OPACITY * alpha)
    grey = np.array(paper.TILE) / 255 * (1 - alpha)
    return [
        ("clay, coarse", _bytes(behind + SHAPE_OPACITY * coarse)),
        ("clay, detail", _bytes(behind + SHAPE_OPACITY * detailed)),
        ("own albedo and light", _bytes(plain + grey)),
        ("own albedo, detail", _bytes(wrinkled + grey)),
    ]


@functools.partial(jax.jit, static_argnames=("size", "official"))
def _draw(head: FaceHead, codes: Codes, model: DetailModel, size: int, official: bool) -> tuple[jax.Array, ...]:
    side = size * OVERSAMPLING
    picture = decode(head, codes, (side, side), detail=model, official=official)
    assert picture.detail is not None
    layers = (
        picture.alpha[..., None],
        clay_image(picture.normal_image, picture.alpha),
        clay_image(picture.detail.normal_image, picture.alpha),
        picture.rendering,
        picture.detail.rendering,
    )
    return tuple(
        jnp.clip(layer, 0, None).reshape(size, OVERSAMPLING, size, OVERSAMPLING, -1).mean((1, 3)) for layer in layers
    )


def _bytes(image: Float[np.ndarray, "h w 3"]) -> Tile:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)

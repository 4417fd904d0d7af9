"""What a stage makes of faces that it is not trained on, for people to look at: a row a face."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from emoca_jax import render
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import decode
from emoca_jax.render.clay import clay_image
from emoca_jax.training.seeing import Faces

SHOWN = 6
"""Faces that are drawn: the first ones that judge."""
COLUMNS = ("photo", "rendering", "coarse", "neutral")
WITH_DETAIL = (*COLUMNS[:3], "detail", COLUMNS[3])
WHITE = 255


def first_faces(batch: dict[str, Any]) -> dict[str, Any]:
    """SHOWN rows of a batch."""
    return {name: array[:SHOWN] for name, array in batch.items()}


def as_faces(columns: Float[Array, "pictures faces height width 3"]) -> Faces:
    """The pictures of `drawn_in_columns` as one, with their names."""
    names = WITH_DETAIL if len(columns) == len(WITH_DETAIL) else COLUMNS
    return Faces(as_grid(np.asarray(columns)), names)


def as_grid(
    columns: Float[np.ndarray, "pictures faces height width 3"],
) -> UInt8[np.ndarray, "rows across 3"]:
    """Pictures beside and below each other, as bytes."""
    count, faces, height, width, _ = columns.shape
    grid = columns.transpose(1, 2, 0, 3, 4).reshape(faces * height, count * width, 3)
    # What is no number, of a run that goes wrong, is black.
    return np.round(np.clip(np.nan_to_num(grid), 0, 1) * WHITE).astype(np.uint8)


def drawn_in_columns(
    head: FaceHead,
    codes: Codes,
    images: Float[Array, "faces height width 3"],
    *,
    detail: DetailModel | None = None,
    displacement: Float[Array, "faces rows columns"] | None = None,
    official: bool = False,
) -> Float[Array, "pictures faces height width 3"]:
    """COLUMNS, or WITH_DETAIL where a detail model is given: photos in [0, 1], the heads drawn over them, their shapes
    as clay, and the shapes of the same people at rest, facing the camera.

    displacement: as `decode` takes it.
    """
    size = images.shape[1:3]
    found = decode(head, codes, size, detail=detail, displacement=displacement, official=official)
    rest = codes.replace(
        expression=jnp.zeros_like(codes.expression), pose=jnp.zeros_like(codes.pose), jaw=jnp.zeros_like(codes.jaw),
        eyes=jnp.zeros_like(codes.eyes), detail=None,
    )  # fmt: skip
    neutral = decode(head, rest, size, official=official)
    over = render.over(images, jnp.clip(found.rendering, 0, 1), found.alpha)
    wrinkled = [] if found.detail is None else [clay_image(found.detail.normal_image, found.alpha)]
    coarse, at_rest = (clay_image(one.normal_image, one.alpha) for one in (found, neutral))
    return jnp.stack([images, over, coarse, *wrinkled, at_rest])

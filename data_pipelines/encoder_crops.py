"""Faces as encoders see them: cut out by found landmarks as `emoca` cuts photos, with all that a coarse stage asks for.

What is known of a picture is what the detector finds in it; nothing true is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from data_pipelines.augment import Amounts, coloured, cut, jittered, noisy, softened
from data_pipelines.found import FOUND
from data_pipelines.open_faces.crops import narrow
from emoca_jax.capture.official_crop import MARGIN
from emoca_jax.fit.photo import inside_oval
from emoca_jax.nets.emotion.crop import ExpressionCrop
from emoca_jax.nets.encoders import CROP_MARGIN

BYTE = 255.0
KEPT = ("image", "place", FOUND)
"""Entries of the loader's batches that a coarse stage needs."""
Batch = dict[str, Array]


def in_square(
    points: Float[Array, "batch points 3"], place: Float[Array, "batch 3"], *, side: int
) -> Float[Array, "batch points 3"]:
    """Found points of the stored picture, in the plane [-1, 1]^2 of the loader's square, depth in its unit."""
    scale = (2 / side * place[:, 2])[:, None]
    x, y = ((points[..., axis] + 0.5 - place[:, None, axis]) * scale - 1 for axis in (0, 1))
    return jnp.stack([x, y, points[..., 2] * scale], axis=-1)


def encoder_crop(points: Float[Array, "batch 478 3"]) -> ExpressionCrop:
    """The upright square around all landmarks that `emoca` cuts out of a photo, in the points' plane."""
    low, high = points[..., :2].min(axis=1), points[..., :2].max(axis=1)
    half = CROP_MARGIN * jnp.mean(high - low, axis=-1) / 2
    return ExpressionCrop((low + high) / 2, half, jnp.zeros_like(half))


def in_crop(points: Float[Array, "batch points 3"], crop: ExpressionCrop) -> Float[Array, "batch points 3"]:
    """Points in the plane of a crop."""
    moved = points[..., :2] - crop.centre[:, None]
    cosine, sine = (turn(crop.rotation)[:, None] for turn in (jnp.cos, jnp.sin))
    x = cosine * moved[..., 0] + sine * moved[..., 1]
    y = cosine * moved[..., 1] - sine * moved[..., 0]
    return jnp.stack([x, y, points[..., 2]], axis=-1) / crop.half[:, None, None]


def as_encoded(batch: Batch, *, size: int) -> Batch:
    """The batch with `images`, `landmarks_mediapipe` and `mask`, unchanged otherwise: as at inference."""
    images = batch["image"].astype(jnp.float32) / BYTE
    points = in_square(batch[FOUND], batch["place"], side=images.shape[1])
    return _cut(images, points, encoder_crop(points), size)


def as_trained_on(key: Key[Array, ""], batch: Batch, *, size: int, amounts: Amounts) -> Batch:
    """The same from crops that are turned, zoomed and moved at random, in other colours, softer and with noise.

    Nothing hides the face that would not be seen as part of it.
    """
    move, *change = jax.random.split(key, 4)
    images = batch["image"].astype(jnp.float32) / BYTE
    points = in_square(batch[FOUND], batch["place"], side=images.shape[1])
    seen = _cut(images, points, jittered(move, encoder_crop(points), amounts), size)
    changed = coloured(change[0], seen["images"], amounts)
    changed = noisy(change[1], softened(change[2], changed, amounts), amounts)
    return {**seen, "images": jnp.clip(changed, 0, 1)}


def as_trained_on_photos(key: Key[Array, ""], batch: Batch, *, size: int, margin: float, amounts: Amounts) -> Batch:
    """`images`, and the dataset's 68 `landmarks` where it has them, moved at random.

    They are cut out of the loader's squares, `margin` times the face's. Colours stay as they are: DECA and EMOCA train
    so.
    """
    images = batch["image"].astype(jnp.float32) / BYTE
    count = images.shape[0]
    official = ExpressionCrop(jnp.zeros((count, 2)), jnp.full((count,), MARGIN / margin), jnp.zeros((count,)))
    crop = jittered(key, official, amounts)
    seen = {"images": cut(images, crop, size=size)}
    if "landmarks" in batch:
        points = 2 * (batch["landmarks"] + 0.5) / images.shape[1] - 1
        points = jnp.concatenate([points, jnp.zeros_like(points[..., :1])], axis=-1)
        seen["landmarks"] = in_crop(points, crop)
    return seen


def held_out(batches: Iterator[dict[str, np.ndarray]], *, size: int) -> list[dict[str, np.ndarray]]:
    """Batches to judge on, cut out once; pictures as bytes, as they travel."""
    see = jax.jit(lambda batch: as_encoded(batch, size=size))
    judged = []
    for batch in batches:
        seen = dict(jax.device_get(see({name: narrow(batch[name]) for name in KEPT})))
        seen["images"] = np.round(seen["images"] * BYTE).astype(np.uint8)
        judged.append(seen)
    return judged


def _cut(images: Array, points: Array, crop: ExpressionCrop, size: int) -> Batch:
    landmarks = in_crop(points, crop)
    return {
        "images": cut(images, crop, size=size),
        "landmarks_mediapipe": landmarks,
        "mask": jax.vmap(lambda one: inside_oval(one, size))(landmarks),
    }

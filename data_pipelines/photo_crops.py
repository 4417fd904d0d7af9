"""Photos as EMOCA's emotion networks see them: the official crop of a face, moved and changed while training."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from data_pipelines.augment import Amounts, compressed, cut, jittered, noisy, softened
from emoca_jax.capture.official_crop import MARGIN
from emoca_jax.nets.emotion.crop import ExpressionCrop

BYTE = 255.0
KEPT = ("image", "expression", "valence", "arousal")
"""Entries of the loader's batches that training needs."""
OFFICIAL_AMOUNTS = Amounts(turn=0.1, zoom=0.058, shift=0.029, soft=0.2, noise=0.02, compressed=0.2)
"""EMOCA's: turned by up to 10 degrees, zoomed by 10 %, moved by 5 %, evenly (these are the deviations), and one in five
softer, noisy, compressed. Colours stay as they are."""

Batch = dict[str, Array]


def official_crop(count: int, margin: float) -> ExpressionCrop:
    """The crops within the loader's squares, which are `margin` times the face's."""
    return ExpressionCrop(jnp.zeros((count, 2)), jnp.full((count,), MARGIN / margin), jnp.zeros((count,)))


def as_seen(batch: Batch, *, size: int, margin: float) -> Batch:
    """The batch with `images`, unchanged otherwise: as at inference."""
    images = batch["image"].astype(jnp.float32) / BYTE
    return {**batch, "images": cut(images, official_crop(len(images), margin), size=size)}


def as_trained_on(key: Key[Array, ""], batch: Batch, *, size: int, margin: float, amounts: Amounts) -> Batch:
    """The batch with `images`, moved and changed at random. size: a multiple of 8, for the blocks of JPEG."""
    move, soften, spoil, compress = jax.random.split(key, 4)
    images = batch["image"].astype(jnp.float32) / BYTE
    seen = cut(images, jittered(move, official_crop(len(images), margin), amounts), size=size)
    changed = compressed(compress, jnp.clip(noisy(spoil, softened(soften, seen, amounts), amounts), 0, 1), amounts)
    return {**batch, "images": changed}


def held_out(batches: Iterator[dict[str, np.ndarray]], *, size: int, margin: float) -> Iterator[dict[str, np.ndarray]]:
    """Batches to judge on, one after the other; pictures as bytes, as they travel."""
    see = jax.jit(lambda batch: as_seen(batch, size=size, margin=margin)["images"])
    for batch in batches:
        images = np.round(np.asarray(see({"image": batch["image"]})) * BYTE).astype(np.uint8)
        yield {"images": images, **{name: batch[name] for name in KEPT[1:]}}

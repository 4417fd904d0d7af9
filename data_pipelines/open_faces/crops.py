"""Drawn faces as a recogniser sees them: cut out by their landmarks as photos are, and changed while training."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from data_pipelines.augment import Amounts, changed, cut, jittered, mirrored
from emoca_jax.emotion.units import mirror_pairs
from emoca_jax.nets.emotion.crop import CROP_SIZE, ExpressionCrop, expression_crop

BYTE = 255.0
KEPT = ("image", "points", "place", "expression", "valence", "arousal", "units")
"""Entries of the loader's batches that training needs."""

Batch = dict[str, Array]


class KeptBatches:
    """The loader's batches with no more than training needs, and their place as `emoca_jax.training` wants it."""

    def __init__(self, batches: Any, *, kept: Sequence[str] = KEPT) -> None:
        """batches: `iter` of what `data_pipelines.loader.batches` gives, over samples with what is `kept`."""
        self._batches, self._kept = batches, tuple(kept)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        batch = next(self._batches)
        return {name: narrow(batch[name]) for name in self._kept}

    def get_state(self) -> Any:
        return self._batches.get_state()

    def set_state(self, state: Any) -> None:
        self._batches.set_state(state)


def narrow(array: np.ndarray) -> np.ndarray:
    """No wider than what is computed with."""
    return array.astype({"int64": np.int32, "float64": np.float32}.get(array.dtype.name, array.dtype))


def drawn_crop(points: Float[Array, "batch 478 3"], place: Float[Array, "batch 3"], *, side: int) -> ExpressionCrop:
    """The crops of drawn faces, by their true landmarks.

    points: in pixels of the picture as it is stored. place, side: of the loader's squares in it (`pixels.square`).
    """
    inside = (points[..., :2] + 0.5 - place[:, None, :2]) * place[:, None, 2:]
    return expression_crop(2 * inside / side - 1)


def as_seen(batch: Batch, *, size: int = CROP_SIZE) -> Batch:
    """The batch with `images`, cut out as from a photo and otherwise unchanged."""
    images = batch["image"].astype(jnp.float32) / BYTE
    crop = drawn_crop(batch["points"], batch["place"], side=images.shape[1])
    return {**batch, "images": cut(images, crop, size=size)}


def as_trained_on(
    key: Key[Array, ""], batch: Batch, *, names: Sequence[str], amounts: Amounts, size: int = CROP_SIZE
) -> Batch:
    """The batch with `images`, cut out and changed at random, half of them mirrored with their units.

    names: of the units.
    """
    move, mirror, change = jax.random.split(key, 3)
    images = batch["image"].astype(jnp.float32) / BYTE
    crop = drawn_crop(batch["points"], batch["place"], side=images.shape[1])
    seen = cut(images, jittered(move, crop, amounts), size=size)
    seen, units = mirrored(mirror, seen, batch["units"], mirror_pairs(tuple(names)))
    return {**batch, "images": changed(change, seen, amounts), "units": units}


def held_out(batches: Iterator[dict[str, np.ndarray]], *, size: int = CROP_SIZE) -> list[dict[str, np.ndarray]]:
    """Batches to judge on, cut out once; as bytes, as they travel."""
    see = jax.jit(functools.partial(as_seen, size=size))
    kept = ("images", "expression", "valence", "arousal", "units")
    judged = []
    for batch in batches:
        seen = jax.device_get(see({name: batch[name] for name in KEPT}))
        seen["images"] = np.round(seen["images"] * BYTE).astype(np.uint8)
        judged.append({name: seen[name] for name in kept})
    return judged

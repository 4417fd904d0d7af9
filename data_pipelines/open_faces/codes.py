"""The 3D side of open faces alone: what EMO-MLP learns from, ten thousand faces in seconds, none of them drawn."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from data_pipelines.open_faces.recipe import recipe
from emoca_jax.flame.head import FaceHead


class Misfit(NamedTuple):
    """How a fit changes units: chosen so that EMO-MLP reads 300 fitted faces best, as fits take strength from units,
    lose some and find others that are not there."""

    weakest: float = 0.3
    strongest: float = 1.15
    """Between which shares of its strength a unit keeps at random."""
    lost: float = 0.12
    """Share of the units that come out as nothing."""
    stray: float = 0.2
    """Share of the units that something is added to."""
    stray_strength: float = 0.12
    """Mean of what is added (exponentially distributed)."""


def as_fitted(key: Key[Array, ""], codes: Float[Array, "batch units"], misfit: Misfit) -> Float[Array, "batch units"]:
    """Units as a fit might have found them, at random."""
    keeps, loses, adds, size = jax.random.split(key, 4)
    share = jax.random.uniform(keeps, codes.shape, minval=misfit.weakest, maxval=misfit.strongest)
    kept = jnp.where(jax.random.bernoulli(loses, misfit.lost, codes.shape), 0.0, share)
    found = misfit.stray_strength * jax.random.exponential(size, codes.shape)
    stray = jnp.where(jax.random.bernoulli(adds, misfit.stray, codes.shape), found, 0.0)
    return jnp.clip(kept * codes + stray, 0.0, 1.0)


def coded_faces(head: FaceHead, seed: int, count: int) -> dict[str, np.ndarray]:
    """Faces 0 to `count` of the dataset `seed`: `codes` [count, units] (the head's expression code), `expression`,
    `valence` and `arousal` [count]."""
    tones = () if head.albedo is None else tuple(head.albedo.names)
    shapes = head.shape_dirs.shape[-1]
    shown = [recipe(head.expression_names, shapes, tones, seed, index).shown for index in range(count)]
    return {
        "codes": np.stack([face.units for face in shown]).astype(np.float32),
        "expression": np.array([face.label for face in shown], np.int32),
        "valence": np.array([face.valence for face in shown], np.float32),
        "arousal": np.array([face.arousal for face in shown], np.float32),
    }

"""Between the reference's channels-first images and our channels-last ones, and its blown-up inputs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def to_last(image: np.ndarray) -> jnp.ndarray:
    """[..., C, H, W] -> [..., H, W, C]."""
    return jnp.moveaxis(jnp.asarray(image), -3, -1)


def to_first(image: object) -> np.ndarray:
    """[..., H, W, C] -> [..., C, H, W]."""
    return np.moveaxis(np.asarray(image), -1, -3)


def enlarged(image: np.ndarray, size: int) -> jnp.ndarray:
    """[B, C, h, w] -> [B, size, size, C], bilinear between pixel centres with the border continued."""
    batch, channels = image.shape[:2]
    return jax.image.resize(to_last(image), (batch, size, size, channels), "bilinear")

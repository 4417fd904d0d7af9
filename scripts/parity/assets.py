"""The weights to run with: a converted folder, the made-up images, and the seed that both were drawn from."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from emoca_jax.flame import FaceHead


class Assets:
    """A converted folder of the official assets; parts are read when a comparison asks for them."""

    def __init__(self, folder: Path, images: np.ndarray, seed: int):
        self.folder = folder
        self.seed = seed
        self.images_u8 = images
        """[4, 3, 224, 224] uint8 of inputs.npz."""

    @functools.cached_property
    def images(self) -> jnp.ndarray:
        """[4, 224, 224, 3], RGB in [0, 1]: what the networks were given."""
        return jnp.asarray(np.moveaxis(self.images_u8, 1, -1), jnp.float32) / 255

    @functools.cached_property
    def head(self) -> FaceHead:
        """The made-up FLAME."""
        from emoca_jax.model_folder import read_model_folder

        return read_model_folder(self.folder).head

    def weights(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normal numbers that the reference's gradients were taken with."""
        draw = np.random.default_rng([1000 + self.seed, zlib.crc32(name.encode())])
        return draw.normal(0, 1, shape).astype(np.float32)

    def model(self, name: str) -> Any:
        """One of the folder's models, by the official run's name."""
        from emoca_jax.model_folder import read_model_folder

        return read_model_folder(self.folder / name)

    def variables(self, part: str) -> dict:
        """Flax variables of a network that belongs to no single model."""
        from emoca_jax.model_folder import read_model_folder

        return read_model_folder(self.folder).variables(part)

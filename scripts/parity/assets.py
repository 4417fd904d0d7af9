"""The weights to run with: a converted folder, the made-up images, and the seed that both were drawn from."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.flame import AlbedoModel, FaceHead
from emoca_jax.flame.head_file import load_albedo
from emoca_jax.model import EncoderVariables, encode
from emoca_jax.model_folder import ModelFolder, read_model_folder
from parity.golden import Golden


class Assets:
    """A converted folder of the official assets; parts are read when a comparison asks for them."""

    def __init__(self, folder: Path, goldens: Path, seed: int):
        self.folder = folder
        self.seed = seed
        self._goldens = goldens

    def golden(self, name: str) -> Golden:
        """Another file of reference numbers, where one takes its inputs from there."""
        return Golden(self._goldens / f"{name}.npz")

    @functools.cached_property
    def images_u8(self) -> np.ndarray:
        """[4, 3, 224, 224] uint8: the images that the reference was computed on."""
        return self.golden("inputs")["images_u8"]

    @functools.cached_property
    def images(self) -> jnp.ndarray:
        """[4, 224, 224, 3], RGB in [0, 1]: what the networks were given."""
        return jnp.asarray(np.moveaxis(self.images_u8, 1, -1), jnp.float32) / 255

    @functools.cached_property
    def head(self) -> FaceHead:
        """The made-up FLAME."""
        return read_model_folder(self.folder).head

    def albedo(self, kind: str) -> AlbedoModel:
        """The albedo model of "bfm" or "flame"."""
        return load_albedo(read_model_folder(self.folder).file(f"albedo_{kind}"))

    def weights(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normal numbers that the reference's gradients were taken with."""
        draw = np.random.default_rng([1000 + self.seed, zlib.crc32(name.encode())])
        return draw.normal(0, 1, shape).astype(np.float32)

    def model(self, variant: str) -> ModelFolder:
        """The converted model of a variant: "emoca", "emoca_jaw" or "deca"."""
        models = read_model_folder(self.folder).description["models"]
        names = [name for name, model in models.items() if model["variant"] == variant]
        if not names:
            raise InputError(f"{self.folder} has no model of the variant {variant}: convert its official run too.")
        return read_model_folder(self.folder / names[0])

    @functools.cache  # noqa: B019 (one object for the whole run)
    def codes(self, variant: str) -> Codes:
        """What the encoders of a variant read in the images."""
        model = self.model(variant)
        expression = None if variant == "deca" else model.variables("expression_encoder")
        encoders = EncoderVariables(model.variables("flame_encoder"), expression, model.variables("detail_encoder"))
        return jax.jit(encode)(encoders, self.images)

    def variables(self, part: str) -> dict:
        """Flax variables of a network that belongs to no single model."""
        return read_model_folder(self.folder).variables(part)

"""What a camera makes of a picture: blur, noise, colour, tone; and the JPEG that it becomes."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from data_pipelines.open_faces.recipe import NOISE_TILE
from emoca_jax.nets.emotion.open import GREY
from emoca_jax.nets.encoders import IMAGE_SIZE

REACH = 5
"""Taps of the blur to either side."""
NOMINAL = IMAGE_SIZE
"""Side of the picture for which blur is told."""


def noise_of_sensor(seed: int = 1) -> Float[np.ndarray, "tile tile 3"]:
    """Standard normal noise, repeated by whoever needs more of it."""
    return np.random.Generator(np.random.Philox(seed)).standard_normal((NOISE_TILE, NOISE_TILE, 3)).astype(np.float32)


def exposed(
    image: Float[Array, "size size 3"], camera: Any, noise: Float[Array, "grain grain 3"]
) -> Float[Array, "size size 3"]:
    """The picture as a file holds it, in [0, 1]."""
    size = image.shape[0]
    image = _blurred(image, camera.blur * size / NOMINAL)
    x = (2 * jnp.arange(size, dtype=jnp.float32) + 1) / size - 1
    radius = x[None, :] ** 2 + x[:, None] ** 2
    image = image * camera.balance[None, None] * (1 - camera.vignette * radius / 2)[..., None]
    image = jnp.clip(image, 1e-4, None)
    # Highlights roll off instead of burning out at once.
    image = jnp.where(image > 0.8, 0.8 + 0.2 * jnp.tanh((image - 0.8) / 0.2), image) ** camera.gamma
    image = 0.5 + camera.contrast * (image - 0.5)
    grey = jnp.einsum("hwc,c->hw", image, jnp.array(GREY))[..., None]
    image = grey + camera.saturation * (image - grey)
    rows, columns = ((camera.noise_at[k] + jnp.arange(size)) % NOISE_TILE for k in (0, 1))
    grain = noise[rows[:, None], columns[None, :]]
    # Colours have most of their noise in common.
    grain = 0.6 * grain + 0.4 * grain[..., :1]
    spread = jnp.sqrt(camera.noise[0] ** 2 + camera.noise[1] ** 2 * jnp.clip(image, 0, 1))
    return jnp.clip(image + spread * grain, 0, 1)


def _blurred(image: Array, deviation: Array) -> Array:
    for axis in (0, 1):
        # across, down: the deviation's order is x, y; rows are axis 0.
        taps = jnp.exp(-(jnp.arange(-REACH, REACH + 1, dtype=jnp.float32) ** 2) / (2 * deviation[1 - axis] ** 2))
        taps = taps / taps.sum()
        length = image.shape[axis]
        padded = jnp.pad(image, [(REACH, REACH) if a == axis else (0, 0) for a in range(3)], mode="edge")
        slices = [padded[k : k + length] if axis == 0 else padded[:, k : k + length] for k in range(2 * REACH + 1)]
        image = sum((taps[k] * part for k, part in enumerate(slices)), start=jnp.zeros_like(image))
    return image


def jpeg(pixels: UInt8[np.ndarray, "size size 3"], quality: int) -> bytes:
    """The picture's file. Chroma is halved, as cameras do."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2)
    return file.getvalue()


def opened(file: bytes) -> UInt8[np.ndarray, "size size 3"]:
    """What anybody sees who opens the file."""
    return np.asarray(Image.open(BytesIO(file)))

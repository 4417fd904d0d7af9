"""Changes of face pictures on the device, while training: what a network must not heed, at random, a batch at a time.

Every function is pure: key first, then a batch of pictures [batch, side, side, 3] in [0, 1]; each picture has random
numbers of its own. Written for a CPU that trains at the same time: blur and loss of resolution are two products with a
matrix from a small bank, colour is one product with a 3 x 3 matrix, and nothing but the cut gathers.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from emoca_jax.nets.emotion.crop import ExpressionCrop, crop_image
from emoca_jax.products import precise_einsum

Pictures = Float[Array, "batch side side 3"]

GREY = (0.299, 0.587, 0.114)
"""Of an RGB pixel, ITU-R BT.601, which JPEG takes too."""
BLURS = (0.0, 0.5, 0.9, 1.3, 1.7)
"""Deviations that the bank has, pixels of a crop 112 wide."""
REDUCTIONS = (1.0, 1.5, 2.2, 3.2)
"""How many times as coarse pixels get, of a crop 112 wide: faces from 112 down to 35 pixels."""
BLURRED_FROM = 112
BLOCK = 8
"""Side of JPEG's blocks."""


class Amounts(NamedTuple):
    """How much is changed; each number is that of the strongest change, or a deviation where it says so."""

    turn: float = 0.15
    """Radians, deviation of the crop's turn."""
    zoom: float = 0.08
    """Deviation of the logarithm of the crop's side."""
    shift: float = 0.04
    """Deviation of the crop's centre, in its sides; found landmarks differ from true ones by half of that."""
    gain: float = 0.35
    """Brightness, logarithm."""
    tint: float = 0.08
    """Gain of each channel, deviation of the logarithm."""
    contrast: float = 0.4
    gamma: float = 0.35
    slope: float = 0.5
    """Light that falls off across the picture, logarithm from its middle to its edge."""
    grey: float = 0.15
    """Share of pictures without colour."""
    soft: float = 0.4
    """Share of pictures that are blurred or coarse."""
    noise: float = 0.04
    compressed: float = 0.5
    """Share of pictures that JPEG changes."""
    erased: float = 0.25
    """Share of pictures of which a rectangle is hidden."""


def jittered(key: Key[Array, ""], crop: ExpressionCrop, amounts: Amounts) -> ExpressionCrop:
    """Crops turned, zoomed and moved a little: what landmarks that are found differ by from true ones, and more."""
    turn, zoom, shift = jax.random.split(key, 3)
    batch = crop.half.shape
    side = 2 * crop.half
    return ExpressionCrop(
        centre=crop.centre + side[:, None] * amounts.shift * _normal(shift, (*batch, 2)),
        half=crop.half * jnp.exp(amounts.zoom * _normal(zoom, batch)),
        rotation=crop.rotation + amounts.turn * _normal(turn, batch),
    )


def cut(images: Pictures, crop: ExpressionCrop, *, size: int) -> Float[Array, "batch size size 3"]:
    """The inside of the crops, as at inference (`crop_image`)."""
    return jax.vmap(lambda image, one: crop_image(image, one, size=size))(images, crop)


def mirrored(
    key: Key[Array, ""], images: Pictures, units: Float[Array, "batch units"], pairs: Int[np.ndarray, "units"]
) -> tuple[Pictures, Float[Array, "batch units"]]:
    """Half of the pictures as in a mirror, and their units with left and right exchanged."""
    chosen = jax.random.bernoulli(key, 0.5, (images.shape[0],))
    return (
        jnp.where(_per_picture(chosen), images[:, :, ::-1], images),
        jnp.where(chosen[:, None], units[:, pairs], units),
    )


def coloured(key: Key[Array, ""], images: Pictures, amounts: Amounts) -> Pictures:
    """Other gain, tint, saturation, contrast, gamma, and light that falls off to one side."""
    keys = jax.random.split(key, 7)
    count, side = images.shape[0], images.shape[1]
    coloured = jnp.where(jax.random.bernoulli(keys[2], amounts.grey, (count,)), 0.0, 1.0)
    tint = amounts.tint * coloured[:, None] * _normal(keys[1], (count, 3))
    gain = jnp.exp(_even(keys[0], (count, 1), amounts.gain) + tint)
    colour = coloured * (1 + _even(keys[3], (count,), 0.4))
    grey = jnp.broadcast_to(jnp.array(GREY)[:, None], (3, 3))
    matrix = grey[None] + colour[:, None, None] * (jnp.eye(3) - grey)[None]
    matrix = matrix * gain[:, None, :]
    slope = _even(keys[4], (count, 2), amounts.slope)
    across = jnp.asarray(np.linspace(-1, 1, side, dtype=np.float32))
    light = jnp.exp(slope[:, 0, None, None] * across[None, :, None] + slope[:, 1, None, None] * across[None, None, :])
    result = precise_einsum("byxc,bcd->byxd", images, matrix) * light[..., None]
    contrast = jnp.exp(_even(keys[5], (count,), amounts.contrast))
    middle = result.mean(axis=(1, 2, 3))
    result = _per_picture(middle) + _per_picture(contrast) * (result - _per_picture(middle))
    gamma = jnp.exp(_even(keys[6], (count,), amounts.gamma))
    return jnp.clip(result, 1e-4, 1) ** _per_picture(gamma)


def softened(key: Key[Array, ""], images: Pictures, amounts: Amounts) -> Pictures:
    """Blurred, each axis by itself as by a shaking hand, or as coarse as a small face in a large photo."""
    chosen, which = jax.random.split(key)
    bank = jnp.asarray(softening(images.shape[1]))
    count = images.shape[0]
    kind = jax.random.randint(which, (count, 2), 0, bank.shape[0])
    # What is coarse is so along both axes.
    kind = jnp.where(kind[:, :1] >= len(BLURS), kind[:, :1], jnp.minimum(kind, len(BLURS) - 1))
    kind = jnp.where(jax.random.bernoulli(chosen, amounts.soft, (count, 1)), kind, 0)
    # Channels first: as last axis of three they would make thin products, four times as slow.
    columns = precise_einsum("bty,bcyx->bctx", bank[kind[:, 0]], images.transpose(0, 3, 1, 2))
    return precise_einsum("bctx,bsx->bcts", columns, bank[kind[:, 1]]).transpose(0, 2, 3, 1)


@functools.cache
def softening(side: int) -> Float[np.ndarray, "kinds side side"]:
    """Matrices over the pixels of one axis: of every blur, the first of which is none, then of every reduction."""
    scale = side / BLURRED_FROM
    kinds = [_gaussian(side, deviation * scale) for deviation in BLURS]
    kinds += [_coarse(side, factor * max(scale, 1.0)) for factor in REDUCTIONS[1:]]
    return np.stack(kinds).astype(np.float32)


def _gaussian(side: int, deviation: float) -> np.ndarray:
    distance = np.arange(side)[:, None] - np.arange(side)[None]
    weight = np.exp(-0.5 * (distance / max(deviation, 1e-3)) ** 2)
    return weight / weight.sum(axis=1, keepdims=True)


def _coarse(side: int, factor: float) -> np.ndarray:
    """Means over `factor` pixels, then linear interpolation between their middles."""
    count = max(2, round(side / factor))
    edges = np.linspace(0, side, count + 1)
    pixel = np.arange(side)
    overlap = np.minimum(pixel[None] + 1, edges[1:, None]) - np.maximum(pixel[None], edges[:-1, None])
    down = np.maximum(overlap, 0) * count / side
    middles = (edges[1:] + edges[:-1]) / 2
    up = np.stack([np.interp(pixel + 0.5, middles, row) for row in np.eye(count)], axis=1)
    return up @ down


def noisy(key: Key[Array, ""], images: Pictures, amounts: Amounts) -> Pictures:
    """Noise of pixels, of another strength in every picture."""
    strength, draw = jax.random.split(key)
    deviation = amounts.noise * jax.random.uniform(strength, (images.shape[0],)) ** 2
    return images + _per_picture(deviation) * _normal(draw, images.shape)


LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
"""Steps of quality 50 (ITU-T T.81, table K.1)."""
CHROMINANCE = (
    (17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99),
)  # fmt: skip
"""Table K.2; 99 beyond."""
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""From RGB, one row each (JFIF)."""
QUALITIES = (20.0, 95.0)


def compressed(key: Key[Array, ""], images: Pictures, amounts: Amounts) -> Pictures:
    """Some pictures as JPEG of some quality leaves them."""
    chosen, which = jax.random.split(key)
    count = images.shape[0]
    quality = jax.random.uniform(which, (count,), minval=QUALITIES[0], maxval=QUALITIES[1])
    keep = ~jax.random.bernoulli(chosen, amounts.compressed, (count,))
    return jnp.where(_per_picture(keep), images, jpeg_like(images, quality))


def jpeg_like(images: Pictures, quality: Float[Array, "batch"]) -> Pictures:
    """What is left of pictures after JPEG without subsampling; sides must be multiples of 8.

    Clipped to [0, 1], but not rounded to bytes again. quality: 1 to 100, the Independent JPEG Group's scale.
    """
    side = images.shape[1]
    scale = jnp.where(quality < 50, 50 / quality, 2 - quality / 50)
    steps = jnp.clip(jnp.floor(jnp.asarray(_steps(side))[None] * _per_picture(scale) + 0.5), 1.0, 255.0)
    # All blocks of a row or column at once: a matrix with the block's transform along its diagonal.
    transform = jnp.asarray(np.kron(np.eye(side // BLOCK, dtype=np.float32), _cosines()))
    middle = jnp.array((128.0, 0.0, 0.0))[None, :, None, None]
    colour = precise_einsum("dc,byxc->bdyx", jnp.array(YCBCR), 255 * images) - middle
    waves = precise_einsum("bcux,vx->bcuv", precise_einsum("uy,bcyx->bcux", transform, colour), transform)
    waves = jnp.round(waves / steps) * steps
    colour = precise_einsum("bcuv,vx->bcux", waves, transform)
    colour = precise_einsum("uy,bcux->bcyx", transform, colour) + middle
    back = jnp.asarray(np.linalg.inv(np.array(YCBCR)).astype(np.float32))
    return jnp.clip(precise_einsum("bdyx,cd->byxc", colour, back) / 255, 0, 1)


def _steps(side: int) -> Float[np.ndarray, "3 side side"]:
    chrominance = np.full((BLOCK, BLOCK), 99.0)
    chrominance[:4, :4] = CHROMINANCE
    tables = np.stack([np.array(LUMINANCE, float), chrominance, chrominance])
    return np.tile(tables, (1, side // BLOCK, side // BLOCK)).astype(np.float32)


def _cosines() -> Float[np.ndarray, "8 8"]:
    """The orthonormal cosine transform of type II: a row a frequency."""
    frequency, place = np.arange(BLOCK)[:, None], np.arange(BLOCK)[None]
    matrix = np.cos(np.pi * (2 * place + 1) * frequency / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def erased(key: Key[Array, ""], images: Pictures, amounts: Amounts) -> Pictures:
    """A rectangle of one colour over some pictures, a tenth to four tenths of the side high and wide."""
    chosen, place, extent, colour = jax.random.split(key, 4)
    count, side = images.shape[0], images.shape[1]
    middle = jax.random.uniform(place, (count, 2))
    half = jax.random.uniform(extent, (count, 2), minval=0.05, maxval=0.2)
    position = jnp.asarray((np.arange(side, dtype=np.float32) + 0.5) / side)
    inside = [jnp.abs(position[None] - middle[:, axis, None]) < half[:, axis, None] for axis in (0, 1)]
    covered = inside[0][:, :, None] & inside[1][:, None, :]
    covered = covered & jax.random.bernoulli(chosen, amounts.erased, (count, 1, 1))
    return jnp.where(covered[..., None], jax.random.uniform(colour, (count, 1, 1, 3)), images)


def changed(key: Key[Array, ""], images: Pictures, amounts: Amounts) -> Pictures:
    """Everything that happens to a picture after it is cut, in the order of the world: what is before the face, light,
    lens, sensor, file. Values end in [0, 1]."""
    keys = jax.random.split(key, 5)
    images = coloured(keys[0], erased(keys[1], images, amounts), amounts)
    images = noisy(keys[2], softened(keys[3], images, amounts), amounts)
    return compressed(keys[4], jnp.clip(images, 0, 1), amounts)


def _per_picture(values: Array) -> Array:
    """One value a picture, ready to be combined with pictures."""
    return values[:, None, None, None]


def _normal(key: Array, shape: tuple[int, ...]) -> Array:
    return jax.random.normal(key, shape)


def _even(key: Array, shape: tuple[int, ...], most: float) -> Array:
    return jax.random.uniform(key, shape, minval=-most, maxval=most)

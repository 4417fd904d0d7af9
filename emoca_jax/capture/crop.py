"""Crops: affine maps between crop and image pixels, and the bilinear warp that follows them.

Positions are continuous pixel coordinates: 0 is the left (top) edge of the first pixel, whose centre is at 0.5, so the
image plane of the renderer is 2 x / width - 1. A transform is a 2 x 3 matrix [A | t] from crop to image positions.
Everything here takes NumPy or JAX arrays and stays with what it was given.
"""

from __future__ import annotations

from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num, UInt8
from PIL import Image

from emoca_jax.products import precise_matmul

Array = np.ndarray | jax.Array

STRIP_PIXELS = 2**22


def _namespace(*arrays: Array) -> ModuleType:
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


def square_crop(
    centre: Num[Array, "*batch 2"], size: Num[Array, "*batch"], rotation: Float[Array, "*batch"], pixels: int
) -> Float[Array, "*batch 2 3"]:
    """Transform of a square crop of `pixels` x `pixels`.

    `centre` and `size` (side length) are in image pixels; `rotation` in radians is the direction of the crop's x axis
    in the image, positive from x towards y (clockwise on the screen).
    """
    xp = _namespace(centre, size, rotation)
    step = xp.asarray(size) / pixels
    cosine, sine = xp.cos(rotation) * step, xp.sin(rotation) * step
    linear = xp.stack([xp.stack([cosine, -sine], axis=-1), xp.stack([sine, cosine], axis=-1)], axis=-2)
    offset = xp.asarray(centre) - linear.sum(axis=-1) * (pixels / 2)
    return xp.concatenate([linear, offset[..., None]], axis=-1)


def apply_transform(
    transform: Float[Array, "*batch 2 3"], points: Float[Array, "*batch points 2"]
) -> Float[Array, "*batch points 2"]:
    """Crop positions to image positions."""
    xp = _namespace(transform, points)
    linear = xp.swapaxes(transform[..., :2], -1, -2)
    product = precise_matmul(points, linear) if xp is jnp else points @ linear
    return product + transform[..., None, :, 2]


def invert_transform(transform: Float[Array, "*batch 2 3"]) -> Float[Array, "*batch 2 3"]:
    """The map back, from image to crop positions. The transform must not be singular."""
    xp = _namespace(transform)
    inverse = xp.linalg.inv(transform[..., :2])
    offset = -xp.sum(inverse * transform[..., None, :, 2], axis=-1)
    return xp.concatenate([inverse, offset[..., None]], axis=-1)


def warp(
    image: Num[Array, "height width channels"],
    transform: Float[Array, "2 3"],
    shape: tuple[int, int],
    *,
    border: float | None = None,
) -> Float[Array, "out_height out_width channels"]:
    """The image seen through a transform, by bilinear interpolation; values keep the image's scale, as float32.

    `shape`: rows and columns of the crop. Outside the image the nearest edge pixel continues, or `border` where given.
    Differentiable to a JAX image and transform. No smoothing: use `cut` where the crop is much coarser than the image.
    """
    xp = _namespace(image, transform)
    height, width = image.shape[:2]
    columns, rows = xp.meshgrid(*(xp.arange(length, dtype=np.float32) + 0.5 for length in shape[::-1]))
    grid = xp.stack([columns, rows], axis=-1).reshape(-1, 2)
    positions = apply_transform(transform, grid) - 0.5
    x, y = xp.clip(positions[:, 0], 0, width - 1), xp.clip(positions[:, 1], 0, height - 1)
    left, top = xp.floor(x), xp.floor(y)
    x0, y0 = left.astype(np.int32), top.astype(np.int32)
    x1, y1 = xp.minimum(x0 + 1, width - 1), xp.minimum(y0 + 1, height - 1)
    wx, wy = (x - left)[:, None].astype(np.float32), (y - top)[:, None].astype(np.float32)
    upper = image[y0, x0] * (1 - wx) + image[y0, x1] * wx
    lower = image[y1, x0] * (1 - wx) + image[y1, x1] * wx
    values = upper * (1 - wy) + lower * wy
    if border is not None:
        inside = (positions > -0.5) & (positions < xp.asarray([[width - 0.5, height - 0.5]]))
        values = xp.where(inside.all(axis=-1, keepdims=True), values, xp.float32(border))
    return values.reshape(*shape, image.shape[2])


def shrink(
    image: UInt8[np.ndarray, "height width channels"], factor: int
) -> UInt8[np.ndarray, "rows columns channels"]:
    """Mean over blocks of factor x factor pixels; an incomplete last row or column of blocks is dropped."""
    if factor == 1:
        return image
    rows, columns = image.shape[0] // factor, image.shape[1] // factor
    result = np.empty((rows, columns, image.shape[2]), np.uint8)
    # A strip at a time: Pillow copies what it reduces, at four bytes a pixel.
    strip = max(1, STRIP_PIXELS // (image.shape[1] * factor))
    for start in range(0, rows, strip):
        part = image[start * factor : min(start + strip, rows) * factor, : columns * factor]
        result[start : start + strip] = np.asarray(Image.fromarray(part).reduce(factor))
    return result


def cut(
    image: UInt8[np.ndarray, "height width 3"], transform: Float[np.ndarray, "2 3"], shape: tuple[int, int]
) -> UInt8[np.ndarray, "out_height out_width 3"]:
    """A crop of a photo: averaged first where the crop is coarser than the photo, then warped bilinearly.

    Equals `warp` to one grey level where no averaging is due, and takes a quarter of its time. Reads only the part of
    the photo that the crop sees, so it is cheap on a huge one. Outside the photo its edge continues.
    """
    corners = np.array([[0, 0], [shape[1], 0], [0, shape[0]], [shape[1], shape[0]]], np.float32)
    seen = apply_transform(transform, corners)
    size = np.array([image.shape[1], image.shape[0]])
    factor = max(1, min(int(np.linalg.norm(transform[:, :2], axis=0).min()), *size))
    margin = 2 * factor
    wanted = np.floor(seen.min(axis=0)).astype(int) - margin, np.ceil(seen.max(axis=0)).astype(int) + margin
    low, high = (np.clip(corner, 0, size) for corner in wanted)
    low = np.minimum(low, size - factor)
    high = np.maximum(high, low + factor)
    part = shrink(image[low[1] : high[1], low[0] : high[0]], factor)
    # One more pixel all round, as the interpolation of Pillow reaches half a pixel over the edge, and what is missing.
    before = np.maximum(low - wanted[0], 0) // factor + 1
    after = np.maximum(wanted[1] - high, 0) // factor + 1
    part = np.pad(part, ((before[1], after[1]), (before[0], after[0]), (0, 0)), mode="edge")
    offset = (transform[:, 2] - low) / factor + before
    linear = transform[:, :2] / factor
    data = (*linear[0], offset[0], *linear[1], offset[1])
    size_out = (shape[1], shape[0])
    moved = Image.fromarray(part).transform(size_out, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    return np.asarray(moved)

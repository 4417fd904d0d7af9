"""The square around a face that the expression networks expect, and cutting it out differentiably."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray, checks_arguments, to_rank
from emoca_jax.mediapipe_points import CHIN, FOREHEAD, MESH_POINTS, OUTER_EYE_CORNERS
from emoca_jax.products import precise_einsum

CROP_SIZE = 112
"""Pixels a side: what face-api's network takes."""

CROP_MARGIN = 1.2
"""Side of the crop over the longer side of the box around the mesh points."""
CROP_SHIFT = 0.025
"""How far the crop's centre lies below the box's, in box sides. Both are the middle of the range (margin 1.0 to 1.4,
shift 0 to 0.05) in which face-api's network reads at least 10 of 11 labelled photos right."""


class ExpressionCrop(struct.PyTreeNode):
    """A square, turned with the face, in the image plane ([-1, 1]^2, x right, y down) of a square picture."""

    centre: Float[AnyArray, "*batch 2"]
    half: Float[AnyArray, "*batch"]
    """Half the side."""
    rotation: Float[AnyArray, "*batch"]
    """Direction of the crop's x axis in radians, positive from x towards y (clockwise on the screen)."""


@checks_arguments
def expression_crop(landmarks: Float[Array, "*batch 478 dims"]) -> ExpressionCrop:
    """The square in which the networks expect a face: upright with it, wide around its 468 mesh points.

    landmarks: MediaPipe's points in the image plane of a square picture; further coordinates than x, y are ignored.
    """
    points = landmarks[..., :MESH_POINTS, :2]
    across = points[..., OUTER_EYE_CORNERS[1], :] - points[..., OUTER_EYE_CORNERS[0], :]
    down = points[..., CHIN, :] - points[..., FOREHEAD, :]
    # Eye line and (turned by a right angle) midline together: in profile the eye line alone is short and noisy.
    x_axis = across + jnp.stack([down[..., 1], -down[..., 0]], axis=-1)
    x_axis = x_axis / jnp.linalg.norm(x_axis, axis=-1, keepdims=True)
    y_axis = jnp.stack([-x_axis[..., 1], x_axis[..., 0]], axis=-1)
    axes = jnp.stack([x_axis, y_axis], axis=-2)
    upright = precise_einsum("...pk,...ak->...pa", points, axes)
    low, high = upright.min(axis=-2), upright.max(axis=-2)
    side = jnp.max(high - low, axis=-1)
    middle = (low + high) / 2 + to_rank(jnp.array([0.0, CROP_SHIFT]), low.ndim) * side[..., None]
    centre = precise_einsum("...a,...ak->...k", middle, axes)
    return ExpressionCrop(centre, CROP_MARGIN * side / 2, jnp.arctan2(x_axis[..., 1], x_axis[..., 0]))


def crop_image(
    image: Float[Array, "height width 3"], crop: ExpressionCrop, *, size: int = CROP_SIZE
) -> Float[Array, "size size 3"]:
    """The picture inside the crop, `size` pixels a side; where the crop leaves the picture, its edge continues.

    Bilinear, after a blur that fits the reduction: faithful down to pixels 2.5 times as large as the picture's, so
    shrink larger photos first. Differentiable to image and crop.
    """
    pixels = image.shape[0]
    step = 2 * crop.half / size
    image = _blur(image, step * pixels / 2)
    offset = (jnp.arange(size, dtype=step.dtype) + 0.5 - size / 2) * step
    cosine, sine = jnp.cos(crop.rotation), jnp.sin(crop.rotation)
    x = crop.centre[0] + offset[None, :] * cosine - offset[:, None] * sine
    y = crop.centre[1] + offset[None, :] * sine + offset[:, None] * cosine
    return _bilinear(image, ((x + 1) * pixels - 1) / 2, ((y + 1) * pixels - 1) / 2)


def _blur(image: Array, reduction: Array) -> Array:
    """Gaussian of the width that a reduction by this factor needs (none at 1 or below), five taps a side at most."""
    variance = jnp.maximum(reduction**2 - 1, 0) / 4
    taps = jnp.exp(-(jnp.arange(-2, 3, dtype=variance.dtype) ** 2) / (2 * jnp.maximum(variance, 1e-3)))
    taps = taps / jnp.sum(taps)
    for axis in (0, 1):
        length = image.shape[axis]
        padded = jnp.pad(image, [(2, 2) if a == axis else (0, 0) for a in range(3)], mode="edge")
        image = sum(
            (taps[i] * jax.lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(5)),
            start=jnp.zeros((), image.dtype),
        )
    return image


def _bilinear(image: Array, x: Array, y: Array) -> Array:
    """Values at pixel positions (0 = centre of the first pixel), edge continued."""
    height, width = image.shape[:2]
    x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    left = jnp.clip(jnp.floor(x).astype(jnp.int32), 0, width - 2)
    top = jnp.clip(jnp.floor(y).astype(jnp.int32), 0, height - 2)
    right_share, low_share = (x - left.astype(x.dtype))[..., None], (y - top.astype(y.dtype))[..., None]
    # Each pixel with its right, lower and lower right neighbour in one row: one gather, and one scatter in the
    # gradient, which is what costs on a CPU (four of each take 1.5 times as long).
    squares = jnp.concatenate([image[i : height - 1 + i, j : width - 1 + j] for i in (0, 1) for j in (0, 1)], axis=-1)
    corners = squares.reshape(-1, squares.shape[-1])[top * (width - 1) + left]
    upper_left, upper_right, lower_left, lower_right = jnp.split(corners, 4, axis=-1)
    upper = upper_left * (1 - right_share) + upper_right * right_share
    lower = lower_left * (1 - right_share) + lower_right * right_share
    return upper * (1 - low_share) + lower * low_share

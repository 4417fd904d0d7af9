"""Larger textures for larger photos: what the photo shows between the texels of the first one, added to it.

Everything that is solved for is smooth or hidden, so it is solved for at one size, and time and memory grow with the
pixels of the answer alone.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from emoca_jax.texture.layout import TEXTURE_SIZE
from emoca_jax.texture.unwrap import FLOOR, UnwrappedTexture

LARGEST_TEXTURE = 4 * TEXTURE_SIZE
ENOUGH = 1.25
"""Pixels of the photo to a texel from which a texture twice as large is made. A crop of as many pixels as the texture
has texels has one (on the open head, from ear to ear)."""
MOST_DETAIL = 0.7
"""Log ratio by which a pixel differs from its surroundings at most."""
LEAST_SEEN = 0.01
"""Texels that were seen less are as sharp as they were."""


def texture_size(crop_side: float) -> int:
    """512, 1,024 or 2,048: side of the texture of a face whose square crop has so many pixels a side in the photo."""
    size = TEXTURE_SIZE
    while size < LARGEST_TEXTURE and crop_side > ENOUGH * size:
        size *= 2
    return size


def refined(
    texture: UnwrappedTexture,
    place: Float[np.ndarray, "size size 2"],
    nearest: Int[np.ndarray, "size size"],
    image: Float[np.ndarray, "side side 3"],
    large: Float[np.ndarray, "large large 3"],
) -> tuple[UInt8[np.ndarray, "large large 3"], UInt8[np.ndarray, "large large 3"]]:
    """Albedo and lit texture as large as the crop `large`, as bytes.

    place, nearest: where in the image plane each texel lies, and the layout's map of it. image: the crop that the
    texture was made from; large: the same part of the photo with more pixels.
    """
    side = len(large)
    missed = np.log(large + np.float32(FLOOR)) - np.log(_enlarged(image, side) + np.float32(FLOOR))
    there = _enlarged(place.reshape(-1, 2)[nearest], side).reshape(-1, 2)
    seen = _enlarged(texture.visible[..., None], side).ravel()
    # Most of a texture was not seen.
    texels = np.flatnonzero(seen > LEAST_SEEN)
    factor = _looked_up(np.clip(missed, -MOST_DETAIL, MOST_DETAIL), there[texels])
    factor = np.exp(seen[texels, None] * factor)

    def sharpened(colour: np.ndarray) -> np.ndarray:
        flat = _enlarged(colour, side).reshape(-1, 3)
        flat[texels] = (flat[texels] + FLOOR) * factor - FLOOR
        return np.round(np.clip(flat, 0, 1) * 255).astype(np.uint8).reshape(side, side, 3)

    return sharpened(texture.albedo), sharpened(texture.lit)


def _enlarged(values: Float[np.ndarray, "size size channels"], side: int) -> Float[np.ndarray, "side side channels"]:
    """Bilinear, channel by channel: Pillow knows no pictures of several floats."""
    channels = [Image.fromarray(np.ascontiguousarray(channel)) for channel in np.moveaxis(values, -1, 0)]
    return np.stack([np.asarray(x.resize((side, side), Image.Resampling.BILINEAR)) for x in channels], axis=-1)


def _looked_up(
    image: Float[np.ndarray, "side side 3"], place: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "points 3"]:
    """Bilinear at places in the image plane."""
    side = len(image)
    pixel = np.clip((place + 1) * (side / 2) - 0.5, 0, side - 1.001)
    corner = pixel.astype(np.int32)
    right, down = ((pixel - corner)[:, [k]] for k in (0, 1))
    flat, first = image.reshape(-1, 3), corner[:, 1] * side + corner[:, 0]
    above = (1 - right) * flat[first] + right * flat[first + 1]
    below = (1 - right) * flat[first + side] + right * flat[first + side + 1]
    return (1 - down) * above + down * below

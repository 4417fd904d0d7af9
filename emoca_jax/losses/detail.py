"""Losses of the detail stage, in the head's texture layout.

Maps are [*B, H, W] or [*B, H, W, 3] with row 0 at the top of the texture, displacements in metres.
Source: DECA sections 3.4 and 3.5.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from emoca_jax.arrays import checks_arguments
from emoca_jax.products import PRECISION

LAYOUT_PIXELS = 2048
"""Size of the texture in which a face's place is given."""


class FaceSpan(NamedTuple):
    """Where a layout has the face: the first row and column of the patch that is compared, and those behind its last.

    In a texture of LAYOUT_PIXELS a side; other textures have their share of it, rounded down.
    """

    top: int
    bottom: int
    left: int
    right: int


FLAME_SPAN = FaceSpan(400, 1648, 400, 1648)
"""From the forehead to the chin in FLAME's layout (DECA's)."""
EROSION_PIXELS = 5
"""Side of the square that `eroded` takes off, at 256 pixels."""


@checks_arguments
def face_patch(
    texture: Float[Array, "*batch size size channels"], *, span: FaceSpan = FLAME_SPAN
) -> Float[Array, "*batch size size channels"]:
    """The face out of a square texture (of FLAME's layout [50:206] of 256 pixels), enlarged bilinearly to its size."""
    size = texture.shape[-2]
    top, bottom, left, right = (pixel * size // LAYOUT_PIXELS for pixel in span)
    return jax.image.resize(texture[..., top:bottom, left:right, :], texture.shape, "bilinear", precision=PRECISION)


@checks_arguments
def visible_patches(
    rendered: Float[Array, "*batch size size 3"],
    photographed: Float[Array, "*batch size size 3"],
    visible: Float[Array, "*batch size size"],
    *,
    span: FaceSpan = FLAME_SPAN,
) -> tuple[Float[Array, "*batch size size 3"], Float[Array, "*batch size size 3"]]:
    """Rendered texture and the photo's, as the detail losses compare them: the face, black where it is not seen."""
    mask = face_patch(visible[..., None], span=span)
    return face_patch(rendered, span=span) * mask, face_patch(photographed, span=span) * mask


@checks_arguments
def displacement_size(displacement: Float[Array, "*batch height width"]) -> Float[Array, ""]:
    """Mean absolute displacement: details stay small. Source: DECA section 3.4, regularisation."""
    return jnp.mean(jnp.abs(displacement))


@checks_arguments
def shading_roughness(shading: Float[Array, "*batch height width channels"]) -> Float[Array, ""]:
    """Mean squared difference of neighbouring values along rows plus along columns, without the border."""
    along = shading[..., 1:-1, 1:, :] - shading[..., 1:-1, :-1, :]
    across = shading[..., 1:, 1:-1, :] - shading[..., :-1, 1:-1, :]
    return jnp.mean(jnp.square(along)) + jnp.mean(jnp.square(across))


@checks_arguments
def hidden_asymmetry(
    displacement: Float[Array, "*batch height width"], visible: Float[Array, "*batch height width"]
) -> Float[Array, ""]:
    """Sum over what the camera does not see of |displacement - its mirror image|. Source: DECA equation 11.

    A sum, not a mean (the weight 0.005 of the official configuration goes with that). What counts as seen is `visible`
    eroded, and the mirrored side takes no gradient: the hidden cheek learns from the seen one, not the other way round.
    """
    hidden = 1 - eroded(visible).astype(displacement.dtype)
    mirrored = jax.lax.stop_gradient(displacement[..., ::-1])
    return jnp.sum(hidden * jnp.abs(displacement - mirrored))


@checks_arguments
def eroded(mask: Float[Array, "*batch height width"]) -> Bool[Array, "*batch height width"]:
    """Where the whole 5 x 5 neighbourhood is set; outside the image nothing is, so the border is eaten too."""
    margin = EROSION_PIXELS // 2
    batch = mask.ndim - 2
    bordered = jnp.pad(mask > 0, [(0, 0)] * batch + [(margin, margin)] * 2)
    window = (1,) * batch + (EROSION_PIXELS,) * 2
    return jax.lax.reduce_window(bordered, True, jax.lax.bitwise_and, window, (1,) * mask.ndim, "VALID")

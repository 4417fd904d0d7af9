"""How well the camera saw each texel: what hides it, at what angle, and whether the photo shows a person there."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax import render
from emoca_jax.texture.windows import box, eroded, ramp

FACING_NONE, FACING_FULL = 0.15, 0.5
"""Cosine between normal and view below which a texel is too oblique to trust, and from which it is fully trusted."""
FEATHER = 3
"""Texels over which sight fades out at an edge of visibility."""
OUTLINE = 0.04
"""Share of the picture's side within which of the head's outline against what is behind it nothing is trusted, where
no mask tells the person: in a profile the outline of the fit runs beside the photo's, and the background would be a
beard."""
OUTLINE_TOLD = 0.01
"""The same where a mask tells. On 34 drawn faces 5 % more skin is trusted then, and a third of the background."""
PERSON_EDGE = 2
"""Pixels of the mask at the person's outline that are not trusted, 1.2 % of the crop: what is there is mixed."""
PERSON_NONE, PERSON_FULL = 0.5, 0.9
"""Probability of being a person from which a pixel is trusted, and in full."""
BELIEVED = 0.7
"""Share of the visible face that must lie on the person, or the mask is not believed."""


def camera_sight(
    depth: Float[Array, "side side"],
    place: Float[Array, "size size 3"],
    facing: Float[Array, "size size"],
    face: Float[Array, "size size"],
    person: Float[Array, "pixels pixels"] | None,
) -> Float[Array, "size size"]:
    """0 where a texel is hidden, oblique, outside the photo or not on a person, 1 in plain view.

    depth: of the head in the image plane, infinite beside it. place: of each texel there. facing: cosine between its
    normal and the view. face: 1 on the face. person: how likely each pixel of the image plane shows a person.
    """
    if person is None:
        return _in_view(depth, place, facing, OUTLINE)
    near = _in_view(depth, place, facing, OUTLINE_TOLD)
    sure = eroded(person, PERSON_EDGE)[..., None]
    shown = ramp(render.sample_image(sure, place[..., :2])[..., 0], PERSON_NONE, PERSON_FULL)
    believed = jnp.sum(face * near * shown) > BELIEVED * jnp.sum(face * near)
    return jnp.where(believed, near * shown, _in_view(depth, place, facing, OUTLINE))


def _in_view(
    depth: Float[Array, "side side"],
    place: Float[Array, "size size 3"],
    facing: Float[Array, "size size"],
    outline: float,
) -> Float[Array, "size size"]:
    side = depth.shape[0]
    # The nearest of the pixels around, so that a texel beside an edge that hides it is hidden.
    nearest = -jax.lax.reduce_window(-depth, -jnp.inf, jax.lax.max, (2, 2), (1, 1), ((0, 1), (0, 1)))
    corner = jnp.clip(jnp.floor((place[..., :2] + 1) * (side / 2) - 0.5), 0, side - 1).astype(jnp.int32)
    front = nearest[corner[..., 1], corner[..., 0]]
    whole = eroded(jnp.isfinite(depth).astype(jnp.float32), round(outline * side))
    # A surface seen at an angle deepens by its tangent within a pixel.
    pixel, cosine = 2 / side, jnp.clip(facing, 0.1, 1.0)
    slack = pixel * (1 + 2 * jnp.sqrt(1 - cosine**2) / cosine)
    inside = jnp.max(jnp.abs(place[..., :2]), axis=-1) < 1 - pixel
    clear = ((place[..., 2] < front + slack) & inside & (facing > FACING_NONE)).astype(jnp.float32)
    clear = clear * whole[corner[..., 1], corner[..., 0]]
    around = box(clear, 2 * FEATHER + 1)
    return clear * ramp(around, 0.5, 0.95) * ramp(facing, FACING_NONE, FACING_FULL)

"""From world coordinates to the image plane."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def weak_perspective(
    vertices: Float[Array, "*batch points 3"], camera: Float[Array, "*batch 3"]
) -> Float[Array, "*batch points 3"]:
    """World points (x left of the subject, y up, z to the viewer) to image-plane x (right), y (down) and depth.

    camera: (s, tx, ty), x = s (x + tx), y = -s (y + ty), depth = -s z: DECA's scaled orthographic camera.
    """
    scale, shift_x, shift_y = (camera[..., i, None] for i in range(3))
    x, y, z = vertices[..., 0], vertices[..., 1], vertices[..., 2]
    return jnp.stack([scale * (x + shift_x), -scale * (y + shift_y), -scale * z], axis=-1)

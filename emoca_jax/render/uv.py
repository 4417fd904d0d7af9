"""The uv layout as an image: which face and where in it each texel lies."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from emoca_jax.arrays import checks_arguments
from emoca_jax.render.rasterize import Fragments, rasterize


@checks_arguments
def rasterize_uv(
    uv: Float[Array, "uvs 2"],
    uv_faces: Integer[Array, "faces 3"],
    size: tuple[int, int],
    *,
    official: bool = False,
) -> Fragments:
    """Fragments of a height x width texture: row 0 is v = 1, column 0 is u = 0; where charts overlap the lower face
    index wins. With `interpolate` it turns vertex attributes into maps; constant per head, so compute it once.
    Differentiable in `uv` as `rasterize` is in the vertices.
    """
    # The reference's rule drops faces at depth 0, so the sheet lies at 1.
    plane = jnp.stack([2 * uv[..., 0] - 1, 1 - 2 * uv[..., 1], jnp.ones_like(uv[..., 0])], axis=-1)
    return rasterize(plane, uv_faces, size, official=official)

"""From world coordinates to the image plane: x right, y down, [-1, 1] across the image, and depth.

The world has x to the right as the viewer sees it, y up and z to the viewer; cameras look along -z.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments, to_one_rank, to_rank
from emoca_jax.products import precise_matmul

SMALLEST_DEPTH = float(np.finfo(np.float32).eps)
"""Points nearer to the camera's plane are divided by this instead: what is that near is cut off in any case."""


@checks_arguments
def weak_perspective(
    vertices: Float[Array, "*#batch points 3"], camera: Float[Array, "*#batch 3"]
) -> Float[Array, "*batch points 3"]:
    """World points (x left of the subject, y up, z to the viewer) to image-plane x (right), y (down) and depth.

    camera: (s, tx, ty), x = s (x + tx), y = -s (y + ty), depth = -s z: DECA's scaled orthographic camera.
    Batch dimensions broadcast. Differentiable.
    """
    vertices, camera = to_one_rank(vertices, camera[..., None, :])
    scale, shift_x, shift_y = (camera[..., i] for i in range(3))
    x, y, z = vertices[..., 0], vertices[..., 1], vertices[..., 2]
    return jnp.stack([scale * (x + shift_x), -scale * (y + shift_y), -scale * z], axis=-1)


@checks_arguments
def orthographic(
    vertices: Float[Array, "*batch points 3"],
    *,
    half_height: Float[Array, "*#batch"] | float = 1.0,
    aspect: float = 1.0,
) -> Float[Array, "*batch points 3"]:
    """Camera-frame points to the image plane by parallel rays; depth is the distance along the view, -z.

    half_height: world length from the middle of the image to its top. aspect: width / height of the image.
    Differentiable.
    """
    half_height = to_rank(jnp.asarray(half_height)[..., None], vertices.ndim - 1)
    x, y, z = vertices[..., 0], vertices[..., 1], vertices[..., 2]
    return jnp.stack([x / (half_height * aspect), -y / half_height, -z], axis=-1)


@checks_arguments
def perspective(
    vertices: Float[Array, "*batch points 3"],
    field_of_view: Float[Array, "*#batch"] | float,
    *,
    aspect: float = 1.0,
) -> Float[Array, "*batch points 3"]:
    """Camera-frame points to the image plane of a pinhole at the origin, for `rasterize(..., perspective=True)`.

    field_of_view: angle from the bottom to the top of the image, radians. aspect: width / height of the image.
    depth is the distance along the view, -z; x and y are divided by it, also behind the camera (negative depth), where
    they mean nothing by themselves but let `rasterize` cut faces exactly. Differentiable.
    """
    focal = to_rank(1 / jnp.tan(jnp.asarray(field_of_view) / 2)[..., None], vertices.ndim - 1)
    x, y, depth = vertices[..., 0], vertices[..., 1], -vertices[..., 2]
    depth = jnp.where(jnp.abs(depth) < SMALLEST_DEPTH, jnp.where(depth < 0, -SMALLEST_DEPTH, SMALLEST_DEPTH), depth)
    return jnp.stack([focal / aspect * x / depth, -focal * y / depth, depth], axis=-1)


@checks_arguments
def look_at(
    vertices: Float[Array, "*#batch points 3"], eye: Float[Array, "*#batch 3"],
    target: Float[Array, "*#batch 3"], *, up: tuple[float, float, float] = (0.0, 1.0, 0.0),
) -> Float[Array, "*batch points 3"]:  # fmt: skip
    """World points in the frame of a camera at `eye` that looks at `target`: x right, y up, z towards the camera.

    up: which way is up in the image; must not be the direction of the view. Differentiable.
    """
    eye, target = to_one_rank(eye, target)
    back = _unit(eye - target)
    right = _unit(jnp.cross(jnp.broadcast_to(jnp.array(up, back.dtype), back.shape), back))
    rotation = jnp.stack([right, jnp.cross(back, right), back], axis=-1)
    vertices, eye = to_one_rank(vertices, eye[..., None, :])
    return precise_matmul(vertices - eye, rotation)


def _unit(vector: Array) -> Array:
    return vector / jnp.linalg.norm(vector, axis=-1, keepdims=True)

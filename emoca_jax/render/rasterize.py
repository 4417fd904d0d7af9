"""Hard rasterisation of triangle meshes: what each pixel sees, differentiable through barycentrics and depth."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from emoca_jax.errors import InputError
from emoca_jax.render.visible_faces import (
    OFFICIAL_EPSILON,
    Cull,
    coverage,
    pixel_centres,
    plane_depth,
    signed_area,
    visible_faces,
)


class Fragments(struct.PyTreeNode):
    """What each pixel sees.

    face_index: int32, -1 on the background, no gradient. barycentric: weights of the face's three corners, sums to 1,
    zero on the background. depth: +inf on the background.
    """

    face_index: Int[Array, "*batch height width"]
    barycentric: Float[Array, "*batch height width 3"]
    depth: Float[Array, "*batch height width"]


def rasterize(
    vertices: Float[Array, "*batch vertices 3"], faces: Int[Array, "faces 3"], size: tuple[int, int], *,
    cull: Cull = None, official: bool = False,
) -> Fragments:  # fmt: skip
    """The nearest face at each pixel centre of a height x width image.

    vertices: image-plane x (right), y (down) in [-1, 1] across the image, and depth (any unit, grows away from the
    viewer). Pixel centres lie at (2 i + 1) / size - 1. faces: shared by the batch. size: (height, width), static.
    cull: drop faces whose corners run clockwise ("back") or counter-clockwise ("front") on the screen.

    The nearer face wins, equal depths go to the lower face index, and a pixel centre on an edge shared by two faces
    belongs to exactly one of them (top-left rule). Faces of any size are exact; degenerate ones and those with a
    non-finite corner are not drawn. There is no near plane: cameras decide what is behind them.

    official: pytorch3d's rules instead (Ravi et al. 2020, as used by the reference): a pixel centre on an edge belongs
    to no face, faces with a depth below 1e-8 are dropped, and 1e-8 is added to the area in the barycentrics.

    Differentiable in `vertices` through `barycentric` and `depth`, with zero gradient from the background.
    """
    height, width = size
    if height < 1 or width < 1:
        raise InputError(f"Cannot rasterise into {height} x {width} pixels; give a height and a width of at least 1.")
    index = visible_faces(vertices, faces, size, cull=cull, official=official)
    barycentric, depth = _surface(vertices, jnp.asarray(faces), index, official)
    return Fragments(index, barycentric, depth)


def _surface(vertices: Array, faces: Array, index: Array, official: bool) -> tuple[Array, Array]:
    """Barycentrics and depth at every pixel, as a differentiable function of the vertices."""
    height, width = index.shape[-2:]
    covered = index >= 0
    triangles = corners_of(vertices, faces, index)
    # A harmless triangle on the background keeps division and its derivative finite there.
    spare = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], triangles.dtype)
    triangles = jnp.where(covered[..., None, None], triangles, spare)
    x = pixel_centres(jnp.arange(width), width)
    y = pixel_centres(jnp.arange(height), height)[:, None]
    _, edges = coverage(triangles, x, y, strict=official)
    if official:
        # The same side of zero as pytorch3d's area, whose sign is the opposite of ours.
        weights = edges / (signed_area(triangles) - OFFICIAL_EPSILON)[..., None]
        depth = jnp.sum(weights * triangles[..., 2], axis=-1)
    else:
        weights = edges / edges.sum(-1, keepdims=True)
        depth = plane_depth(triangles, weights)
    return jnp.where(covered[..., None], weights, 0.0), jnp.where(covered, depth, jnp.inf)


def corners_of(
    attributes: Float[Array, "*batch vertices channels"], faces: Int[Array, "faces 3"],
    face_index: Int[Array, "*batch height width"],
) -> Float[Array, "*batch height width 3 channels"]:  # fmt: skip
    """Attributes of the three corners of the face each pixel sees; those of face 0 on the background."""
    batch, pixels = face_index.shape[:-2], face_index.shape[-2:]
    vertices, channels = attributes.shape[-2:]
    attributes = jnp.broadcast_to(attributes, (*batch, vertices, channels)).reshape(-1, vertices, channels)
    # Gathering whole faces and then pixels costs one row of memory per pixel instead of three.
    per_face = attributes[:, faces].reshape(-1, 3 * channels)
    count = attributes.shape[0]
    offset = jnp.arange(count, dtype=jnp.int32).reshape(*batch, 1, 1) * faces.shape[0]
    row = jnp.maximum(face_index, 0) + offset
    return per_face.at[row].get(mode="promise_in_bounds").reshape(*batch, *pixels, 3, channels)

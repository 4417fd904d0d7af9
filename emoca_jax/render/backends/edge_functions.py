"""Edge functions: when is a pixel centre inside a triangle, and with which barycentric weights.

A triangle becomes one row of numbers, computed once per face, that makes the test at a pixel a few multiplications.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

OFFICIAL_EPSILON = 1e-8
"""pytorch3d's kEpsilon: faces nearer than this or with less doubled area are dropped, and it is added to the area."""
SMALLEST = float(np.finfo(np.float32).tiny)
UNSLOPED = 1e-18
"""Of corners as near to the camera's plane the inverse depth has a derivative near or beyond the end of float32, which
makes NaN of the nothing that comes from a face that is not drawn."""
SPARE_TRIANGLE = ((0.0, 0.0, 1.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0))
"""Stands in where there is no usable face and keeps divisions and their derivatives finite."""


def signed_area(triangles: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch"]:
    """Twice the area of image-plane triangles [..., corner, (x, y, depth)]; negative for corners that run
    counter-clockwise as seen on the screen (y points down)."""
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])


def pixel_centres(index: Int[Array, "*n"], size: int) -> Float[Array, "*n"]:
    """Image-plane coordinate (2 i + 1) / size - 1 of pixel column or row `index`, correctly rounded.

    The nearest float matters: on a sliver of a face 1e-7 of the image is 1e-3 in the barycentrics. XLA turns a
    division by a constant into a multiplication, so the reciprocal is given in two parts.
    """
    coarse, fine = reciprocal_parts(size)
    odd = (2 * index + 1 - size).astype(jnp.float32)
    return odd * coarse + odd * fine


def reciprocal_parts(size: int) -> tuple[float, float]:
    """1 / size as a sum, of which the first has so few bits that its product with a pixel's number is exact for images
    of up to 8192 pixels."""
    coarse = np.array(1 / size, np.float32).view(np.uint32) & np.uint32(0xFFFFE000)
    coarse = float(coarse.view(np.float32))
    return coarse, 1 / size - coarse


def facing(triangles: Float[Array, "*batch 3 3"], *, perspective: bool) -> Float[Array, "*batch"]:
    """Sign of the area of what is seen of a triangle; that of corners behind the camera mirrors it."""
    sign = jnp.sign(signed_area(triangles))
    return sign * jnp.prod(jnp.sign(triangles[..., 2]), axis=-1) if perspective else sign


def edge_rows(
    triangles: Float[Array, "*batch 3 3"], *, strict: bool, perspective: bool = False
) -> Float[Array, "*batch columns"]:
    """One row per triangle for `evaluate`: origin x, origin y, direction x, direction y and threshold of three edges
    each (opposite corner 0, 1, 2), the first corner's depth and the rise from it to the other two, +1 or -1 for the
    sign of the area; in perspective also the inverse depths. strict: on any edge is outside.

    Edges are turned so that the inside is positive. Each is measured from the same end whichever way round a face
    lists it, so that the two faces on an edge see exactly opposite numbers: no pixel falls between them or into both.

    perspective: corners are (x / depth, y / depth, depth) and may lie behind the camera, where that is the other side
    of the image. As in homogeneous rasterisation (Olano and Greer 1997) the edge between a corner in front and one
    behind is then turned round, and nothing needs clipping. Differentiable.
    """
    # Faces that are not drawn must not hand a NaN to the derivative either.
    finite = jnp.all(jnp.isfinite(triangles), axis=(-2, -1), keepdims=True)
    triangles = jnp.where(finite, triangles, jnp.array(SPARE_TRIANGLE, triangles.dtype))
    x, y, z = triangles[..., 0], triangles[..., 1], triangles[..., 2]
    orientation = lax.stop_gradient(facing(triangles, perspective=perspective))[..., None]
    from_x, from_y = jnp.roll(x, -1, axis=-1), jnp.roll(y, -1, axis=-1)
    to_x, to_y = jnp.roll(x, 1, axis=-1), jnp.roll(y, 1, axis=-1)
    along_x, along_y = (to_x - from_x) * orientation, (to_y - from_y) * orientation
    swap = (to_x < from_x) | ((to_x == from_x) & (to_y < from_y))
    if perspective:
        from_z, to_z = jnp.roll(z, -1, axis=-1), jnp.roll(z, 1, axis=-1)
        turned = jnp.where((from_z < 0) != (to_z < 0), -1.0, 1.0)
        along_x, along_y = along_x * turned, along_y * turned
        # From the end farther from the camera's plane: the other's numbers may be huge.
        swap = (jnp.abs(to_z) > jnp.abs(from_z)) | ((jnp.abs(to_z) == jnp.abs(from_z)) & swap)
    origin_x, origin_y = jnp.where(swap, to_x, from_x), jnp.where(swap, to_y, from_y)
    # Top-left rule: a top edge is horizontal with the face below it, a left edge has the face on its right.
    top_left = (along_y < 0) | ((along_y == 0) & (along_x > 0))
    threshold = jnp.where(top_left & (not strict), 0.0, SMALLEST)
    rise = jnp.stack([z[..., 0], z[..., 1] - z[..., 0], z[..., 2] - z[..., 0]], axis=-1)
    # Of the depths without their signs, which turning the edges has taken care of.
    depth = jnp.abs(z)
    inverse = (
        [1 / jnp.maximum(jnp.where(depth < UNSLOPED, lax.stop_gradient(depth), depth), SMALLEST)] if perspective else []
    )
    return jnp.concatenate([origin_x, origin_y, along_x, along_y, threshold, rise, orientation, *inverse], axis=-1)


def columns(rows: Float[Array, "*n channels"]) -> list[Float[Array, "*n"]]:
    """The channels as separate arrays. The derivative of a split is one concatenation, that of indexing each channel
    a sum of as many mostly empty arrays."""
    return [part[..., 0] for part in lax.split(rows, (1,) * rows.shape[-1], axis=-1)]


def evaluate(
    row: list[Float[Array, "*#n"]], x: Float[Array, "*#n"], y: Float[Array, "*#n"]
) -> tuple[list[Float[Array, "*n"]], Bool[Array, "*n"]]:
    """The three edge functions at (x, y), proportional to the barycentric weights, and whether the point is inside.

    row: the columns of an edge row, broadcast against x and y.
    """
    origin_x, origin_y, along_x, along_y, threshold = (row[i : i + 3] for i in range(0, 15, 3))
    edges = [along_x[i] * (y - origin_y[i]) - along_y[i] * (x - origin_x[i]) for i in range(3)]
    above = [edges[i] >= threshold[i] for i in range(3)]
    return edges, above[0] & above[1] & above[2]


def weights_and_depth(
    row: list[Float[Array, "*#n"]], edges: list[Float[Array, "*#n"]], *, official: bool
) -> tuple[list[Float[Array, "*n"]], Float[Array, "*n"]]:
    """Barycentric weights and depth from edge functions. A triangle of constant depth gives exactly that depth, so
    that ties are ties."""
    level, rise_1, rise_2, orientation, *inverse_depths = row[15:]
    if inverse_depths:
        edges = [edge * inverse for edge, inverse in zip(edges, inverse_depths, strict=True)]
    area = edges[0] + edges[1] + edges[2]
    if official:
        # pytorch3d adds it to its signed area, whose sign is the opposite of ours.
        area = area - OFFICIAL_EPSILON * orientation
    weights = [edge / area for edge in edges]
    if official:
        level = level * (weights[0] + weights[1] + weights[2])
    return weights, level + (weights[1] * rise_1 + weights[2] * rise_2)

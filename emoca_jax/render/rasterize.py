"""Hard rasterisation of triangle meshes: what each pixel sees, differentiable through barycentrics and depth."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Integer

from emoca_jax.arrays import AnyArray, checks_arguments
from emoca_jax.errors import InputError
from emoca_jax.render.backends.choice import Backend, draws_by_warp, draws_natively
from emoca_jax.render.backends.edge_functions import (
    SPARE_TRIANGLE,
    columns,
    edge_rows,
    evaluate,
    pixel_centres,
    weights_and_depth,
)
from emoca_jax.render.backends.native.surface import native_surface
from emoca_jax.render.backends.per_image import for_each_image
from emoca_jax.render.backends.visible_faces import Cull, Rules, visible_faces
from emoca_jax.render.backends.warp.surface import warp_surface


class Fragments(struct.PyTreeNode):
    """What each pixel sees.

    face_index: int32, -1 on the background, no gradient. barycentric: weights of the face's three corners, sums to 1,
    zero on the background. depth: +inf on the background.
    """

    face_index: Int[AnyArray, "*batch height width"]
    barycentric: Float[AnyArray, "*batch height width 3"]
    depth: Float[AnyArray, "*batch height width"]


@checks_arguments
@functools.partial(jax.jit, static_argnames=("size", "cull", "perspective", "near", "official", "backend"))
def rasterize(
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], size: tuple[int, int], *,
    cull: Cull = None, perspective: bool = False, near: float = 1e-3, official: bool = False,
    backend: Backend | None = None,
) -> Fragments:  # fmt: skip
    """The nearest face at each pixel centre of a height x width image.

    vertices: image-plane x (right), y (down) in [-1, 1] across the image, and depth (any unit, grows away from the
    viewer), up to 1e19. Pixel centres lie at (2 i + 1) / size - 1. faces: shared by the batch; every number in them is
    one of a vertex, which is not checked. size: (height, width), a tuple, static.
    cull: drop faces whose corners run clockwise ("back") or counter-clockwise ("front") on the screen.

    The nearer face wins, equal depths go to the lower face index, and a pixel centre on an edge shared by two faces
    belongs to exactly one of them (top-left rule). Faces of any size are exact; degenerate ones and those with a
    non-finite corner are not drawn.

    perspective: vertices come from `render.perspective`, divided by their depth: barycentrics and depth are then those
    of the point seen, not of the picture of the face, and faces are cut exactly where they are nearer than `near`
    (same unit as depth, static), however many of their corners are behind the camera. Otherwise no depth is too near.

    official: pytorch3d's rules instead (Ravi et al. 2020, as used by the reference): a pixel centre on an edge belongs
    to no face, faces with a depth below 1e-8 are dropped, and 1e-8 is added to the area in the barycentrics.

    backend: "jax" for plain JAX; "native" for compiled kernels, which give the same faster (`choice.py`); "warp" for
    those for NVIDIA GPUs, which no GPU has run yet; None for compiled ones where there are any, on a GPU where they
    have passed a trial on it.

    Differentiable in `vertices` through `barycentric` and `depth`, with zero gradient from the background; by kernels
    in reverse mode only. Errors:
    InputError for arrays of another kind or shape, batched faces among them (`jax.vmap` takes those), and for options
    that do not go together.
    """
    if perspective and official:
        raise InputError("official=True draws without perspective; leave one of the two out.")
    if cull not in ("back", "front", None):
        raise InputError(f'cull is {cull!r}; choose "back", "front" or None.')
    if vertices.shape[-2] == 0:
        if faces.shape[0] > 0:
            raise InputError(f"{faces.shape[0]} faces have no vertices; give the vertices that they number.")
        vertices = jnp.zeros((*vertices.shape[:-2], 1, 3), jnp.float32)
    if perspective and not near > 0:
        raise InputError(f"near is {near}; give a positive depth.")
    rules = Rules(cull, official, float(near) if perspective else None)
    faces = jnp.asarray(faces, jnp.int32)

    def plain(vertices: Array, faces: Array) -> tuple[Array, Array, Array]:
        index = visible_faces(vertices, faces, size, rules)
        weights, depth = for_each_image(
            lambda own, seen: _surface(own, faces, seen, official, perspective), vertices.shape[:-2], (vertices, index)
        )
        return index, weights, depth

    if draws_by_warp(backend) and vertices.dtype == jnp.float32:
        return Fragments(*warp_surface(vertices, faces, size, rules, plain))
    if draws_natively(backend, "hard") and vertices.dtype == jnp.float32:
        return Fragments(*native_surface(vertices, faces, size, rules, plain))
    return Fragments(*plain(vertices, faces))


def _seen_rows(vertices: Array, faces: Array, index: Array, official: bool, perspective: bool) -> list[Array]:
    """Columns of the edge row of the face that each pixel sees, of a spare one on the background."""
    rows = edge_rows(vertices[..., faces, :], strict=official, perspective=perspective)
    spare = edge_rows(jnp.array(SPARE_TRIANGLE), strict=official, perspective=perspective)
    return columns(jnp.where((index >= 0)[..., None], at_pixels(rows, index), spare))


def _surface(vertices: Array, faces: Array, index: Array, official: bool, perspective: bool) -> tuple[Array, Array]:
    """Barycentrics and depth at every pixel, as a differentiable function of the vertices."""
    height, width = index.shape[-2:]
    covered = index >= 0
    row = _seen_rows(vertices, faces, index, official, perspective)
    x = pixel_centres(jnp.arange(width), width)[None]
    y = pixel_centres(jnp.arange(height), height)[:, None]
    edges, _ = evaluate(row, x, y)
    weights, depth = weights_and_depth(row, edges, official=official)
    barycentric = jnp.where(covered[..., None], jnp.stack(weights, axis=-1), 0.0)
    return barycentric, jnp.where(covered, depth, jnp.inf)


@checks_arguments
@functools.partial(jax.jit, static_argnames="perspective")
def barycentric_slopes(
    fragments: Fragments, vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], *,
    perspective: bool = False,
) -> tuple[Fragments, Fragments]:  # fmt: skip
    """How the barycentrics change from a pixel to the next, to the right and down, in the place of the barycentrics.

    With `interpolate` they give the derivative of any attribute across the image, of uv for `mip_level` for instance.
    Differentiable in `vertices`.
    """
    height, width = fragments.face_index.shape[-2:]
    covered = (fragments.face_index >= 0)[..., None]
    x = jnp.broadcast_to(pixel_centres(jnp.arange(width), width), fragments.face_index.shape)
    y = jnp.broadcast_to(pixel_centres(jnp.arange(height), height)[:, None], fragments.face_index.shape)
    faces = jnp.asarray(faces)
    row = for_each_image(
        lambda own, seen: _seen_rows(own, faces, seen, False, perspective),
        vertices.shape[:-2], (vertices, fragments.face_index),
    )  # fmt: skip

    def weights(x, y):
        return jnp.stack(weights_and_depth(row, evaluate(row, x, y)[0], official=False)[0], axis=-1)

    def slope(step_x: float, step_y: float) -> Fragments:
        change = jax.jvp(weights, (x, y), (jnp.full_like(x, step_x), jnp.full_like(y, step_y)))[1]
        return fragments.replace(barycentric=jnp.where(covered, change, 0.0))

    return slope(2 / width, 0.0), slope(0.0, 2 / height)


def at_pixels(
    per_face: Float[Array, "faces channels"], face_index: Int[Array, "height width"]
) -> Float[Array, "height width channels"]:
    """The row of the face that each pixel sees; that of face 0 on the background. For one image. Differentiable."""
    if per_face.shape[0] == 0:
        return jnp.zeros((*face_index.shape, per_face.shape[-1]), per_face.dtype)
    return per_face.at[jnp.maximum(face_index, 0)].get(mode="promise_in_bounds")

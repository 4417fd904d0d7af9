"""Soft rasterisation: every pixel sees all faces near it, so that gradients reach across silhouettes and depths.

Soft Rasterizer (Liu et al. 2019, arXiv:1904.01786), with the K nearest faces per pixel and the defaults of pytorch3d
(Ravi et al. 2020), whose numbers it reproduces.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Integer

from emoca_jax.arrays import checks_arguments, to_rank
from emoca_jax.errors import InputError
from emoca_jax.render.backends.blocks import take
from emoca_jax.render.backends.choice import Backend, draws_by_warp, draws_natively
from emoca_jax.render.backends.native.blend import FAINTEST_TOP, native_blend
from emoca_jax.render.backends.native.silhouette import LEAST_WIDTH, MOST_FACES, native_silhouette
from emoca_jax.render.backends.soft_limits import ALL, Limit, depth_key, nearest_limit
from emoca_jax.render.backends.soft_options import check_layers, check_rows, softness_checked
from emoca_jax.render.backends.soft_pairs import (
    TILE,
    Reach,
    drawable,
    drawable_pairs,
    each_pair,
    face_rows,
    spare_row,
    tiles_of,
    to_image,
    to_tiles,
    touch,
)
from emoca_jax.render.backends.soft_sums import accumulate
from emoca_jax.render.backends.warp.blend import warp_blend
from emoca_jax.render.backends.warp.silhouette import warp_silhouette
from emoca_jax.render.backends.warp_kernels.shapes import MOST_FACES as MOST_BY_WARP

Scalar = Float[Array, ""]
FAINTEST = 1e-4
"""Share of a face below which it is not followed further out: gives the default blur radius (pytorch3d's tutorials)."""


class SoftFragments(struct.PyTreeNode):
    """The nearest faces of each pixel, from the nearest on.

    face_index: int32, -1 where there are fewer, no gradient. barycentric: of the face's point nearest to the pixel.
    depth: there; +inf where there is none. squared_distance: from the pixel centre to the triangle, negative inside.
    """

    face_index: Int[Array, "*batch height width layers"]
    barycentric: Float[Array, "*batch height width layers 3"]
    depth: Float[Array, "*batch height width layers"]
    squared_distance: Float[Array, "*batch height width layers"]


def default_blur_radius(sigma: Scalar | float) -> Scalar | float:
    """Squared distance at which a face's share of a pixel has fallen to FAINTEST. Differentiable."""
    return math.log(1 / FAINTEST - 1) * sigma


@checks_arguments
@softness_checked
@functools.partial(jax.jit, static_argnames=("size", "faces_per_pixel", "backend"))
def soft_silhouette(
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], size: tuple[int, int], *,
    sigma: Scalar | float = 1e-4, blur_radius: Scalar | float | None = None, faces_per_pixel: int | None = 50,
    clip: Bool[Array, ""] | bool = False, backend: Backend | None = None,
) -> Float[Array, "*batch height width"]:  # fmt: skip
    """How much of each pixel the mesh covers, in [0, 1], smooth across its outline.

    1 - prod_k (1 - sigmoid(-d_k / sigma)) over the nearest faces (eq. 5 of the paper), where d is the squared distance
    from the pixel centre to the face, negative inside, in units in which the shorter image side is 2.

    vertices: as for `rasterize`, without perspective. sigma: softness; smaller is sharper.
    blur_radius: squared distance beyond which faces are ignored, None for where they fade. faces_per_pixel: only so
    many, nearest by depth; None for all, which saves the search for them. Differentiable in `vertices` (x and y; the
    choice of faces is not differentiated), in reverse mode only; memory grows with pixels and faces, not with their
    product.
    clip: compare depths at the clipped barycentrics instead of on the face's plane, which runs on outside of the face;
    without it the result is that of pytorch3d's rasterize_meshes, with it that of its MeshRasterizer.
    backend: as for `rasterize`; kernels take up to 256 faces per pixel ("warp" 64), or all. Faces with a corner more
    than a million images away are not drawn. Errors: InputError for a sigma that is not positive and a blur radius
    below 0; where they are traced and cannot be known, the image is NaN.
    """
    check_layers(faces_per_pixel)
    if vertices.shape[-2] == 0 and faces.shape[0] > 0:
        raise InputError(f"{faces.shape[0]} faces have no vertices; give the vertices that they number.")
    vertices, faces = vertices.astype(jnp.float32), jnp.asarray(faces, jnp.int32)
    radius = default_blur_radius(sigma) if blur_radius is None else blur_radius
    numbers = jnp.asarray(radius, jnp.float32), jnp.asarray(sigma, jnp.float32), jnp.asarray(clip)

    def plain(vertices: Array, faces: Array, radius: Array, sigma: Array, clip: Array) -> Array:
        return _silhouette(vertices, faces, size, sigma, radius, faces_per_pixel, clip)

    drawable = faces.shape[0] > 0 and (faces_per_pixel or 0) <= MOST_FACES and size[1] >= LEAST_WIDTH
    (radius, sigma, _) = numbers
    sensible = (sigma > 0) & (radius >= 0)
    numbers = jnp.where(sensible, radius, 0.0), jnp.where(sensible, sigma, 1.0), numbers[2]
    if draws_by_warp(backend) and (faces_per_pixel or 0) <= MOST_BY_WARP:
        image = warp_silhouette(vertices, faces, size, *numbers, faces_per_pixel, plain)
    elif draws_natively(backend, "soft") and drawable:
        image = native_silhouette(vertices, faces, size, *numbers, faces_per_pixel, plain)
    else:
        image = plain(vertices, faces, *numbers)
    return jnp.where(sensible, image, jnp.nan)


def _silhouette(
    vertices: Array, faces: Array, size: tuple[int, int], sigma: Array, blur_radius: Array,
    faces_per_pixel: int | None, clip: Array,
) -> Array:  # fmt: skip
    scene = _Scene(vertices, faces, size, sigma, blur_radius, faces_per_pixel, clip)
    total: list[Array] = accumulate(
        _log_uncovered, size, (1, *scene.shape), scene.rows, scene.pairs, scene.limit, scene.constants, ()
    )
    return scene.image(jnp.abs(jnp.expm1(total[0])))


@checks_arguments
@softness_checked
@functools.partial(jax.jit, static_argnames=("size", "faces_per_pixel", "backend"))
def soft_rasterize(
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"],
    attributes: Float[Array, "*#batch rows channels"], size: tuple[int, int], *,
    attribute_faces: Integer[Array, "faces 3"] | None = None, background: Float[Array, "#channels"] | float = 0.0,
    sigma: Scalar | float = 1e-4, gamma: Scalar | float = 1e-4, blur_radius: Scalar | float | None = None,
    faces_per_pixel: int | None = 50, near: Scalar | float = 1.0, far: Scalar | float = 100.0,
    clip: Bool[Array, ""] | bool = True, backend: Backend | None = None,
) -> Float[Array, "*batch height width channels+1"]:  # fmt: skip
    """Vertex attributes (colours, say) blended over the nearest faces of each pixel and the background; in the last
    channel the coverage of `soft_silhouette`.

    Each face weighs sigmoid(-d / sigma) exp((f - max f) / gamma), where f = (far - depth) / (far - near), the
    background exp((1e-10 - max f) / gamma), at least 1e-10 (eq. 3 of the paper; pytorch3d's softmax_rgb_blend).

    attributes: one row per vertex, or what `attribute_faces` points to, with the batch dimensions of the vertices or
    none. gamma: how far nearer faces outweigh others. near, far: the depths that get 1 and 0. clip: outside of a face
    take depth and colour from its rim, not from its plane. The rest as in `soft_silhouette`. Differentiable in
    vertices (depth too), attributes and background, in reverse mode only.
    """
    check_layers(faces_per_pixel)
    vertices, faces = vertices.astype(jnp.float32), jnp.asarray(faces, jnp.int32)
    if vertices.shape[-2] == 0 and faces.shape[0] > 0:
        raise InputError(f"{faces.shape[0]} faces have no vertices; give the vertices that they number.")
    check_rows(attributes.shape[-2], vertices.shape[-2], faces.shape[0], attribute_faces is not None)
    batch, channels = vertices.shape[:-2], attributes.shape[-1]
    corners = attributes[..., faces if attribute_faces is None else attribute_faces, :]
    corners = jnp.broadcast_to(corners, (*batch, *corners.shape[-3:])).reshape(*batch, faces.shape[0], 3 * channels)
    radius = default_blur_radius(sigma) if blur_radius is None else blur_radius
    options = jnp.stack([jnp.asarray(number, jnp.float32) for number in (radius, sigma, clip, gamma, near, far)])
    sensible = (options[0] >= 0) & (options[1] > 0) & (options[3] > 0) & (options[5] > options[4])
    options = jnp.where(sensible, options, jnp.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0]))
    gamma = options[3]

    def plain(vertices: Array, faces: Array, corners: Array, options: Array) -> tuple[Array, Array, Array]:
        return _blend_sums(vertices, faces, corners, options, size, faces_per_pixel)

    drawable = faces.shape[0] > 0 and (faces_per_pixel or 0) <= MOST_FACES and size[1] >= LEAST_WIDTH
    natively = draws_natively(backend, "soft") and draws_natively(backend, "blend")
    if draws_by_warp(backend) and (faces_per_pixel or 0) <= MOST_BY_WARP and corners.dtype == jnp.float32:
        coverage, top, sums = warp_blend(vertices, faces, corners, options, size, faces_per_pixel, plain)
    elif natively and drawable and corners.dtype == jnp.float32:
        coverage, top, sums = native_blend(vertices, faces, corners, options, size, faces_per_pixel, plain)
    else:
        coverage, top, sums = plain(vertices, faces, corners, options)
    behind = jnp.maximum(jnp.exp((FAINTEST_TOP - lax.stop_gradient(top)) / gamma), FAINTEST_TOP)[..., None]
    background = to_rank(jnp.broadcast_to(jnp.asarray(background, sums.dtype), channels), sums.ndim)
    colour = (sums[..., 1:] + behind * background) / (sums[..., :1] + behind)
    return jnp.where(sensible, jnp.concatenate([colour, coverage[..., None]], axis=-1), jnp.nan)


def _blend_sums(
    vertices: Array, faces: Array, corners: Array, options: Array, size: tuple[int, int], faces_per_pixel: int | None
) -> tuple[Array, Array, Array]:
    """As `native_blend`, which says what they are, in plain JAX."""
    radius, sigma, clip, gamma, near, far = jnp.unstack(options)
    scene = _Scene(vertices, faces, size, sigma, radius, faces_per_pixel, clip != 0)
    channels = corners.shape[-1] // 3
    corners = jnp.where(scene.keep[:, None], corners.reshape(-1, 3 * channels), 0.0)
    rows = jnp.concatenate([scene.rows, corners], axis=-1)

    def nearest(carry, chunk, tile, touched, valid):
        # Depth, not its key: the smallest is what the weights are measured from.
        return carry.at[tile].min(jnp.where(valid, touched.depth, jnp.inf), mode="promise_in_bounds")

    closest = each_pair(scene.pairs, lax.stop_gradient(scene.rows), size, scene.reach, nearest,
                        jnp.full(scene.shape, jnp.inf))  # fmt: skip
    top = jnp.maximum(jnp.where(jnp.isfinite(closest), (far - closest) / (far - near), 0.0), FAINTEST_TOP)
    constants = (*scene.constants, gamma, near, far)
    sums: list[Array] = accumulate(
        _colour_sums, size, (channels + 2, *scene.shape), rows, scene.pairs, scene.limit, constants, (top,)
    )
    coverage = jnp.abs(jnp.expm1(sums[0]))
    return scene.image(coverage), scene.image(top), scene.image(jnp.stack(sums[1:], axis=-1))


@checks_arguments
@softness_checked
@functools.partial(jax.jit, static_argnames=("size", "faces_per_pixel"))
def soft_fragments(
    vertices: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"], size: tuple[int, int], *,
    blur_radius: Scalar | float, faces_per_pixel: int = 1, clip: Bool[Array, ""] | bool = False,
) -> SoftFragments:  # fmt: skip
    """The `faces_per_pixel` nearest faces within the blur radius (a squared distance) of each pixel.

    clip: see `soft_silhouette`. For looking at, or for shading of one's own: two passes for each layer, so for a few
    layers. Differentiable in `vertices` through all but face_index, in reverse mode only.
    """
    scene = _Scene(vertices, faces, size, 1.0, blur_radius, None, clip)
    fixed = lax.stop_gradient(scene.rows)
    shape = scene.shape

    def layer(last: Limit, _):
        # The smallest depth key beyond the last layer's, then the smallest face with it.
        def beyond(chunk, tile, touched, valid):
            key, bound = depth_key(touched.depth), last.key[tile]
            further = (key > bound) | ((key == bound) & (chunk.face[:, None] > last.face[tile]))
            return key, valid & further

        def nearest(carry, chunk, tile, touched, valid):
            key, left = beyond(chunk, tile, touched, valid)
            return carry.at[tile].min(jnp.where(left, key, jnp.uint32(ALL)), mode="promise_in_bounds")

        key = each_pair(scene.pairs, fixed, size, scene.reach, nearest, jnp.full(shape, ALL, jnp.uint32))

        def owner(carry, chunk, tile, touched, valid):
            own, left = beyond(chunk, tile, touched, valid)
            face = jnp.where(left & (own == key[tile]), chunk.face[:, None], 2**31 - 1)
            return carry.at[tile].min(face, mode="promise_in_bounds")

        face = each_pair(scene.pairs, fixed, size, scene.reach, owner, jnp.full(shape, 2**31 - 1, jnp.int32))
        return Limit(key, face), face

    start = Limit(jnp.zeros(shape, jnp.uint32), jnp.full(shape, -1, jnp.int32))
    _, found = lax.scan(layer, start, None, length=faces_per_pixel)
    found = jnp.moveaxis(found, 0, -1)
    seen = found < 2**31 - 1
    # One row past the faces where nothing is seen.
    rows = jnp.concatenate([scene.rows, spare_row(scene.rows.dtype)[None]])
    row = jnp.unstack(take(rows, jnp.where(seen, found, rows.shape[0] - 1)), axis=-1)
    x, y = to_tiles(size, math.prod(scene.batch))
    touched = touch(list(row), x[..., None], y[..., None], scene.reach)
    barycentric = jnp.where(seen[..., None], jnp.stack(touched.weights, axis=-1), 0.0)
    return SoftFragments(
        scene.image(jnp.where(seen, found % max(faces.shape[0], 1), -1)),
        scene.image(barycentric),
        scene.image(jnp.where(seen, touched.depth, jnp.inf)),
        scene.image(jnp.where(seen, touched.distance, -1.0)),
    )


class _Scene:
    """What all three need: the faces as rows, the tiles they touch, and up to where they count."""

    def __init__(self, vertices, faces, size, sigma, blur_radius, faces_per_pixel, clip):
        check_layers(faces_per_pixel)
        self.batch, self.size = vertices.shape[:-2], size
        flat = vertices.astype(jnp.float32).reshape(-1, *vertices.shape[-2:])
        faces = jnp.asarray(faces, jnp.int32)
        radius = default_blur_radius(sigma) if blur_radius is None else blur_radius
        radius = jnp.asarray(radius, jnp.float32)
        self.reach = Reach(radius, jnp.asarray(clip))
        self.constants = (self.reach, jnp.asarray(sigma, jnp.float32))
        fixed = lax.stop_gradient(flat)
        self.keep = drawable(fixed, faces, size)
        self.rows = face_rows(flat, faces, size, self.keep)
        self.pairs = drawable_pairs(fixed, faces, size, self.keep, radius)
        grid = (flat.shape[0], *tiles_of(size))
        self.shape = (math.prod(grid), TILE * TILE)
        self.limit = None
        if faces_per_pixel is not None:
            own = lax.stop_gradient(self.rows)
            self.limit = nearest_limit(self.pairs, own, grid, size, self.reach, faces_per_pixel)

    def image(self, tiles: Array) -> Array:
        image = to_image(tiles, math.prod(self.batch), self.size)
        return image.reshape(*self.batch, *image.shape[1:])


def _log_uncovered(row, touched, constants, per_pixel, selected):
    return [jnp.where(selected, -jax.nn.softplus(-touched.distance / constants[1]), 0.0)]


def _colour_sums(row, touched, constants, per_pixel, selected):
    _, sigma, gamma, near, far = constants
    share = jax.nn.sigmoid(-touched.distance / sigma)
    lead = jnp.where(selected, (far - touched.depth) / (far - near) - per_pixel[0], 0.0)
    weight = jnp.where(selected, share * jnp.exp(lead / gamma), 0.0)
    channels = (len(row) - 9) // 3
    a, b, c = (row[9 + i * channels : 9 + (i + 1) * channels] for i in range(3))
    u, v, w = touched.weights
    colours = [weight * (u * a[i] + v * b[i] + w * c[i]) for i in range(channels)]
    return [*_log_uncovered(row, touched, constants, per_pixel, selected), weight, *colours]

"""Wrinkles as a displacement map in uv space: from the detail code to normals, shading, texture (DECA, section 4.3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Integer

from emoca_jax import render
from emoca_jax.arrays import AnyArray, checks_arguments, to_rank
from emoca_jax.codes import Codes, same_batch
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.losses.detail import FLAME_SPAN, FaceSpan
from emoca_jax.nets.detail_decoder import decoder_of

OFFICIAL_SHORTEST_NORMAL = 1e-6
"""Sums of grid-triangle normals below this length (square metres) stay shorter than 1 in the reference."""
SHORTEST_NORMAL = 1e-12
"""Sums below this length (square metres: a thousandth of a millimetre squared) are rounding, at seams of a layout, and
have no direction; the gradient of one, 1 / length^3 on its way, would overflow below 1.4e-13."""
VISIBLE_NORMAL = 0.05
"""A point is seen where its normal's component towards the viewer exceeds this (DECA)."""


class DetailModel(struct.PyTreeNode):
    """What turns a detail code into a displaced surface; made once per head by `detail_model`."""

    decoder: dict
    """Variables of `nets.detail_decoder.DetailDecoder`."""
    uv_fragments: render.Fragments
    """Which face each texel shows: the constant lookup of the uv layout."""
    mask: Float[AnyArray, "rows columns"]
    """1 where the predicted displacement acts: face and eyes."""
    fixed_displacement: Float[AnyArray, "rows columns"]
    """Metres, added everywhere: takes FLAME's eye and neck seams in."""
    blend: bool = struct.field(pytree_node=False, default=False)
    """Coarse normals outside the mask (DECA) in place of the dense ones everywhere (EMOCA)."""
    span: FaceSpan = struct.field(pytree_node=False, default=FLAME_SPAN)
    """Where the layout has the face that losses compare."""


class Detail(struct.PyTreeNode):
    """A displaced surface; maps are in uv space, row 0 at v = 1."""

    predicted: Float[AnyArray, "*batch rows columns"]
    """Displacement along the normal as the decoder predicts it, metres, unmasked: what the losses regularise."""
    displacement: Float[AnyArray, "*batch rows columns"]
    """Predicted plus fixed displacement along the normal, metres, unmasked: what official tools export."""
    normals: Float[AnyArray, "*batch rows columns 3"]
    """World space."""
    shading: Float[AnyArray, "*batch rows columns 3"]
    texture: Float[AnyArray, "*batch rows columns 3"]
    """Albedo times shading."""
    rendering: Float[AnyArray, "*batch height width 3"]
    """The texture in the image plane, black where nothing is covered."""
    normal_image: Float[AnyArray, "*batch height width 3"]


@checks_arguments
def detail_model(
    head: FaceHead,
    decoder: dict,
    mask: Float[Array, "rows columns"],
    fixed_displacement: Float[Array, "rows columns"],
    *,
    blend: bool = False,
    span: FaceSpan = FLAME_SPAN,
    official: bool = False,
) -> DetailModel:
    """The detail stage for one head; its uv lookup is rasterised here, once. official: the reference's edge rule."""
    rows, columns = mask.shape
    uv_fragments = render.rasterize_uv(head.uv, head.uv_faces, (rows, columns), official=official)
    return DetailModel(decoder, uv_fragments, mask, fixed_displacement, blend, span)


@checks_arguments
def to_uv(
    uv_fragments: render.Fragments,
    attributes: Float[Array, "*batch vertices channels"],
    faces: Integer[Array, "faces 3"],
) -> Float[Array, "*batch rows columns channels"]:
    """Vertex attributes at every texel, 0 where the layout is empty (the reference's `world2uv`)."""
    batch = attributes.shape[:-2]
    spread = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*batch, *leaf.shape)), uv_fragments)
    return render.interpolate(spread, attributes, faces)


def predict_displacement(model: DetailModel, codes: Codes) -> Float[Array, "*batch rows columns"]:
    """Displacement along the normal in metres, from jaw pose, expression and detail code.

    Differentiable in all three and the decoder. Errors: InputError where the codes have no detail.
    """
    codes = same_batch(codes)
    if codes.detail is None:
        raise InputError("These codes have no detail code: encode with a model that has a detail encoder.")
    latent = jnp.concatenate([codes.jaw, codes.expression, codes.detail], axis=-1)
    batch, latent = latent.shape[:-1], latent.reshape(-1, latent.shape[-1])
    maps = jnp.asarray(decoder_of(model.decoder).apply(model.decoder, latent))
    return maps.reshape(*batch, *maps.shape[1:])


@checks_arguments
def displaced_normals(
    model: DetailModel,
    displacement: Float[Array, "*batch rows columns"],
    vertices: Float[Array, "*batch vertices 3"],
    normals: Float[Array, "*batch vertices 3"],
    faces: Integer[Array, "faces 3"],
    *,
    official: bool = False,
) -> Float[Array, "*batch rows columns 3"]:
    """Normals of the uv grid after moving each texel's surface point along its normal, world space.

    Differentiable in `displacement` only: the coarse surface is a given (DECA trains the detail stage on its own).
    """
    dense = grid_normals(displaced_points(model, displacement, vertices, normals, faces), official=official)
    if not model.blend:
        return dense
    mask = to_rank(model.mask[..., None], dense.ndim)
    return dense * mask + lax.stop_gradient(to_uv(model.uv_fragments, normals, faces)) * (1 - mask)


@checks_arguments
def displaced_points(
    model: DetailModel,
    displacement: Float[Array, "*batch rows columns"],
    vertices: Float[Array, "*batch vertices 3"],
    normals: Float[Array, "*batch vertices 3"],
    faces: Integer[Array, "faces 3"],
) -> Float[Array, "*batch rows columns 3"]:
    """Each texel's surface point, moved along its normal by the predicted displacement where the mask lets it and by
    the fixed one everywhere; metres, world. Differentiable in `displacement` only."""
    points = lax.stop_gradient(to_uv(model.uv_fragments, vertices, faces))
    outward = lax.stop_gradient(to_uv(model.uv_fragments, normals, faces))
    mask, fixed = (to_rank(plane, displacement.ndim) for plane in (model.mask, model.fixed_displacement))
    height = displacement * mask + fixed
    return points + height[..., None] * outward


@checks_arguments
def grid_normals(
    points: Float[Array, "*batch rows columns 3"], *, official: bool = False
) -> Float[Array, "*batch rows columns 3"]:
    """Unit normals of a grid of points joined by two triangles per cell, weighted by area.

    Facing where columns run to the right and rows down seen from outside; sums shorter than SHORTEST_NORMAL are zero,
    with zero gradient. official: as in the reference, sums shorter than OFFICIAL_SHORTEST_NORMAL are divided by it and
    so stay shorter than 1.
    """
    corner, right = points[..., :-1, :-1, :], points[..., :-1, 1:, :]
    below, opposite = points[..., 1:, :-1, :], points[..., 1:, 1:, :]
    upper = jnp.cross(below - corner, right - corner)
    lower = jnp.cross(opposite - below, right - below)

    def at(triangle: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
        """The triangles' normals as seen by that corner of their cell, zero where a point has no such cell."""
        return jnp.pad(triangle, [(0, 0)] * (points.ndim - 3) + [rows, columns, (0, 0)])

    first, last = (0, 1), (1, 0)
    total = at(upper, first, first) + at(upper + lower, first, last)
    total = total + at(upper + lower, last, first) + at(lower, last, last)
    shortest, factor = (OFFICIAL_SHORTEST_NORMAL, 1 / OFFICIAL_SHORTEST_NORMAL) if official else (SHORTEST_NORMAL, 0.0)
    square = jnp.sum(total**2, axis=-1, keepdims=True)
    long = square > shortest**2
    return total * jnp.where(long, lax.rsqrt(jnp.where(long, square, 1.0)), factor)


@checks_arguments
def unwrap_image(
    model: DetailModel,
    image_vertices: Float[Array, "*batch vertices 3"],
    faces: Integer[Array, "faces 3"],
    image: Float[Array, "*batch height width channels"],
) -> Float[Array, "*batch rows columns channels"]:
    """The photo (or any image in the image plane) at every texel, whether that is seen or not; 0 outside the photo."""
    places = lax.stop_gradient(to_uv(model.uv_fragments, image_vertices, faces))
    return render.sample_image(image, places[..., :2], outside="zero")


@checks_arguments
def uv_visibility(
    model: DetailModel, image_normals: Float[Array, "*batch vertices 3"], faces: Integer[Array, "faces 3"]
) -> Float[Array, "*batch rows columns"]:
    """1 at texels whose surface is turned to the viewer, else 0. image_normals: of the projected mesh (z away)."""
    return (to_uv(model.uv_fragments, image_normals, faces)[..., 2] < -VISIBLE_NORMAL).astype(jnp.float32)

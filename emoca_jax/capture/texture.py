"""The photo unwrapped into the head's texture: albedo where the camera saw it, symmetry and the albedo model elsewhere.

Everything happens in the logarithm of the ratio between the photo's albedo and the albedo model's. Its smooth part is
continued to where nothing was seen, so that the model takes the photo's colour there; its detail is kept where it was
seen and copied to the other side where only that was. Both fade with how well a texel was seen, so there is no seam.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from emoca_jax import flame, render
from emoca_jax.capture.texture_layout import TextureLayout, mirrored
from emoca_jax.codes import Codes
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import MISSING_ALBEDO_GREY, full_pose

FACING_NONE, FACING_FULL = 0.15, 0.5
"""Cosine between normal and view below which a texel is too oblique to trust, and from which it is fully trusted."""
DARKEST_SHADING = 0.15
"""Shading is not divided out below this share of full light: noise would be all that is left."""
FLOOR = 0.02
"""Albedo added before the logarithm, so that black stays finite."""
SMOOTH = 8
"""Texels per cell of the smooth part: about a centimetre, wider than a brow is thick."""
FEATHER = 3
"""Texels over which sight fades out at an edge of visibility."""
STRANGE_FACE, STRANGE_FOREHEAD, STRANGE_ELSEWHERE = 1.5, 0.7, 0.4
"""Smooth deviation from the usual log ratio at which a texel is taken for hair, a hand or background. Beards are within
the first; hair on a forehead is beyond the second; ears and neck are taken only if they look like the face's skin."""
LARGEST_RATIO = 2.5
"""Log ratio, either way, that a skin can differ from the model."""


class UnwrappedTexture(struct.PyTreeNode):
    """albedo: RGB in [0, 1], row 0 at v = 1, no hole anywhere. visible: how much of it the photo itself showed."""

    albedo: Float[Array, "size size 3"]
    visible: Float[Array, "size size"]


@jax.jit
def unwrap(head: FaceHead, layout: TextureLayout, codes: Codes, image: Float[Array, "side side 3"]) -> UnwrappedTexture:
    """The head's texture from one photo.

    codes: of one face, without batch dimensions. image: RGB in [0, 1], the square crop whose image plane the codes'
    camera speaks of; 512 pixels a side match the texture. The light of the codes is divided out.
    """
    posed = flame.forward(head, codes.shape, codes.expression, full_pose(codes)).vertices
    plane = render.weak_perspective(posed, codes.camera)
    at_texel = functools.partial(render.interpolate, layout.fragments, faces=head.faces)
    place = at_texel(plane)
    normal = render.normalize(at_texel(render.vertex_normals(posed, head.faces)))

    model = _model_albedo(head, codes, layout.skin.shape[0])
    shading = jnp.maximum(render.spherical_harmonics(normal, codes.light), DARKEST_SHADING)
    seen = render.sample_image(image, place[..., :2]) / shading
    ratio = jnp.clip(jnp.log((seen + FLOOR) / (model + FLOOR)), -LARGEST_RATIO, LARGEST_RATIO)

    sight = _sight(plane, head.faces, image.shape[0], place, normal[..., 2])
    skin = _trusted(ratio, sight * layout.skin, layout)
    smooth = _smooth(ratio, skin)
    detail = skin[..., None] * (ratio - smooth)
    filled = smooth + detail + (1 - skin[..., None]) * mirrored(layout, detail)

    eyes = sight * layout.eyes
    filled = filled * layout.skin[..., None] + _eyes(ratio, eyes, layout.eyes)
    albedo = jnp.clip(jnp.exp(filled) * (model + FLOOR) - FLOOR, 0.0, 1.0)
    # Beyond the edge of a chart its last texel goes on, so that bilinear lookups and mip maps do not see background.
    return UnwrappedTexture(albedo.reshape(-1, 3)[layout.nearest], skin + eyes)


def _model_albedo(head: FaceHead, codes: Codes, size: int) -> Float[Array, "size size 3"]:
    if head.albedo is None:
        return jnp.full((size, size, 3), MISSING_ALBEDO_GREY)
    return jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (size, size, 3), "linear")


def _sight(
    plane: Float[Array, "vertices 3"],
    faces: Array,
    side: int,
    place: Float[Array, "size size 3"],
    facing: Float[Array, "size size"],
) -> Float[Array, "size size"]:
    """How well the camera saw each texel: 0 hidden, oblique or outside the photo, 1 in plain view."""
    depth = render.rasterize(plane, faces, (side, side)).depth
    # The nearest of the pixels around, so that a texel beside an edge that hides it is hidden.
    nearest = -jax.lax.reduce_window(-depth, -jnp.inf, jax.lax.max, (2, 2), (1, 1), ((0, 1), (0, 1)))
    corner = jnp.clip(jnp.floor((place[..., :2] + 1) * (side / 2) - 0.5), 0, side - 1).astype(jnp.int32)
    front = nearest[corner[..., 1], corner[..., 0]]
    # A surface seen at an angle deepens by its tangent within a pixel.
    pixel, cosine = 2 / side, jnp.clip(facing, 0.1, 1.0)
    slack = pixel * (1 + 2 * jnp.sqrt(1 - cosine**2) / cosine)
    inside = jnp.max(jnp.abs(place[..., :2]), axis=-1) < 1 - pixel
    clear = ((place[..., 2] < front + slack) & inside & (facing > FACING_NONE)).astype(jnp.float32)
    around = _box(clear, 2 * FEATHER + 1)
    return clear * _ramp(around, 0.5, 0.95) * _ramp(facing, FACING_NONE, FACING_FULL)


def _trusted(
    ratio: Float[Array, "size size 3"], sight: Float[Array, "size size"], layout: TextureLayout
) -> Float[Array, "size size"]:
    """Sight of texels that show this face's skin: what deviates over a wide area is hair, a hand or background."""
    core = sight * layout.face * (1 - layout.above_brows)
    usual = jnp.sum(core[..., None] * ratio, (0, 1)) / jnp.maximum(jnp.sum(core), 1.0)
    deviation = jnp.linalg.norm(_smooth(ratio, sight) - usual, axis=-1)
    inside = STRANGE_FACE + (STRANGE_FOREHEAD - STRANGE_FACE) * layout.above_brows
    strange = layout.face * inside + (1 - layout.face) * STRANGE_ELSEWHERE
    return sight / (1 + (deviation / strange) ** 6)


def _smooth(values: Float[Array, "size size 3"], weights: Float[Array, "size size"]) -> Float[Array, "size size 3"]:
    """Weighted mean over cells of SMOOTH texels, continued to where there is no weight."""
    size = values.shape[0]
    cells = size // SMOOTH

    def pool(image: Array) -> Array:
        return image.reshape(cells, SMOOTH, cells, SMOOTH, -1).mean((1, 3))

    mass = pool(weights)
    mean = pool(weights[..., None] * values) / jnp.maximum(mass, 1e-6)
    return jax.image.resize(render.push_pull(mean, mass), values.shape, "linear")


def _eyes(
    ratio: Float[Array, "size size 3"], sight: Float[Array, "size size"], eyes: Float[Array, "size size"]
) -> Float[Array, "size size 3"]:
    """What the photo showed of the eyes; their mean where the lids cover them."""
    total = jnp.sum(sight)
    mean = jnp.sum(sight[..., None] * ratio, (0, 1)) / jnp.maximum(total, 1.0)
    return eyes[..., None] * (sight[..., None] * ratio + (1 - sight[..., None]) * mean)


def _box(values: Float[Array, "size size"], width: int) -> Float[Array, "size size"]:
    """Mean over width x width texels."""
    reach = ((width // 2, width // 2),)
    rows = jax.lax.reduce_window(values, 0.0, jax.lax.add, (width, 1), (1, 1), (*reach, (0, 0)))
    return jax.lax.reduce_window(rows, 0.0, jax.lax.add, (1, width), (1, 1), ((0, 0), *reach)) / width**2


def _ramp(values: Float[Array, "*n"], low: float, high: float) -> Float[Array, "*n"]:
    """0 below low, 1 above high, smooth between."""
    share = jnp.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3 - 2 * share)

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
from emoca_jax.codes import Codes
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import MISSING_ALBEDO_GREY, Reconstruction
from emoca_jax.texture.eyes import eye_ratio
from emoca_jax.texture.layout import TextureLayout, mirrored
from emoca_jax.texture.mouth import mouth_ratio
from emoca_jax.texture.openings import ShownPoints, clear_of_openings, shifted

FACING_NONE, FACING_FULL = 0.15, 0.5
"""Cosine between normal and view below which a texel is too oblique to trust, and from which it is fully trusted."""
DARKEST_SHADING = 0.4
"""Shading is not divided out below this share of the face's mean: noise would be all that is left."""
FLOOR = 0.04
"""Albedo added before the logarithm, so that noise in black hair stays small."""
LARGEST_CODE = 2.0
"""Deviations of the albedo model that are believed."""
CELLS = 64
"""Cells across the texture for broad shape and for what counts as strange: about a centimetre, wider than a brow."""
COLOUR_CELLS = 32
"""Cells for the colour that goes on where nothing was seen: about 2 cm, so that the edge of a beard is detail
that symmetry provides, and hair above a forehead is colour that goes on over the scalp."""
FULL_CELL = 8.0
"""A cell of which an eighth was seen is as good as one seen whole."""
FEATHER = 3
"""Texels over which sight fades out at an edge of visibility."""
STRANGE_FACE, STRANGE_FOREHEAD, STRANGE_ELSEWHERE = 1.5, 0.7, 0.4
"""Smooth deviation from the usual log ratio at which a texel is taken for hair, a hand or background. Beards are within
the first; hair on a forehead is beyond the second; ears and neck are taken only if they look like the face's skin."""
TINT = 3.0
"""How much more a deviation of tint counts than one of brightness, which shadows explain as well."""
BRIGHT, BRIGHTEST = 0.25, 0.45
"""Log ratio above the usual from which skin is taken to shine, and the most that is left of it."""
LARGEST_RATIO = 2.5
"""Log ratio, either way, that a skin can differ from the model."""


class UnwrappedTexture(struct.PyTreeNode):
    """albedo: RGB in [0, 1], row 0 at v = 1, no hole anywhere. visible: how much of it the photo itself showed."""

    albedo: Float[Array, "size size 3"]
    visible: Float[Array, "size size"]


@jax.jit
def unwrap(
    head: FaceHead,
    layout: TextureLayout,
    codes: Codes,
    decoded: Reconstruction,
    image: Float[Array, "side side 3"],
    points: ShownPoints | None = None,
) -> UnwrappedTexture:
    """The head's texture from one photo.

    codes: of one face, without batch dimensions. decoded: `decode(head, codes, ...)` at the size of the image. image:
    RGB in [0, 1], the square crop whose image plane the codes' camera speaks of; 512 pixels a side match the texture.
    points: landmarks of the photo, by which its eyes and mouth are found. The light of the codes is divided out.
    """
    at_texel = functools.partial(render.interpolate, layout.fragments, faces=head.faces)
    place = at_texel(decoded.image_vertices)
    normal = render.normalize(at_texel(decoded.normals))

    model = _model_albedo(head, codes, layout.skin.shape[0])
    sight = _sight(decoded.surface.fragments.depth, place, normal[..., 2])
    shading = _broad_shading(normal, sight * layout.face, codes.light, layout)
    if points is not None and layout.openings is not None:
        place = shifted(place, points, layout.openings)
        off_skin = layout.skin * (1 - clear_of_openings(place, image, points, layout.openings))
        sight = sight * (1 - off_skin)
    seen = render.sample_image(image, place[..., :2]) / shading
    ratio = jnp.clip(jnp.log((seen + FLOOR) / (model + FLOOR)), -LARGEST_RATIO, LARGEST_RATIO)

    usual = _usual(ratio, sight * layout.face * (1 - layout.above_brows))[None, None]
    skin = _trusted(ratio - usual, sight * layout.skin, layout)
    smooth = _smooth(ratio, skin, COLOUR_CELLS)
    detail = skin[..., None] * (ratio - smooth)
    detail = detail + (1 - skin[..., None]) * mirrored(layout, detail)
    filled = usual + _without_shine(smooth - usual + detail)

    eyes = sight * layout.eyes
    if points is None or layout.openings is None:
        of_eyes = _eyes(ratio, model, eyes, layout.eyes)
    else:
        of_shading = jnp.sum(eyes[..., None] * shading, (0, 1)) / jnp.maximum(jnp.sum(eyes), 1e-3)
        of_shading = jnp.where(jnp.sum(eyes) > 1, of_shading, 1.0)
        of_eyes = eye_ratio(layout.eye_maps, model, FLOOR, of_shading, image, points, layout.openings)
    inside = mouth_ratio(ratio, sight, layout.teeth, layout.lining)
    filled = filled * layout.skin[..., None] + of_eyes + inside
    albedo = jnp.clip(jnp.exp(filled) * (model + FLOOR) - FLOOR, 0.0, 1.0)
    # Beyond the edge of a chart its last texel goes on, so that bilinear lookups and mip maps do not see background.
    return UnwrappedTexture(albedo.reshape(-1, 3)[layout.nearest], skin + eyes)


def _model_albedo(head: FaceHead, codes: Codes, size: int) -> Float[Array, "size size 3"]:
    if head.albedo is None:
        return jnp.full((size, size, 3), MISSING_ALBEDO_GREY)
    # Far out, a component fitted to hair or shadow would paint them where the photo shows nothing.
    code = jnp.clip(codes.albedo, -LARGEST_CODE, LARGEST_CODE)
    albedo = jnp.clip(flame.albedo_map(head.albedo, code), 0.0, 1.0)
    return jax.image.resize(albedo, (size, size, 3), "linear")


def _broad_shading(
    normal: Float[Array, "size size 3"], face: Float[Array, "size size"], light: Array, layout: TextureLayout
) -> Float[Array, "size size 3"]:
    """Shading by the broad shape of the head: the folds of lids, lips and nostrils are never where the photo has them,
    and dividing by their shading would paint bright rims beside the dark ones."""
    broad = render.normalize(_smooth(normal, layout.skin, CELLS))
    normal = jnp.where(layout.skin[..., None] > 0, broad, normal)
    shading = render.spherical_harmonics(normal, light)
    mean = jnp.sum(face[..., None] * shading, (0, 1)) / jnp.maximum(jnp.sum(face), 1.0)
    return jnp.maximum(shading, DARKEST_SHADING * jnp.maximum(mean, 0.1)[None, None])


def _sight(
    depth: Float[Array, "side side"],
    place: Float[Array, "size size 3"],
    facing: Float[Array, "size size"],
) -> Float[Array, "size size"]:
    """How well the camera saw each texel: 0 hidden, oblique or outside the photo, 1 in plain view."""
    side = depth.shape[0]
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


def _usual(ratio: Float[Array, "size size 3"], weights: Float[Array, "size size"]) -> Float[Array, "3"]:
    return jnp.sum(weights[..., None] * ratio, (0, 1)) / jnp.maximum(jnp.sum(weights), 1e-3)


def _trusted(
    apart: Float[Array, "size size 3"], sight: Float[Array, "size size"], layout: TextureLayout
) -> Float[Array, "size size"]:
    """Sight of texels that show this face's skin: what deviates over a wide area is hair, a hand or background.

    apart: log ratio less the usual one.
    """
    brightness, tint = _brightness_and_tint(_smooth(apart, sight, CELLS))
    deviation = jnp.hypot(brightness[..., 0], TINT * jnp.linalg.norm(tint, axis=-1))
    inside = STRANGE_FACE + (STRANGE_FOREHEAD - STRANGE_FACE) * layout.above_brows
    strange = layout.face * inside + (1 - layout.face) * STRANGE_ELSEWHERE
    return sight / (1 + (deviation / strange) ** 6)


def _without_shine(apart: Float[Array, "size size 3"]) -> Float[Array, "size size 3"]:
    """Brightness held to BRIGHTEST above the usual: skin has dark spots, but a bright one is light left over."""
    brightness, tint = _brightness_and_tint(apart)
    room = BRIGHTEST - BRIGHT
    held = BRIGHT + room * jnp.tanh((brightness - BRIGHT) / room)
    return jnp.where(brightness > BRIGHT, held, brightness) + tint


def _brightness_and_tint(log_colour: Float[Array, "*n 3"]) -> tuple[Float[Array, "*n 1"], Float[Array, "*n 3"]]:
    brightness = jnp.mean(log_colour, axis=-1, keepdims=True)
    return brightness, log_colour - brightness


def _smooth(
    values: Float[Array, "size size 3"], weights: Float[Array, "size size"], cells: int
) -> Float[Array, "size size 3"]:
    """Weighted mean over cells x cells, continued to where there is no weight."""
    texels = values.shape[0] // cells

    def pool(image: Array) -> Array:
        return image.reshape(cells, texels, cells, texels, -1).mean((1, 3))

    mass = pool(weights)
    mean = pool(weights[..., None] * values) / jnp.maximum(mass, 1e-6)
    return jax.image.resize(render.push_pull(mean, jnp.minimum(FULL_CELL * mass, 1.0)), values.shape, "linear")


def _eyes(
    ratio: Float[Array, "size size 3"],
    model: Float[Array, "size size 3"],
    sight: Float[Array, "size size"],
    eyes: Float[Array, "size size"],
) -> Float[Array, "size size 3"]:
    """What the photo showed of the eyes; where the lids cover them, the model's eye with the photo's white."""
    # The fourth power of the model's brightness leaves iris and lashes out.
    white = _usual(ratio, sight * jnp.mean(model, axis=-1) ** 4)
    white = jnp.minimum(white, 0.0)[None, None]
    return eyes[..., None] * (sight[..., None] * ratio + (1 - sight[..., None]) * white)


def _box(values: Float[Array, "size size"], width: int) -> Float[Array, "size size"]:
    """Mean over width x width texels."""
    reach = ((width // 2, width // 2),)
    rows = jax.lax.reduce_window(values, 0.0, jax.lax.add, (width, 1), (1, 1), (*reach, (0, 0)))
    return jax.lax.reduce_window(rows, 0.0, jax.lax.add, (1, width), (1, 1), ((0, 0), *reach)) / width**2


def _ramp(values: Float[Array, "*n"], low: float, high: float) -> Float[Array, "*n"]:
    """0 below low, 1 above high, smooth between."""
    share = jnp.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3 - 2 * share)

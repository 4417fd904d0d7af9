"""The photo unwrapped into the head's texture: what it shows of the skin, symmetry and the albedo model elsewhere.

Everything happens in the logarithm of the ratio between the photo's albedo and the albedo model's. `trust` says which
texels show skin and solves for its smooth part, `light` takes what is left of the light out of that; its detail is kept
where it was trusted and copied to the other side where only that was. Both fade with trust, so there is no seam.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.files.kept_programs import kept
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import MISSING_ALBEDO_GREY, Reconstruction
from emoca_jax.texture.detail import WANED, WANED_LIT, mirrored_detail, well_within
from emoca_jax.texture.eyes import eye_ratio
from emoca_jax.texture.layout import TextureLayout
from emoca_jax.texture.light import light_left
from emoca_jax.texture.mouth import mouth_ratio, shown_teeth
from emoca_jax.texture.openings import ShownPoints, clear_of_openings, shifted
from emoca_jax.texture.painted import code_of_bare_chin, lip_paint
from emoca_jax.texture.pigment import pigment
from emoca_jax.texture.sight import camera_sight
from emoca_jax.texture.surface import SkinSurface, stitched
from emoca_jax.texture.trust import trusted_skin
from emoca_jax.texture.windows import pooled, ramp

DARKEST_SHADING, BRIGHTEST_SHADING = 0.55, 1.5
"""Shading is held within these shares of the face's mean: in the dark noise would be all that is left, and on the far
side nothing says how much light there is."""
FLOOR = 0.04
"""Albedo added before the logarithm, so that noise in black hair stays small."""
LARGEST_CODE = 2.5
"""Deviations of the albedo model that are believed."""
CELLS = 64
"""Cells across the texture for broad shape: about a centimetre."""
FULL_CELL = 8.0
"""A cell of which an eighth was seen is as good as one seen whole."""
LARGEST_RATIO = 2.5
"""Log ratio, either way, that a skin can differ from the model."""
GREY, COLOURED, NOISE = 0.04, 0.1, 0.1
"""Mean distance of a face's strongest and weakest channel below which its photo is grey, and from which it is not, in
parts of its brightness, to which the last is added: what a camera's noise has of colour in the dark."""


class UnwrappedTexture(struct.PyTreeNode):
    """RGB in [0, 1], row 0 at v = 1, no hole anywhere."""

    albedo: Float[np.ndarray, "size size 3"]
    """Colour without light."""
    lit: Float[np.ndarray, "size size 3"]
    """As the photo shows it, its light and shadows included."""
    visible: Float[np.ndarray, "size size"]
    """How much of it the photo itself showed."""


class Observed(struct.PyTreeNode):
    """What the photo shows at each texel."""

    ratio: Float[Array, "size size 3"]
    """Logarithm of the photo's albedo over the model's."""
    model: Float[Array, "size size 3"]
    sight: Float[Array, "size size"]
    """How well the camera saw the skin there, 0 to 1."""
    shading: Float[Array, "size size 3"]
    place: Float[Array, "size size 2"]
    """Of the texel in the image plane."""
    inner: Float[Array, "size size 3"]
    """Log ratio of eyes and mouth, complete; zero on skin."""
    eyes_seen: Float[Array, "size size"]
    """How much of the eyes is the photo itself: nothing where they are the model's in the photo's colours."""
    colour: Float[Array, ""]
    """0 where the photo is grey, 1 where it is not."""


def unwrap(
    head: FaceHead,
    layout: TextureLayout,
    surface: SkinSurface,
    codes: Codes,
    decoded: Reconstruction,
    image: Float[Array, "side side 3"],
    *,
    points: ShownPoints | None = None,
    frame: Float[Array, "2 2"] | None = None,
    person: Float[Array, "pixels pixels"] | None = None,
) -> UnwrappedTexture:
    """The head's texture from one photo.

    codes: of one face, without batch dimensions. decoded: `decode(head, codes, ...)` at the size of the image. image:
    RGB in [0, 1], the square crop whose image plane the codes' camera speaks of; 512 pixels a side match the texture.
    points: landmarks of the photo, by which its eyes and mouth are found. frame: corners of the photo in the crop's
    plane, left top and right bottom, where the crop reaches beyond it. person: how likely each pixel of the crop, of
    any size, shows a person. The light of the codes is divided out.
    """
    seen = observed(head, layout, codes, decoded, image, points=points, frame=frame, person=person)
    return completed(layout, surface, seen)


@kept()
def observed(
    head: FaceHead,
    layout: TextureLayout,
    codes: Codes,
    decoded: Reconstruction,
    image: Float[Array, "side side 3"],
    *,
    points: ShownPoints | None = None,
    frame: Float[Array, "2 2"] | None = None,
    person: Float[Array, "pixels pixels"] | None = None,
) -> Observed:
    """The photo looked up at every texel; arguments as of `unwrap`."""
    at_texel = functools.partial(render.interpolate, layout.fragments, faces=head.faces)
    place = at_texel(decoded.image_vertices)
    normal = render.normalize(at_texel(decoded.normals))

    sight = camera_sight(decoded.surface.fragments.depth, place, normal[..., 2], layout.face, person)
    if frame is not None:
        low, high = frame[None, :1], frame[None, 1:]
        sight = jnp.where(jnp.all((place[..., :2] > low) & (place[..., :2] < high), axis=-1), sight, 0.0)
    shading = _broad_shading(normal, sight * layout.face, codes.light, layout)
    if points is not None and layout.openings is not None:
        place = shifted(place, points, layout.openings)
        sight = sight * (1 - layout.skin * (1 - clear_of_openings(place, image, points, layout.openings)))
    photo = render.sample_image(image, place[..., :2])
    skin = jnp.log(photo / shading + FLOOR)
    code = (
        codes.albedo if head.albedo is None else code_of_bare_chin(head.albedo.basis, codes.albedo, layout, skin, sight)
    )
    model = _model_albedo(head, code, layout)
    ratio = skin - jnp.log(model + FLOOR)
    ratio = jnp.clip(ratio, -LARGEST_RATIO, LARGEST_RATIO)

    on_face, teeth = sight * layout.face / jnp.maximum(jnp.sum(sight * layout.face), 1e-3), None
    if points is not None and layout.openings is not None:
        light = jnp.sum(on_face[..., None] * shading, (0, 1))
        teeth = shown_teeth(image, points, layout.openings, light, layout.teeth, model, FLOOR)
    eyes, eyes_seen = _eyes(ratio, model, sight * layout.eyes, layout.eyes), sight * layout.eyes
    # Without an albedo model there is no eye to tint.
    if points is not None and layout.openings is not None and head.albedo is not None:
        mean = jnp.sum(eyes_seen[..., None] * shading, (0, 1)) / jnp.maximum(jnp.sum(eyes_seen), 1e-3)
        mean = jnp.where(jnp.sum(eyes_seen) > 1, mean, 1.0)
        eyes = eye_ratio(layout.eye_maps, model, FLOOR, mean, image, points, layout.openings)
        eyes_seen = jnp.zeros_like(eyes_seen)
    chroma = jnp.sum(on_face * (jnp.max(photo, axis=-1) - jnp.min(photo, axis=-1)))
    chroma = chroma / (jnp.sum(on_face * jnp.mean(photo, axis=-1)) + NOISE)
    return Observed(
        ratio=ratio,
        model=model,
        sight=sight * layout.skin,
        shading=shading,
        place=place[..., :2],
        inner=eyes + mouth_ratio(ratio, sight, layout.teeth, layout.lining, shown=teeth),
        eyes_seen=eyes_seen,
        # Where nothing was seen the model keeps its colours.
        colour=jnp.where(jnp.sum(sight * layout.face) > 1.0, ramp(chroma, GREY, COLOURED), 1.0),
    )


def completed(layout: TextureLayout, surface: SkinSurface, seen: Observed) -> UnwrappedTexture:
    """A texture without holes from what the photo shows."""
    ratio, sight, shading, model = (np.asarray(x) for x in (seen.ratio, seen.sight, seen.shading, seen.model))
    skin = trusted_skin(surface, layout, ratio, np.log(shading), model + np.float32(FLOOR), sight)
    light = light_left(surface, skin)
    on_lips = lip_paint(layout, model + np.float32(FLOOR))[..., None] * skin.lips.astype(np.float32)
    albedo, lit, visible = _composed(
        layout,
        seen,
        skin.trust.astype(np.float32),
        surface.fine.on(skin.smooth) + on_lips,
        surface.fine.on(light),
        surface.fine.on(skin.eyeballs.astype(np.float32)),
        surface.fine.on(skin.beard),
    )
    return UnwrappedTexture(
        albedo=_finished(layout, surface, albedo),
        lit=_finished(layout, surface, lit),
        visible=np.asarray(visible),
    )


@kept()
def _composed(
    layout: TextureLayout,
    seen: Observed,
    trust: Float[Array, "coarse coarse"],
    smooth: Float[Array, "size size 3"],
    light: Float[Array, "size size 3"],
    eyeballs: Float[Array, "size size"],
    beard: Float[Array, "size size"],
) -> tuple[Float[Array, "size size 3"], Float[Array, "size size 3"], Float[Array, "size size"]]:
    """Albedo, the same as lit in the photo, and how much of it was seen."""
    trust = jax.image.resize(trust, seen.sight.shape, "linear")
    trust = jnp.where(seen.sight > 0, trust, 0.0)
    skin = layout.skin[..., None]

    def coloured(skin_ratio: Array) -> Array:
        colour = jnp.exp(skin * skin_ratio + seen.inner) * (seen.model + FLOOR) - FLOOR
        grey = jnp.mean(colour, axis=-1, keepdims=True)
        return grey + seen.colour * (colour - grey)

    inside, shown = (trust * jnp.maximum(well_within(layout, trust, share), eyeballs) for share in (WANED, WANED_LIT))
    own, of_photo = mirrored_detail(layout, seen.ratio - smooth, trust, inside, shown)
    # The white of an eye is bright beside an iris.
    own = jnp.where(eyeballs[..., None] > 0.5, own, pigment(layout, own, inside, beard))
    albedo = coloured(smooth - light + own)
    lit = coloured(smooth + of_photo) * seen.shading
    albedo, lit = (jnp.clip(colour, 0.0, 1.0) * (1 - layout.lashes[..., None]) for colour in (albedo, lit))
    return albedo, lit, trust + seen.eyes_seen


def _finished(
    layout: TextureLayout, surface: SkinSurface, colour: Float[Array, "size size 3"]
) -> Float[np.ndarray, "size size 3"]:
    """Without a jump at any seam and without a gap between the charts."""
    flat = np.array(colour).reshape(-1, 3)
    flat[surface.fine.index] = stitched(surface, flat[surface.fine.index])
    # Beyond the edge of a chart its last texel goes on, so that bilinear lookups and mip maps do not see background.
    return np.clip(flat, 0, 1).take(np.asarray(layout.nearest), axis=0)


def _model_albedo(
    head: FaceHead, code: Float[Array, "components"], layout: TextureLayout
) -> Float[Array, "size size 3"]:
    """Its texture, as large as the layout's; grey without a model."""
    size = layout.skin.shape[0]
    if head.albedo is None:
        return jnp.full((size, size, 3), MISSING_ALBEDO_GREY)
    # Far out, a component fitted to hair or shadow would paint them where the photo shows nothing.
    code = jnp.clip(code, -LARGEST_CODE, LARGEST_CODE)
    albedo = jnp.clip(flame.albedo_map(head.albedo, code), 0.0, 1.0)
    skin = layout.skin.reshape(-1)[layout.nearest]
    of_skin = (jax.image.resize(skin, albedo.shape[:2], "linear") > 0.5).astype(jnp.float32)[..., None]

    def enlarged(part: Array) -> Array:
        """Of one part alone: an eye's white must not run into the neck beside it in the texture."""
        share = jax.image.resize(part, (size, size, 1), "linear")
        return jax.image.resize(part * albedo, (size, size, 3), "linear") / jnp.maximum(share, 1e-3)

    return jnp.where(skin[..., None] > 0.5, enlarged(of_skin), enlarged(1 - of_skin))


def _broad_shading(
    normal: Float[Array, "size size 3"], face: Float[Array, "size size"], light: Array, layout: TextureLayout
) -> Float[Array, "size size 3"]:
    """Shading by the broad shape of the head: the folds of lids, lips and nostrils are never where the photo has them,
    and dividing by their shading would paint bright rims beside the dark ones."""
    broad = render.normalize(_smooth(normal, layout.skin, CELLS))
    normal = jnp.where(layout.skin[..., None] > 0, broad, normal)
    shading = render.spherical_harmonics(normal, light)
    mean = jnp.sum(face[..., None] * shading, (0, 1)) / jnp.maximum(jnp.sum(face), 1.0)
    mean = jnp.maximum(mean, 0.1)[None, None]
    return jnp.clip(shading, DARKEST_SHADING * mean, BRIGHTEST_SHADING * mean)


def _usual(ratio: Float[Array, "size size 3"], weights: Float[Array, "size size"]) -> Float[Array, "3"]:
    return jnp.sum(weights[..., None] * ratio, (0, 1)) / jnp.maximum(jnp.sum(weights), 1e-3)


def _smooth(
    values: Float[Array, "size size 3"], weights: Float[Array, "size size"], cells: int
) -> Float[Array, "size size 3"]:
    """Weighted mean over cells x cells, continued to where there is no weight."""
    mass = pooled(weights[..., None], cells)
    mean = pooled(weights[..., None] * values, cells) / jnp.maximum(mass, 1e-6)
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

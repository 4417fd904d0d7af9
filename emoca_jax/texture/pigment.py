"""What of a skin's detail is pigment, and what is light that smooth shading does not tell: shine, relief and shadows.

Skin has dark spots of many tints, moles and freckles, but a spot that is brighter than what is around it shines, and
what is paler than it shines as well. What is broader than a mole is on both sides, or it is light. What is dark, long
and narrow is a fold, a shadow's edge or a hair. Between pores and what is smooth there are blotches, of which little is
pigment. Skin that is full of dark and bright is in a light that shows relief.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.texture.layout import TextureLayout, mirrored
from emoca_jax.texture.windows import box, ramp

POOL, BROAD, WIDE = 4, 5, 15
"""Texels that are pooled, and pools over which detail counts as broad, a centimetre, wider than moles; and over which
relief is judged, three."""
ALONE = 0.3
"""Share of broad detail that is taken for light where the other side tells nothing."""
BRIGHT, ROOM = 0.03, 0.03
"""Log ratio of detail to its surroundings from which skin is taken to shine, and how much more is left of it."""
SHADE_FROM, SHADE_SHARE = -0.08, 0.5
"""Log ratio below which broad detail is taken for shade, and the share of what is beyond that is left."""
FINE_POOL, PATCH, PATCH_KEPT = 2, 3, 0.3
"""Texels that are pooled, and pools, 3 mm, over which detail is no pore any more; and what is left of it: blotches of
2 to 10 mm, .05 bright and dark in each of 11 photos, are relief and a camera's colours more than pigment. On 32 drawn
faces the skin's own colour is then .0309 off the truth, with all of it .0328, with six tenths of what is a centimetre
wide .0313."""
MOLE = (0.12, 0.25)
"""How much darker than its surroundings, log ratio, a spot is pigment in part and altogether."""
RELIEF = 0.012
"""Mean deviation of brightness, log ratio, that skin has of itself: without blotches it is .004 to .012 on cheeks of
photos that were lit from the front, in hard light .021."""
LESS_RED = 0.06
"""How much less red than what is around it, log of red over green, something on lips is sheen or skin altogether."""
LONG, DIRECTIONS, HALF = 11, 8, 2
"""Texels of half the size, 1.2 cm, along which what is dark is long, in one of so many directions."""
LINE_DARK, LINE_FROM = 0.08, 0.06
"""Log ratio from which a texel of a line is as dark as any other, and of one that may be one: pores are less."""
SPOT, LINE, LINE_KEPT = 0.55, 0.8, 0.4
"""Mean darkness along the darkest direction less half of that along the brightest, in parts of a texel's own, up to
which it is a spot, of any size, and from which it is a line, up to 5 mm wide; and what is left of one."""
TINT_KEPT, TINT_OF_DARK = 0.035, 0.15
"""Log ratio by which the tint of detail may differ from that of its surroundings, and how much more where it is darker:
a share of the darkness."""


def pigment(
    layout: TextureLayout,
    detail: Float[Array, "size size 3"],
    seen: Float[Array, "size size"],
    beard: Float[Array, "size size"],
) -> Float[Array, "size size 3"]:
    """The detail, a log ratio, without light.

    detail: of the photo, of the mirror image where only that was seen. seen: how far the photo itself shows it, 0 to 1.
    beard: 1 where one shows.
    """
    # Brows, lids and lips end within half of how far they may lie off.
    features = jnp.clip(2 * layout.features - 1, 0.0, 1.0)
    bare = 1 - jnp.maximum(features, beard)[..., None]
    broad = _mean(layout.skin, detail, BROAD)
    other = mirrored(layout, jnp.concatenate([broad, seen[..., None]], axis=-1))
    both = seen[..., None] * other[..., 3:]
    odd = both * (broad - other[..., :3]) / 2 + (1 - both) * ALONE * broad
    shade = jnp.minimum(jnp.mean(broad - odd, axis=-1, keepdims=True) - SHADE_FROM, 0.0)
    detail = detail - bare * (odd + (1 - SHADE_SHARE) * shade)

    # Lips are bright and dark against skin, so they are compared with themselves.
    lips = layout.lips[..., None]
    own = lips * _without_sheen(broad)
    line = bare * _lines(jnp.mean(detail, axis=-1))
    detail = (1 - (1 - LINE_KEPT) * line) * (detail - own)
    mole = ramp(-jnp.mean(detail, axis=-1, keepdims=True), *MOLE) * (1 - line)
    patches = _mean(layout.skin * bare[..., 0], detail, PATCH, pool=FINE_POOL)
    detail = detail - bare * (1 - mole) * (1 - PATCH_KEPT) * patches

    brightness = jnp.mean(detail, axis=-1, keepdims=True)
    tint = detail - brightness
    most = TINT_KEPT + TINT_OF_DARK * jnp.maximum(-brightness, 0.0)
    size = jnp.linalg.norm(tint, axis=-1, keepdims=True)
    held = most * jnp.tanh(size / most) / jnp.maximum(size, 1e-6)
    shown = jnp.maximum(seen, other[..., 3]) * layout.skin * bare[..., 0]
    relief = _mean(shown, jnp.abs(brightness), WIDE)
    calm = 1 - bare * (1 - RELIEF / jnp.maximum(relief, RELIEF))
    lips = lips * (1 - _sheen(tint))
    return own + calm * (_without_shine(brightness) + tint * (lips + (1 - lips) * held))


def _sheen(colour: Float[Array, "size size 3"]) -> Float[Array, "size size 1"]:
    """1 where a log ratio is less red than what it is relative to: lips may have any other colour."""
    return ramp(colour[..., 1:2] - colour[..., :1], 0.0, LESS_RED)


def _without_sheen(colour: Float[Array, "size size 3"]) -> Float[Array, "size size 3"]:
    """Grey where it is sheen."""
    grey = jnp.mean(colour, axis=-1, keepdims=True)
    return grey + (1 - _sheen(colour)) * (colour - grey)


def _lines(brightness: Float[Array, "size size"]) -> Float[Array, "size size 1"]:
    """1 where a texel is dark because of something long and dark: a fold, a hair or a shadow; 0 for spots."""
    cells = brightness.shape[0] // HALF
    # As deep everywhere, or the deepest points of a line would be spots.
    dark = jnp.clip(-brightness.reshape(cells, HALF, cells, HALF).mean((1, 3)), 0.0, LINE_DARK)
    ways = []
    for turn in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        steps = np.outer(np.arange(LONG) - LONG // 2, (np.sin(turn), np.cos(turn))).round().astype(int)
        ways.append(functools.reduce(jnp.add, [jnp.roll(dark, (int(y), int(x)), (0, 1)) for y, x in steps]) / LONG)
    apart = functools.reduce(jnp.maximum, ways) - functools.reduce(jnp.minimum, ways) / 2
    line = ramp(apart / jnp.maximum(dark, LINE_FROM), SPOT, LINE)
    return jnp.repeat(jnp.repeat(line, HALF, 0), HALF, 1)[..., None]


def _mean(
    weights: Float[Array, "size size"], values: Float[Array, "size size channels"], pools: int, *, pool: int = POOL
) -> Float[Array, "size size channels"]:
    """Weighted mean over so many pools, twice, so that it has no corners."""
    size = values.shape[0]
    cells = size // pool

    def blurred(image: Array) -> Array:
        return box(box(image.reshape(cells, pool, cells, pool).mean((1, 3)), pools), pools)

    mass = jnp.maximum(blurred(weights), 1e-3)
    mean = [blurred(weights * values[..., k]) / mass for k in range(values.shape[-1])]
    # Written out before and after: XLA's compiler for GPUs stops at a resize's product fused with what is around.
    coarse = jax.lax.optimization_barrier(jnp.stack(mean, axis=-1))
    return jax.lax.optimization_barrier(jax.image.resize(coarse, values.shape, "linear"))


def _without_shine(brightness: Float[Array, "size size 1"]) -> Float[Array, "size size 1"]:
    """Held down above BRIGHT."""
    held = BRIGHT + ROOM * jnp.tanh((brightness - BRIGHT) / ROOM)
    return jnp.where(brightness > BRIGHT, held, brightness)

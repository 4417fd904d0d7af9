"""Teeth, tongue and the mouth's lining as bright as the photo shows them."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax import render
from emoca_jax.texture.openings import OpeningRows, ShownPoints

ENOUGH = 60.0
"""Texels, of 512 x 512, that the photo must show for it to be believed altogether."""
TEETH_RANGE, LINING_RANGE = (-0.9, 0.12), (-0.7, 0.4)
"""Log ratio to the model's brightness that is believed: a mouth in the dark, and teeth in a flash, which are no paler
than the palest shade of the VITA guide (L 81 in place of 77)."""
DARKEST_UNSEEN = -0.1
"""The same where landmarks tell that the photo shows no teeth between the lips: what lies where the head has its own is
lips and the dark behind them, which say little of teeth and made them grey beside dark skin."""
ALONG, ACROSS = 15, 9
"""Places looked at between the lips, from corner to corner and from lip to lip."""
PALER = 0.2
"""How much smaller than the lips' the logarithm of red over green of teeth is at least."""
FRONT = 12
"""Power of the model's brightness that leaves its front teeth: a smile painted with the model's own comes out within
4 %."""
FEWEST = 0.12
"""Share of the places between the lips that must be teeth."""


def shown_teeth(
    image: Float[Array, "side side 3"],
    points: ShownPoints,
    rows: OpeningRows,
    light: Float[Array, "3"],
    teeth: Float[Array, "size size"],
    model: Float[Array, "size size 3"],
    floor: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Brightness of the teeth between the photo's lips, log ratio to the model's front teeth; on what share of it.

    Wherever the head has its teeth: by a millimetre it has them where the photo has a lip. Teeth are what is there that
    is bright and less red than lips. light: of the face; floor: added to both before the logarithm.
    """
    ring = points.shown[rows.lips]
    half = len(rows.lips) // 2
    along = jnp.linspace(0.0, half, ALONG + 2)[1:-1]
    first = jnp.clip(jnp.floor(along).astype(jnp.int32), 0, half - 1)
    part = (along - first.astype(along.dtype))[:, None]

    def line(order: Array) -> Array:
        return (1 - part) * ring[order[first]] + part * ring[order[first + 1]]

    upper = line(jnp.arange(half + 1))
    lower = line(-jnp.arange(half + 1) % len(rows.lips))
    across = jnp.linspace(0.0, 1.0, ACROSS + 2)[1:-1][:, None, None]
    colour = render.sample_image(image, ((1 - across) * upper[None] + across * lower[None]).reshape(1, -1, 2))[0]
    on_lips = render.sample_image(image, ((ring + points.shown[rows.mouth]) / 2)[None])[0]
    redness, of_lips = (jnp.log((c[:, 0] + floor) / (c[:, 1] + floor)) for c in (colour, on_lips))
    brightness = jnp.mean(jnp.log(colour / light[None] + floor), axis=-1)
    front = jnp.mean(model, axis=-1) ** FRONT * teeth
    usual = jnp.sum(front * jnp.mean(jnp.log(model + floor), axis=-1)) / jnp.maximum(jnp.sum(front), 1e-6)
    # A mouth in the dark has no redness either.
    is_tooth = (redness < jnp.median(of_lips) - PALER) & (brightness > usual + TEETH_RANGE[0])
    seen = jnp.nan_to_num(jnp.nanmedian(jnp.where(is_tooth, brightness, jnp.nan)))
    return seen - usual, jnp.mean(is_tooth.astype(jnp.float32))


def mouth_ratio(
    ratio: Float[Array, "size size 3"],
    sight: Float[Array, "size size"],
    teeth: Float[Array, "size size"],
    lining: Float[Array, "size size"],
    *,
    shown: tuple[Float[Array, ""], Float[Array, ""]] | None = None,
) -> Float[Array, "size size 3"]:
    """Log ratio to the model at each texel of the mouth's inside, 0 elsewhere: one for teeth, one for the rest.

    ratio, sight: of the photo at each texel. Only brightness is taken: where the head shows teeth and the photo a dark
    mouth or a lip, a bright bar would be wrong, and so would red teeth. shown: `shown_teeth`, believed where it tells.
    """
    total = jnp.zeros_like(sight)
    for area, limits in ((teeth, TEETH_RANGE), (lining, LINING_RANGE)):
        weight = area * sight
        brightness = jnp.clip(jnp.mean(ratio, axis=-1), *limits)
        mean = jnp.sum(weight * brightness) / (jnp.sum(weight) + ENOUGH / 4)
        if area is teeth and shown is not None:
            untold = jnp.maximum(mean, DARKEST_UNSEEN)
            mean = jnp.where(shown[1] > FEWEST, jnp.clip(shown[0], *limits), untold)
        total = total + area * mean
    return jnp.broadcast_to(total[..., None], ratio.shape)

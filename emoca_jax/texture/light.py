"""Light that is left in a skin's colour after that of nine numbers was divided out: shadows, shine, coloured lamps.

Told from pigment by what skin does not do: it is the same on both sides, and it does not get brighter than its
surroundings by much. A beard or a blush is on both sides and darker, or of another tint, though not of any tint.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emoca_jax.texture.surface import SkinSurface, screened
from emoca_jax.texture.trust import TrustedSkin

WIDE = 0.02
"""Metres over which what differs between both sides is light: a mole is smaller."""
ALONE = 0.3
"""Share of what one side shows that is taken for light where the other tells nothing."""
SHINE_FROM, SHADE_FROM = 0.04, -0.12
"""Log ratio to the face's usual brightness above and below which what both sides have is taken for light, too."""
SHINE_SHARE, SHADE_SHARE = 0.85, 0.5
"""The share of what is beyond that is taken out."""
TINT_KEPT = 0.04
"""Log ratio from the face's usual tint that bare skin reaches at most, four fifths of a blush (3 units of CIELAB's a*):
where a photo is too bright or too dark for its channels, skin turns grey, violet or orange by more."""


def light_left(surface: SkinSurface, skin: TrustedSkin) -> Float[np.ndarray, "vertices 3"]:
    """The light in the skin's smooth log ratio, to be subtracted from it."""
    apart = skin.smooth - skin.usual
    share = np.minimum(skin.seen / surface.mass, 1.0)
    both = np.minimum(share, surface.mirror @ share)[:, None]
    odd = both * (apart - surface.mirror @ apart) / 2 + (1 - both) * (1 - skin.painted[:, None]) * ALONE * apart
    odd = screened(surface, odd, surface.mass, smooth=WIDE, elsewhere=np.zeros(3), reach=np.inf)
    brightness = (apart - odd).mean(1, keepdims=True)
    shine = SHINE_SHARE * np.maximum(brightness - SHINE_FROM, 0)
    shade = (1 - skin.beard[:, None]) * SHADE_SHARE * np.minimum(brightness - SHADE_FROM, 0)
    tint = apart - odd + skin.spots
    tint = tint - tint.mean(1, keepdims=True)
    size = np.linalg.norm(tint, axis=1, keepdims=True)
    bare = (1 - skin.painted[:, None]) * (1 - TINT_KEPT * np.tanh(size / TINT_KEPT) / np.maximum(size, 1e-6))
    # How bright an eye is beside skin says nothing of light.
    return np.where(skin.eyeballs[:, None], 0.0, odd + shine + shade + bare * tint)

"""Where the colour of lips goes in a texture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emoca_jax.texture.layout import TextureLayout

LIPS, LEAST_RED = 0.99, 0.05
"""Where lips are surely, and how much redder than skin, log of red over green, a model's are if it has any."""


def lip_paint(layout: TextureLayout, model: Float[np.ndarray, "rows columns 3"]) -> Float[np.ndarray, "rows columns"]:
    """How far the colour of lips reaches: to less than where they may still be seen, whose half is skin, and only where
    the model has lips, for what turns its red into violet makes skin violet, too.

    model: its albedo, above 0, as large as the layout or a part of it.
    """
    step = len(layout.skin) // len(model)
    lips, middle, skin = (np.asarray(x)[::step, ::step] for x in (layout.lips, layout.middle, layout.skin))
    reach = np.clip(2 * lips - 1, 0, 1)
    red = np.log(model[..., 0] / model[..., 1])
    there, beside = skin * (lips > LIPS), skin * middle * (1 - lips)
    of_lips, of_skin = ((x * red).sum() / max(x.sum(), 1) for x in (there, beside))
    if of_lips - of_skin < LEAST_RED:
        return reach
    return reach * np.clip((red - of_skin) / (of_lips - of_skin), 0, 1).astype(np.float32)

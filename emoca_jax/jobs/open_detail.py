"""The detail stage of the open head: where in its layout wrinkles may be, and where losses look for them.

FLAME brings masks that people painted; here they follow from the head's parts and landmarks.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt, label

from emoca_jax.detail import DetailModel, detail_model
from emoca_jax.flame.head import FaceHead
from emoca_jax.losses.detail import LAYOUT_PIXELS, FaceSpan
from emoca_jax.texture.layout import texture_layout

FAINTEST = 0.02
"""Of the mask that fades out beside the face; what is less moves the largest displacement (1 cm) by .2 mm: nothing."""
BARE_TEXELS, FADING_TEXELS = 1.0, 2.0
"""Beside lids, lips and seams of the layout: a texel above, below or beside what is no skin has no displacement, since
the normals of its grid would lean on the gap; further ones have it little by little."""


def open_detail_model(head: FaceHead, decoder: dict, *, size: int) -> DetailModel:
    """The detail stage on a layout of `size` x `size` texels. decoder: variables of a `DetailDecoder` of that size.

    Coarse normals outside the mask, as DECA has it: those of the grid are wrong at every seam of the layout. Takes
    about a second; keep it as long as the head.
    """
    mask = face_mask(head, size=size)
    nothing = jnp.zeros(mask.shape)
    return detail_model(head, decoder, jnp.asarray(mask), nothing, blend=True, span=span_of(mask))


def face_mask(head: FaceHead, *, size: int) -> Float[np.ndarray, "size size"]:
    """1 on the skin of the face, fading to 0 on ears, neck and scalp, and beside eyes, mouth and nostrils."""
    layout = texture_layout(head, size=size)
    skin = np.asarray(layout.skin)
    # Ends of the skin's inner side lie in charts of their own.
    labelled: Any = label(skin > 0)
    charts = labelled[0]
    skin = skin * (charts == 1 + np.argmax(np.bincount(charts.ravel())[1:]))
    inward = np.asarray(distance_transform_edt(skin > 0)) - BARE_TEXELS
    mask = np.asarray(layout.face) * skin * np.clip(inward / FADING_TEXELS, 0, 1)
    return np.where(mask < FAINTEST, 0, mask).astype(np.float32)


def span_of(mask: Float[np.ndarray, "size size"]) -> FaceSpan:
    """The rows and columns that hold all of a mask."""
    scale = LAYOUT_PIXELS / len(mask)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    ends = [(int(np.floor(scale * at[0])), int(np.ceil(scale * (at[-1] + 1)))) for at in (rows, columns)]
    return FaceSpan(*ends[0], *ends[1])

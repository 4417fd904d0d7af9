"""What networks that learned from photos, and stay as they are, see in one upright picture of a face.

The expression networks that ship and the face mesh network, which the pipeline runs anyway: eyes for a reader that is
small because it need not learn to see (picture_reader.py).
"""

from __future__ import annotations

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.convolution import ImageFeatures
from emoca_jax.nets.emotion.crop import CROP_MARGIN, ExpressionCrop
from emoca_jax.nets.emotion.open import inner_part, network_reads
from emoca_jax.nets.mediapipe.face_mesh import MESH_SIZE
from emoca_jax.nets.mediapipe.mesh_look import MESH_MAPS
from emoca_jax.nets.weights import Parameters

PICTURE_SIZE = 144
"""Pixels a side of what all of them see: as sharp as the drawn faces from which the reader learns."""
PICTURE_MARGIN = 1.5
"""Side of the picture over the longer side of the box around the mesh points: what the mesh network expects
(MediaPipe's RectTransformationCalculator). The expression networks see the middle of it."""
MAPS = {
    "dense_fine": (7, 128),
    "dense": (7, 256),
    "xception_fine": (4, 64),
    "xception": (4, 128),
    **MESH_MAPS,
}
"""Name of each map -> cells a side, channels: last but one and last block of face-api's network and of mini-Xception
(the former at the latter's cells), and the mesh network's."""
Maps = dict[str, Float[AnyArray, "batch _cells _cells _channels"]]


def picture_crop(crop: ExpressionCrop) -> ExpressionCrop:
    """The square to cut out, `PICTURE_SIZE` pixels a side, around the one that expression networks see."""
    return crop.replace(half=crop.half * (PICTURE_MARGIN / CROP_MARGIN))


def mesh_crops(pictures: Float[Array, "batch 144 144 3"]) -> Float[Array, "batch 192 192 3"]:
    """Pictures at the size that the mesh network takes."""
    return inner_part(pictures, 1.0, MESH_SIZE)


def expression_maps(networks: Parameters, pictures: Float[Array, "batch 144 144 3"]) -> Maps:
    """Those of `MAPS` that are the expression networks', of pictures, RGB in [0, 1]."""
    middle = inner_part(pictures, CROP_MARGIN / PICTURE_MARGIN, round(PICTURE_SIZE * CROP_MARGIN / PICTURE_MARGIN))
    xception, dense = network_reads(networks, middle)
    return {
        "dense_fine": _halved(dense.maps[-2]),
        "dense": dense.maps[-1],
        "xception_fine": _halved(xception.maps[-2]),
        "xception": xception.maps[-1],
    }


def _halved(x: ImageFeatures) -> ImageFeatures:
    """Means over 2 x 2 places."""
    return nn.pool(x, 0.0, jax.lax.add, (2, 2), (2, 2), "VALID") / 4

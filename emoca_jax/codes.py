"""The named parameters of one face."""

from __future__ import annotations

from flax import struct
from jaxtyping import Array, Float


class Codes(struct.PyTreeNode):
    """What a photo is turned into and a head is decoded from; batch dimensions first.

    Names instead of positions: nothing outside the encoders slices a flat code vector.
    """

    shape: Float[Array, "*batch shapes"]
    """Identity, in standard deviations."""
    expression: Float[Array, "*batch expressions"]
    """FLAME: PCA coordinates. Open head: activations of the 52 named units in [0, 1]."""
    pose: Float[Array, "*batch 2 3"]
    """Axis-angle of the whole head and of the neck joint, radians."""
    jaw: Float[Array, "*batch 3"]
    """Axis-angle of the jaw joint, radians."""
    eyes: Float[Array, "*batch 2 3"]
    """Axis-angle of left and right eye joint, radians."""
    camera: Float[Array, "*batch 3"]
    """Weak perspective (scale, tx, ty): image = scale * (xy + t), y up, before the flip to image rows."""
    light: Float[Array, "*batch 9 3"]
    """Spherical-harmonics coefficients per colour channel."""
    albedo: Float[Array, "*batch components"]
    """Coordinates in the head's albedo model."""
    detail: Float[Array, "*batch details"] | None = None
    """Wrinkles: what the detail decoder turns into a displacement map; None where there is no such stage."""

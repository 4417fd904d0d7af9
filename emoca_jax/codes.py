"""The named parameters of one face."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from emoca_jax.arrays import AnyArray
from emoca_jax.errors import InputError


class Codes(struct.PyTreeNode):
    """What a photo is turned into and a head is decoded from; batch dimensions first, which broadcast.

    Names instead of positions: nothing outside the encoders slices a flat code vector.
    """

    shape: Float[AnyArray, "*#batch shapes"]
    """Identity, in standard deviations."""
    expression: Float[AnyArray, "*#batch expressions"]
    """FLAME: PCA coordinates. Open head: activations of the 52 named units in [0, 1]."""
    pose: Float[AnyArray, "*#batch 2 3"]
    """Axis-angle of the whole head and of the neck joint, radians."""
    jaw: Float[AnyArray, "*#batch 3"]
    """Axis-angle of the jaw joint, radians."""
    eyes: Float[AnyArray, "*#batch 2 3"]
    """Axis-angle of left and right eye joint, radians."""
    camera: Float[AnyArray, "*#batch 3"]
    """Weak perspective (scale, tx, ty): image = scale * (xy + t), y up, before the flip to image rows."""
    light: Float[AnyArray, "*#batch 9 3"]
    """Spherical-harmonics coefficients per colour channel."""
    albedo: Float[AnyArray, "*#batch components"]
    """Coordinates in the head's albedo model."""
    detail: Float[AnyArray, "*#batch details"] | None = None
    """Wrinkles: what the detail decoder turns into a displacement map; None where there is no such stage."""


TABLES = ("pose", "eyes", "light")
"""Codes of two dimensions behind those of the batch; the others have one."""
ENDS = {"pose": (2, 3), "jaw": (3,), "eyes": (2, 3), "camera": (3,), "light": (9, 3)}
"""Last dimensions of what is alike for all heads."""


def same_batch(codes: Codes, *, batch: tuple[int, ...] = ()) -> Codes:
    """The codes, each with the batch dimensions that all of them and `batch` have in common.

    An albedo code without batch dimensions stays so: one texture for all. Differentiable. Errors: InputError where
    batch dimensions do not broadcast, or a pose, a camera or a light is of another shape than these have.
    """
    values = {field.name: getattr(codes, field.name) for field in dataclasses.fields(codes)}
    values = {name: value for name, value in values.items() if value is not None}
    for name, end in ENDS.items():
        if name in values and np.shape(values[name])[-len(end) :] != end:
            wanted = ", ".join(("...", *map(str, end)))
            raise InputError(f"codes.{name} must have shape [{wanted}], not {list(np.shape(values[name]))}.")
    own = {name: np.shape(value)[: np.ndim(value) - (2 if name in TABLES else 1)] for name, value in values.items()}
    try:
        common = np.broadcast_shapes(batch, *own.values())
    except ValueError:
        found = ", ".join(f"{name} {list(lead)}" for name, lead in own.items() if lead)
        wanted = f"broadcast to {list(batch)}" if batch else "broadcast"
        raise InputError(f"The codes must have batch dimensions that {wanted}, not {found}.") from None
    spread = {name for name, lead in own.items() if lead != common and (lead or name != "albedo")}
    return codes.replace(
        **{name: jnp.broadcast_to(values[name], (*common, *values[name].shape[len(own[name]) :])) for name in spread}
    )

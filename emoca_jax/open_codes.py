"""What a reader of the open encoder says, as codes of the open head."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments, to_rank
from emoca_jax.flame.head import FaceHead
from emoca_jax.flame.landmarks import landmarks_mediapipe
from emoca_jax.nets.encoders import CROP_MARGIN, ExpressionCodes, FlameCodes
from emoca_jax.render.lighting import SH_BANDS

POSE_SCALE, SHIFT_SCALE, LIGHT_SCALE, ZOOM_SCALE = 0.3, 0.02, 0.3, 0.1
"""Radians, metres, coefficients and logarithms per unit of a reader's output: each varies by some units over photos."""
REST = -3.0
"""Added to what is read of each unit before its sigmoid: a reader that has learned nothing shows a face at rest."""


def open_parts(head: FaceHead) -> dict[str, int]:
    """The order of E_flame's numbers for a head with named units."""
    assert head.albedo is not None
    shapes, units = head.shape_dirs.shape[-1], head.expression_dirs.shape[-1]
    components = head.albedo.basis.shape[-1]
    return {"shape": shapes, "albedo": components, "expression": units, "pose": 3, "camera": 3, "light": 27}


def open_outputs(head: FaceHead) -> int:
    """How many numbers E_flame tells of this head."""
    return sum(open_parts(head).values())


def part_of(head: FaceHead, name: str) -> slice:
    """Where a part lies among E_flame's numbers."""
    parts = open_parts(head)
    names = list(parts)
    start = sum(parts[before] for before in names[: names.index(name)])
    return slice(start, start + parts[name])


@checks_arguments
def split_open(head: FaceHead, flat: Float[Array, "*batch outputs"]) -> FlameCodes:
    """A reader's numbers by name, in the codes' units; zeros are the average head at rest, from the front, in white
    light. The neck stays at rest, as does the jaw: `jawOpen` is a unit. Differentiable."""
    named = {name: flat[..., part_of(head, name)] for name in open_parts(head)}
    batch = flat.shape[:-1]
    turn = POSE_SCALE * named["pose"]
    camera = to_rank(frontal_camera(head), flat.ndim)
    zoom, shift = named["camera"][..., :1], named["camera"][..., 1:]
    light = LIGHT_SCALE * named["light"].reshape(*batch, 9, 3)
    ambient = jnp.zeros((9, 3)).at[0].set(1 / SH_BANDS[0])
    return FlameCodes(
        shape=named["shape"],
        albedo=named["albedo"],
        expression=units_of(named["expression"]),
        pose=jnp.stack([turn, jnp.zeros_like(turn)], axis=-2),
        jaw=jnp.zeros_like(turn),
        camera=jnp.concatenate(
            [camera[..., :1] * jnp.exp(ZOOM_SCALE * zoom), camera[..., 1:] + SHIFT_SCALE * shift], axis=-1
        ),
        light=to_rank(ambient, light.ndim) + light,
    )


def split_units(flat: Float[Array, "*batch units"]) -> ExpressionCodes:
    """E_expression's numbers as units. Differentiable."""
    return ExpressionCodes(units_of(flat), None)


def units_of(flat: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
    """A reader's numbers as activations in [0, 1]. Differentiable."""
    return nn.sigmoid(flat + REST)


def frontal_camera(head: FaceHead) -> Float[Array, "3"]:
    """The camera with which the average face, from the front, fills an encoder's crop as faces of photos do."""
    points = landmarks_mediapipe(head, head.template)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    middle = -(low + high) / 2
    return jnp.concatenate([2 / (CROP_MARGIN * jnp.mean(high - low))[None], middle])

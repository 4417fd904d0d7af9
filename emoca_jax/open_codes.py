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
FAINT_UNIT = 0.05
"""Strength at which a unit at rest is moved by a reader: with a slope of .0475 per unit of its numbers; chosen, as REST
(.0474) was."""
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
    turn = POSE_SCALE * named["pose"]
    camera = to_rank(frontal_camera(head), flat.ndim)
    zoom, shift = named["camera"][..., :1], named["camera"][..., 1:]
    return FlameCodes(
        shape=named["shape"],
        albedo=named["albedo"],
        expression=units_of(named["expression"]),
        pose=jnp.stack([turn, jnp.zeros_like(turn)], axis=-2),
        jaw=jnp.zeros_like(turn),
        camera=jnp.concatenate(
            [camera[..., :1] * jnp.exp(ZOOM_SCALE * zoom), camera[..., 1:] + SHIFT_SCALE * shift], axis=-1
        ),
        light=_light(named["light"]),
    )


def light_outputs(head: FaceHead) -> int:
    """How many numbers a reader of light and albedo tells of this head."""
    parts = open_parts(head)
    return parts["albedo"] + parts["light"]


@checks_arguments
def split_light(
    head: FaceHead, flat: Float[Array, "*batch outputs"]
) -> tuple[Float[Array, "*batch components"], Float[Array, "*batch 9 3"]]:
    """A reader's numbers as albedo and light; zeros are the average skin in white light. Differentiable."""
    components = open_parts(head)["albedo"]
    return flat[..., :components], _light(flat[..., components:])


def _light(numbers: Float[Array, "*batch 27"]) -> Float[Array, "*batch 9 3"]:
    light = LIGHT_SCALE * numbers.reshape(*numbers.shape[:-1], 9, 3)
    ambient = jnp.zeros((9, 3)).at[0].set(1 / SH_BANDS[0])
    return to_rank(ambient, light.ndim) + light


def split_units(flat: Float[Array, "*batch units"]) -> ExpressionCodes:
    """E_expression's numbers as units. Differentiable."""
    return ExpressionCodes(units_of(flat), None)


def units_of(flat: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
    """A reader's numbers as activations in [0, 1]. Differentiable."""
    return nn.sigmoid(flat + REST)


@checks_arguments
def moved_units(units: Float[Array, "*batch units"], offsets: Float[Array, "*batch units"]) -> ExpressionCodes:
    """Units from where another encoder has them: `offsets` are added to their logits; zeros change nothing at all.

    Units fainter than FAINT_UNIT move as those of FAINT_UNIT do, and strong ones likewise: at none and at all a
    logistic function is flat. Differentiable.
    """
    begin = jnp.clip(units, FAINT_UNIT, 1 - FAINT_UNIT)
    moved = nn.sigmoid(jnp.log(begin / (1 - begin)) + offsets)
    return ExpressionCodes(jnp.clip(units + (moved - nn.sigmoid(jnp.log(begin / (1 - begin)))), 0, 1), None)


def frontal_camera(head: FaceHead) -> Float[Array, "3"]:
    """The camera with which the average face, from the front, fills an encoder's crop as faces of photos do."""
    points = landmarks_mediapipe(head, head.template)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    middle = -(low + high) / 2
    return jnp.concatenate([2 / (CROP_MARGIN * jnp.mean(high - low))[None], middle])

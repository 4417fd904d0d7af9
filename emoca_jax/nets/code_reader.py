"""From where a head's points lie beside a photo's landmarks to what its codes lack: one step of a fit, learned."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.products import PRECISION

BOTTLENECK, FEATURES, LAYERS = 160, 320, 2
"""Directions in which points are seen to stray, and width and number of what follows."""
STRAY_SCALE = 0.005
"""Metres by which landmarks stray from the average head's points, about: what a step sees has unit size."""
TURN_SCALE, ZOOM_SCALE, SHIFT_SCALE = 0.1, 0.03, 0.003
"""Radians, logarithms and metres per unit that it tells of the pose."""
FAINT = 0.02
"""Strengths below this, or above one less this, count as these: of none and of full ones no unit could depart."""
STEPS = ("first", "second")
"""Names of the steps' parameters, in their order."""


class CodeStep(NamedTuple):
    """What is to be changed of a face's codes."""

    shape: Float[Array, "*batch shapes"]
    """Added, standard deviations."""
    expression: Float[Array, "*batch units"]
    """The units themselves, 0 to 1."""
    turn: Float[Array, "*batch 3"]
    """Axis-angle in the head's frame, before the rotation it has, radians."""
    zoom: Float[Array, "*batch"]
    """Logarithm of a factor of the camera's scale."""
    shift: Float[Array, "*batch 2"]
    """Added to the camera's, metres."""


class CodeReader(nn.Module):
    """One step. Nothing is changed before anything is learned, but units that are `FAINT`."""

    shapes: int
    units: int

    @nn.compact
    def __call__(
        self,
        strayed: Float[Array, "*batch points 3"],
        view: Float[Array, "*batch 3"],
        shape: Float[Array, "*batch shapes"],
        expression: Float[Array, "*batch units"],
        read: Float[Array, "*batch units"],
    ) -> CodeStep:
        """strayed: how far landmarks lie from the head's points, in its own frame, metres. view: the direction of the
        viewer there. shape, expression: the codes so far. read: units that a network read off the landmarks."""
        seen = strayed / STRAY_SCALE
        x = _dense(BOTTLENECK, "bottleneck")(seen.reshape(*seen.shape[:-2], -1))
        x = jnp.concatenate([x, view, shape, 2 * expression - 1, 2 * read - 1], axis=-1)
        for index in range(LAYERS):
            x = nn.gelu(_dense(FEATURES, f"hidden{index}")(x))

        def told(outputs: int, name: str) -> Array:
            still = nn.initializers.zeros
            return nn.Dense(outputs, precision=PRECISION, kernel_init=still, name=name)(x)

        strength = jnp.clip(expression, FAINT, 1 - FAINT)
        pose = told(6, "pose")
        return CodeStep(
            shape=told(self.shapes, "shape"),
            expression=nn.sigmoid(jnp.log(strength / (1 - strength)) + told(self.units, "expression")),
            turn=TURN_SCALE * pose[..., :3],
            zoom=ZOOM_SCALE * pose[..., 3],
            shift=SHIFT_SCALE * pose[..., 4:],
        )


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, precision=PRECISION, name=name)

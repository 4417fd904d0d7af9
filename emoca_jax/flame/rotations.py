"""Rotations: axis-angle at the surface, matrices inside."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

SMALL_ANGLE_SQUARED = 1e-4
"""Below this theta^2 the series are exact to fp32 (next term theta^6/5040 = 2e-16) and keep every derivative finite."""


def rotation_matrix(axis_angle: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Rotation matrices of axis-angle vectors by Rodrigues' formula.

    axis_angle: radians, [*B, 3]. Differentiable everywhere, any number of times, zero included: there
    R = I + sin(t)/t K + (1 - cos t)/t^2 K^2 is taken from its power series. The reference implementation adds 1e-8 to
    the vector before its norm to avoid 0/0; that shift is below fp32 resolution of the result and is not repeated.
    """
    axis_angle = jnp.asarray(axis_angle)
    squared = jnp.sum(axis_angle * axis_angle, axis=-1)
    small = squared < SMALL_ANGLE_SQUARED
    # The unused branch must stay finite too, or its NaN leaks into the gradient of the used one.
    angle = jnp.sqrt(jnp.where(small, 1.0, squared))
    first = jnp.where(small, 1 - squared / 6 + squared**2 / 120, jnp.sin(angle) / angle)
    # 1 - cos t as 2 sin^2(t/2): no cancellation.
    second = jnp.where(small, 0.5 - squared / 24 + squared**2 / 720, 2 * (jnp.sin(angle / 2) / angle) ** 2)
    x, y, z = axis_angle[..., 0], axis_angle[..., 1], axis_angle[..., 2]
    zero = jnp.zeros_like(x)
    cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    # K^2 = v v^T - |v|^2 I
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    identity = jnp.eye(3, dtype=axis_angle.dtype)
    square = outer - squared[..., None, None] * identity
    return identity + first[..., None, None] * cross + second[..., None, None] * square


def yaw_degrees(rotation: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch"]:
    """Turn about the vertical axis in degrees, positive when the face turns to the subject's left (+x).

    The angle is the y angle of the x-y-z Euler decomposition, so within [-90, 90].
    """
    across = jnp.sqrt(rotation[..., 0, 0] ** 2 + rotation[..., 1, 0] ** 2)
    return jnp.degrees(jnp.arctan2(-rotation[..., 2, 0], across))

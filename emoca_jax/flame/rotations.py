"""Rotations: axis-angle at the surface, matrices inside."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments, to_rank

SMALL_ANGLE_SQUARED = 1e-4
"""Below this theta^2 the series are exact to fp32 (next term theta^6/5040 = 2e-16) and keep every derivative finite."""


@checks_arguments
def rotation_matrix(axis_angle: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Rotation matrices of axis-angle vectors by Rodrigues' formula.

    axis_angle: radians, [*B, 3]. Differentiable everywhere, any number of times, zero included: there
    R = I + sin(t)/t K + (1 - cos t)/t^2 K^2 is taken from its power series. The reference implementation adds 1e-8 to
    the vector before its norm to avoid 0/0; that shift is below fp32 resolution of the result and is not repeated.
    """
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
    identity = to_rank(jnp.eye(3, dtype=axis_angle.dtype), cross.ndim)
    square = outer - squared[..., None, None] * identity
    return identity + first[..., None, None] * cross + second[..., None, None] * square


@checks_arguments
def yaw_degrees(rotation: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch"]:
    """Turn about the vertical axis in degrees, positive when the face turns to the subject's left (+x).

    The angle is the y angle of the x-y-z Euler decomposition, so within [-90, 90].
    """
    across = jnp.sqrt(rotation[..., 0, 0] ** 2 + rotation[..., 1, 0] ** 2)
    return jnp.degrees(jnp.arctan2(-rotation[..., 2, 0], across))


@checks_arguments
def matrix_from_euler(angles: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Rotation matrices R = Rx Ry Rz of angles about x, y and z in radians (the official code's Euler convention)."""
    return _matrix_from_quaternion(quaternion_from_euler(angles))


@checks_arguments
def axis_angle_from_euler(angles: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    """Axis-angle vectors of R = Rx Ry Rz; all angles in radians."""
    return _axis_angle_from_quaternion(quaternion_from_euler(angles))


@checks_arguments
def axis_angle_from_matrix(rotation: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3"]:
    """Axis-angle vectors of rotation matrices, angle in [0, pi] radians; at pi either of the two opposite axes."""
    # Four times the squares and products of the quaternion's components, each row of them times one component.
    xx, yy, zz = (rotation[..., i, i] for i in range(3))
    wx, wy, wz = (rotation[..., (i + 2) % 3, (i + 1) % 3] - rotation[..., (i + 1) % 3, (i + 2) % 3] for i in range(3))
    xy, yz, zx = (rotation[..., i, (i + 1) % 3] + rotation[..., (i + 1) % 3, i] for i in range(3))
    ww = 1 + xx + yy + zz
    rows = [
        [ww, wx, wy, wz],
        [wx, 1 + xx - yy - zz, xy, zx],
        [wy, xy, 1 - xx + yy - zz, yz],
        [wz, zx, yz, 1 - xx - yy + zz],
    ]
    table = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    # The row of the largest component loses no digits.
    largest = jnp.argmax(jnp.diagonal(table, axis1=-2, axis2=-1), axis=-1)
    chosen = jnp.take_along_axis(table, largest[..., None, None], axis=-2)[..., 0, :]
    return _axis_angle_from_quaternion(chosen / jnp.linalg.norm(chosen, axis=-1, keepdims=True))


@checks_arguments
def quaternion_from_euler(angles: Float[Array, "*batch 3"]) -> Float[Array, "*batch 4"]:
    """Unit quaternions (w, x, y, z) of R = Rx Ry Rz; angles about x, y and z in radians."""
    cosine, sine = jnp.cos(angles / 2), jnp.sin(angles / 2)
    cx, cy, cz = (cosine[..., i] for i in range(3))
    sx, sy, sz = (sine[..., i] for i in range(3))
    return jnp.stack(
        [
            cx * cy * cz - sx * sy * sz,
            sx * cy * cz + cx * sy * sz,
            cx * sy * cz - sx * cy * sz,
            cx * cy * sz + sx * sy * cz,
        ],
        axis=-1,
    )


def _matrix_from_quaternion(quaternion: Float[Array, "*batch 4"]) -> Float[Array, "*batch 3 3"]:
    w, vector = quaternion[..., 0, None, None], quaternion[..., 1:]
    x, y, z = (vector[..., i] for i in range(3))
    zero = jnp.zeros_like(x)
    cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    identity = to_rank(jnp.eye(3, dtype=quaternion.dtype), cross.ndim)
    outer = vector[..., :, None] * vector[..., None, :]
    squared = jnp.sum(vector * vector, axis=-1)[..., None, None]
    return identity + 2 * (w * cross + outer - squared * identity)


def _axis_angle_from_quaternion(quaternion: Float[Array, "*batch 4"]) -> Float[Array, "*batch 3"]:
    # Both signs are one rotation: the one with w >= 0 turns by at most pi.
    quaternion = jnp.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, vector = quaternion[..., :1], quaternion[..., 1:]
    squared = jnp.sum(vector * vector, axis=-1, keepdims=True)
    small = squared < SMALL_ANGLE_SQUARED / 4
    sine = jnp.sqrt(jnp.where(small, 1.0, squared))
    # 2 asin(s) / s from its series, where w is all but 1.
    factor = jnp.where(small, 2 + squared / 3 + 3 * squared**2 / 20, 2 * jnp.arctan2(sine, w) / sine)
    return vector * factor

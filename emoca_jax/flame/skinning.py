"""Codes to vertices: linear blend shapes, pose correctives, linear blend skinning (FLAME, Li et al. 2017)."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray, checks_arguments, to_one_rank, to_rank
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.flame.rotations import rotation_matrix
from emoca_jax.products import precise_einsum, precise_matmul


class FlameOutput(struct.PyTreeNode):
    """A posed head in world frame (metres, x to the subject's left, y up, z to the viewer)."""

    vertices: Float[AnyArray, "*batch vertices 3"]
    joints: Float[AnyArray, "*batch joints 3"]
    """Posed joint positions, in the head's joint order."""
    rotations: Float[AnyArray, "*batch joints 3 3"]
    """World rotation of each joint: product of the local rotations from the root down to it."""


@checks_arguments
def forward(
    head: FaceHead,
    shape: Float[Array, "*#batch shapes"],
    expression: Float[Array, "*#batch expressions"],
    pose: Float[Array, "*#batch joints 3"],
) -> FlameOutput:
    """Pose the head for the given codes; pure, differentiable everywhere in every argument.

    shape: identity code [*B, S]; expression: [*B, E]; pose: local axis-angle per joint in radians [*B, J, 3], in the
    head's joint order (global, neck, jaw, left eye, right eye). Batch dimensions broadcast against each other; joints
    are regressed from the unposed face *with* its expression, as FLAME does.
    Errors: InputError where a code does not fit the head or the batch dimensions do not broadcast.
    """
    _check_codes(head, shape, expression, pose)
    unposed = unposed_vertices(head, shape, expression)
    rest_joints = precise_einsum("jv,...vk->...jk", head.joint_regressor, unposed)
    local = rotation_matrix(pose)
    if head.pose_dirs.shape[-1]:
        identity = to_rank(jnp.eye(3, dtype=local.dtype), local.ndim)
        bend = (local[..., 1:, :, :] - identity).reshape(*local.shape[:-3], -1)
        unposed = _sum(unposed, _blend(head.pose_dirs, bend))
    batch = jnp.broadcast_shapes(unposed.shape[:-2], local.shape[:-3])
    local = jnp.broadcast_to(local, (*batch, *local.shape[-3:]))
    joints, rotations = _walk_skeleton(head.parents, rest_joints, local)
    return FlameOutput(_skin(head, unposed, rest_joints, joints, rotations), joints, rotations)


@checks_arguments
def unposed_vertices(
    head: FaceHead, shape: Float[Array, "*#batch shapes"], expression: Float[Array, "*#batch expressions"]
) -> Float[Array, "*batch vertices 3"]:
    """Template plus identity and expression, before any joint turns: metres, [*B, V, 3].

    Batch dimensions broadcast. Differentiable.
    """
    return _sum(_sum(head.template, _blend(head.shape_dirs, shape)), _blend(head.expression_dirs, expression))


def _sum(one: AnyArray, other: Array) -> Array:
    one, other = to_one_rank(one, other)
    return one + other


def _blend(directions: AnyArray, code: Array) -> Array:
    return precise_einsum("vkc,...c->...vk", directions, code)


def _walk_skeleton(parents: tuple[int, ...], rest_joints: Array, local: Array) -> tuple[Array, Array]:
    """Posed joint positions and world rotations; parents come before their children."""
    positions, rotations = [rest_joints[..., 0, :]], [local[..., 0, :, :]]
    for joint, parent in enumerate(parents[1:], start=1):
        bone = rest_joints[..., joint, :] - rest_joints[..., parent, :]
        positions.append(_sum(positions[parent], _rotate(rotations[parent], bone)))
        rotations.append(precise_matmul(rotations[parent], local[..., joint, :, :]))
    positions = jnp.broadcast_arrays(*positions)
    return jnp.stack(positions, axis=-2), jnp.stack(rotations, axis=-3)


def _rotate(rotation: Array, vector: Array) -> Array:
    return precise_einsum("...kl,...l->...k", rotation, vector)


def _skin(head: FaceHead, unposed: Array, rest_joints: Array, joints: Array, rotations: Array) -> Array:
    """Each vertex by the weighted mean of its joints' rigid motions."""
    shifts = joints - _rotate(rotations, rest_joints)
    motions = jnp.concatenate([rotations, shifts[..., None]], axis=-1)
    per_vertex = precise_einsum("vj,...jkl->...vkl", head.skin_weights, motions)
    return _rotate(per_vertex[..., :3], unposed) + per_vertex[..., 3]


def _check_codes(head: FaceHead, shape: Array, expression: Array, pose: Array) -> None:
    for name, found, expected in (
        ("shape code", shape.shape[-1:], head.shape_dirs.shape[-1:]),
        ("expression code", expression.shape[-1:], head.expression_dirs.shape[-1:]),
        ("pose", pose.shape[-2:], (len(head.parents), 3)),
    ):
        if found != expected:
            raise InputError(
                f"The {name} ends in dimensions {found}, but the head {head.name!r} takes {expected}: "
                "pass codes made for this head."
            )

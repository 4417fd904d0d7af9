"""The posed head: vertices, landmarks, joints and gradients of twelve cases."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax import flame
from parity.assets import Assets
from parity.golden import EXACT, Comparison, Golden, Tolerance

METRES = Tolerance(absolute=1e-6)
GRADIENT = Tolerance(relative=1e-4)
NO_EYES_CASE, NO_EXPRESSION_CASE = 11, 1


def full_pose(pose: jnp.ndarray, eyes: jnp.ndarray) -> jnp.ndarray:
    """(global, jaw) [B, 6] and (left eye, right eye) [B, 6] -> [B, 5, 3]; the neck rests."""
    rest = jnp.zeros_like(pose[..., :3])
    return jnp.stack([pose[..., :3], rest, pose[..., 3:], eyes[..., :3], eyes[..., 3:]], axis=-2)


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    names = ("shape", "exp", "pose", "eye_pose")
    yield from golden.inputs(*names)
    shape, expression, pose, eyes = (jnp.asarray(golden[name]) for name in names)
    head = assets.head
    forward = jax.jit(flame.forward)
    posed = forward(head, shape, expression, full_pose(pose, eyes))
    contour = flame.contour_at(head, posed.rotations[:, 1])
    for name, found in (
        ("verts", posed.vertices),
        ("joints", posed.joints),
        ("landmarks2d", flame.landmarks68(head, posed)),
        ("landmarks3d", flame.landmarks68_fixed(head, posed.vertices)),
        ("landmarks_mediapipe", flame.landmarks_mediapipe(head, posed.vertices)),
        ("dyn_bary", contour.barycentric),
    ):
        yield from golden.check(name, found, METRES)
    yield from golden.check("dyn_faces_idx", contour.face_index, EXACT)
    checksum = np.sum(np.asarray(head.faces, np.int64) * [1, 2, 3])
    yield from golden.check("faces_tensor__checksum", np.array([checksum]), EXACT, "sum of corner times 1, 2, 3")

    resting = slice(NO_EYES_CASE, NO_EYES_CASE + 1)
    pose_only = full_pose(pose[resting], jnp.zeros_like(eyes[resting]))
    yield from golden.check(
        "verts_default_eye", forward(head, shape[resting], expression[resting], pose_only).vertices, METRES
    )
    neutral = slice(NO_EXPRESSION_CASE, NO_EXPRESSION_CASE + 1)
    found = forward(head, shape[neutral], jnp.zeros_like(expression[neutral]), full_pose(pose[neutral], eyes[neutral]))
    yield from golden.check("verts_no_expr", found.vertices, METRES)

    weights = [assets.weights(f"flame.{w}", golden[name].shape) for w, name in (("W", "verts"), ("W2", "landmarks2d"))]

    def weighted_sum(shape, expression, pose, eyes, head):
        output = flame.forward(head, shape, expression, full_pose(pose, eyes))
        return jnp.sum(output.vertices * weights[0]) + jnp.sum(flame.landmarks68(head, output) * weights[1])

    gradients = jax.jit(jax.grad(weighted_sum, argnums=(0, 1, 2, 3)))(shape, expression, pose, eyes, head)
    for name, gradient in zip(("shape", "exp", "pose", "eye"), gradients, strict=True):
        yield from golden.check(f"grad_{name}", gradient, GRADIENT)

"""The head's joints as bones that animators can take hold of: named, with ends, resting along themselves."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from emoca_jax import flame
from emoca_jax.export.rig.naming import Naming
from emoca_jax.flame.head import FaceHead

NECK, HEAD, JAW, EYES = 0, 1, 2, (3, 4)
"""The joints that every head has, in its order."""
CHIN = 8
"""Of the 68 landmarks."""
SHORTEST = 5e-3
"""Metres: below 4 mm Blender takes a bone for none."""
MOSTLY = 0.5
"""Of a vertex' skin weight: it belongs to that joint."""


class Bone(NamedTuple):
    """A joint at rest, and how the photo turns it."""

    name: str
    parent: int
    """Number of another bone, or -1."""
    place: Float[np.ndarray, "3"]
    """Metres, in the file's frame."""
    rest: Float[np.ndarray, "3 3"]
    """World rotation at rest: takes the bone's own axes to the world's."""
    turn: Float[np.ndarray, "3 3"]
    """How far the photo turns it from rest against its parent, in world axes."""


def skeleton(
    head: FaceHead,
    neutral: Float[np.ndarray, "vertices 3"],
    joints: Float[np.ndarray, "joints 3"],
    rotations: Float[np.ndarray, "joints 3"],
    naming: Naming,
) -> list[Bone]:
    """The head's joints in its own order, which skin weights count by, then those that only shape the skeleton.

    neutral: the person at rest, metres; joints: where its joints lie; rotations: axis-angle of the photo.
    """
    tails = _tails(head, neutral, joints)
    turns = Rotation.from_rotvec(np.asarray(rotations, float)).as_matrix()
    rests = [along(tail - place) if naming.pointing else np.eye(3) for tail, place in zip(tails, joints, strict=True)]
    bones = [
        Bone(name, parent, np.asarray(joints[joint], float), rests[joint], turns[joint])
        for joint, (name, parent) in enumerate(zip(naming.joints, head.parents, strict=True))
    ]
    if naming.face is not None:
        inside = [joint for joint, parent in enumerate(head.parents) if parent == HEAD]
        rest = along(joints[inside].mean(0) - joints[HEAD])
        for joint in inside:
            bones[joint] = bones[joint]._replace(parent=len(bones))
        bones.append(Bone(naming.face, HEAD, bones[HEAD].place, rest, np.eye(3)))
    for joint, name in enumerate(naming.joints):
        if name in naming.ends:
            bones.append(Bone(naming.ends[name], joint, tails[joint], bones[joint].rest, np.eye(3)))
    return bones


def along(direction: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """The shortest turn that takes +y to a direction; none where it has no length."""
    length = np.linalg.norm(direction)
    if length == 0:
        return np.eye(3)
    x, y, z = direction / length
    # Half way between y and the direction; straight down, any axis across will do.
    quaternion = [z, 0, -x, 1 + y] if 1 + y > 1e-9 else [1, 0, 0, 0]
    return Rotation.from_quat(quaternion).as_matrix()


def local_transforms(
    bones: list[Bone], *, posed: bool
) -> tuple[Float[np.ndarray, "bones 3"], Float[np.ndarray, "bones 4"]]:
    """Translation and unit quaternion (x, y, z, w) of each bone in its parent's axes, at rest or as in the photo."""
    none = Bone("", -1, np.zeros(3), np.eye(3), np.eye(3))
    above = [bones[bone.parent] if bone.parent >= 0 else none for bone in bones]
    turn = [bone.turn if posed else np.eye(3) for bone in bones]
    shift = [up.rest.T @ (bone.place - up.place) for bone, up in zip(bones, above, strict=True)]
    rotation = [up.rest.T @ step @ bone.rest for bone, up, step in zip(bones, above, turn, strict=True)]
    return np.stack(shift), Rotation.from_matrix(np.stack(rotation)).as_quat(canonical=True)


def rest_transforms(bones: list[Bone]) -> Float[np.ndarray, "bones 4 4"]:
    """Bone to world at rest, columns as vectors."""
    world = np.tile(np.eye(4), (len(bones), 1, 1))
    world[:, :3, :3] = [bone.rest for bone in bones]
    world[:, :3, 3] = [bone.place for bone in bones]
    return world


def _tails(
    head: FaceHead, neutral: Float[np.ndarray, "vertices 3"], joints: Float[np.ndarray, "joints 3"]
) -> list[Float[np.ndarray, "3"]]:
    """Where each joint's bone goes: neck to head, head to crown, jaw to chin, eyes straight ahead to their front."""
    weights = np.asarray(head.skin_weights)
    tails = [
        joints[HEAD],
        _ahead(joints[HEAD], 1, neutral),
        np.asarray(flame.landmarks68_fixed(head, jnp.asarray(neutral)))[CHIN],
    ]
    tails += [_ahead(joints[eye], 2, neutral[weights[:, eye] > MOSTLY]) for eye in EYES]
    return [np.asarray(tail, float) for tail in tails]


def _ahead(place: Float[np.ndarray, "3"], axis: int, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "3"]:
    """From a joint along an axis as far as the points reach."""
    reach = points[:, axis].max() - place[axis] if len(points) else 0.0
    return np.asarray(place, float) + max(float(reach), SHORTEST) * np.eye(3)[axis]

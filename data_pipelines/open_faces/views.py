"""One person of the open faces seen from chosen sides: what shape and pose of a reconstruction are measured on."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from data_pipelines.open_faces.recipe import FACE_CENTRE, FACE_HEIGHT, FACES_PER_PERSON, Recipe, recipe
from data_pipelines.open_faces.scenery import FAR_AWAY
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead

MARGIN = 2.2
"""Side of the picture over the height of the face: a profile's whole skull is in it."""
NOD, TILT = 10.0, 8.0
"""Degrees of pitch and roll beyond which the dataset's own are cut: the view's yaw is what is asked for."""


def view_from(head: FaceHead, seed: int, person: int, view: int, yaw: float) -> Recipe:
    """The recipe of a person's face `view` (0 to 7, each another expression, light, lens and camera), turned by `yaw`
    degrees (as `flame.rotations.yaw_degrees` counts), to the subject's left where positive, nothing held before it.

    Errors: InputError for a view beyond those.
    """
    if not 0 <= view < FACES_PER_PERSON:
        raise InputError(f"A person has views 0 to {FACES_PER_PERSON - 1}, not {view}.")
    tones = () if head.albedo is None else tuple(head.albedo.names)
    number = person * FACES_PER_PERSON + view
    found = recipe(head.expression_names, head.shape_dirs.shape[-1], tones, seed, number).recipe
    codes, scene = found.codes, found.scene
    pitch, _, roll = Rotation.from_rotvec(np.asarray(codes.pose[0])).as_euler("xyz", degrees=True)
    turn = Rotation.from_euler("xyz", [np.clip(pitch, -NOD, NOD), yaw, np.clip(roll, -TILT, TILT)], degrees=True)
    middle = turn.apply(FACE_CENTRE)
    camera = np.array([2 / (FACE_HEIGHT * MARGIN), *-middle[:2]], np.float32)
    # A neck at rest: yaw is the head's alone.
    pose = np.stack([turn.as_rotvec(), np.zeros(3)]).astype(np.float32)
    away = np.full_like(scene.capsules, FAR_AWAY)
    away[:, 4] = 0.01
    return found.replace(codes=codes.replace(pose=pose, camera=camera), scene=scene.replace(capsules=away))

"""Landmarks of open faces without drawing them: as a lens sees the head, and about where the detector finds them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from data_pipelines.open_faces.draw import iris_vertices, project
from data_pipelines.open_faces.emotions import CLASSES, show
from data_pipelines.open_faces.recipe import recipe
from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.flame.head import FaceHead, LandmarkEmbedding, LandmarkLag
from emoca_jax.flame.subset import point_head
from emoca_jax.mediapipe_points import ALL_POINTS, MESH_POINTS
from emoca_jax.model import pose
from emoca_jax.products import precise_einsum

AT_ONCE = 512
"""Faces posed by one call."""
EXPRESSIONS = 5
"""Faces of one person, pose and lens: the dataset's own, then in turn with a few units and with those of a class."""
PLAIN_MOST = 3
"""Units of the former, at most: each unit alone is seen at every strength."""


class Projected(NamedTuple):
    """Faces as landmarks."""

    points: Float[np.ndarray, "faces 478 2"]
    """In the image plane, y down."""
    units: Float[np.ndarray, "faces 52"]


def projected_faces(head: FaceHead, seed: int, count: int) -> Projected:
    """Faces 0 to `count` of the dataset `seed`, `EXPRESSIONS` in a row of each.

    Errors: ValueError for a head without MediaPipe's 468 points and their lag.
    """
    index = np.asarray(head.mediapipe_index)
    if head.landmark_lag is None or len(index) != MESH_POINTS:
        raise ValueError("landmarks are projected from a head with all of MediaPipe's points and their lag")
    tones = () if head.albedo is None else tuple(head.albedo.names)
    shapes, names = head.shape_dirs.shape[-1], head.expression_names
    random = np.random.default_rng([seed, 1])
    codes, distance = [], []
    for number in range(count):
        face = recipe(names, shapes, tones, seed, number).recipe
        for turn in range(EXPRESSIONS):
            units = face.codes.expression if turn == 0 else _other_units(turn, names, random)
            codes.append(face.codes.replace(expression=np.asarray(units, np.float32)))
            distance.append(face.distance)
    count = len(codes)
    small, embedding = _points_and_irises(head)
    # Without what turning adds, which nobody has measured for irises.
    lag = LandmarkLag(_with_irises(head.landmark_lag.offset), _with_irises(head.landmark_lag.expression))
    order = np.argsort(np.concatenate([index, np.arange(MESH_POINTS, ALL_POINTS)]))

    @jax.jit
    def seen(codes: Codes, distance: Array) -> Array:
        def one(codes: Codes, distance: Array) -> Array:
            points = flame.points_on_mesh(pose(small, codes).vertices, small.faces, embedding)
            shift = lag.offset + precise_einsum("pku,u->pk", lag.expression, codes.expression)
            points = points + precise_einsum("ij,pj->pi", flame.rotation_matrix(codes.pose[0]), shift)
            return project(points, codes.camera, distance)[:, :2]

        return jax.vmap(one)(codes, distance)

    rows = []
    for start in range(0, count, AT_ONCE):
        part = [*codes[start : start + AT_ONCE]]
        part += [part[-1]] * (AT_ONCE - len(part))
        far = np.asarray([*distance[start : start + AT_ONCE], *[distance[-1]] * AT_ONCE][:AT_ONCE], np.float32)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *part)
        rows.append(np.asarray(seen(stacked, far)))
    points = np.concatenate(rows)[:count, order]
    return Projected(points, np.stack([np.asarray(face.expression) for face in codes]))


def _other_units(turn: int, names: tuple[str, ...], random: np.random.Generator) -> np.ndarray:
    return plain_units(names, random) if turn % 2 else show(int(random.integers(len(CLASSES))), names, random).units


def plain_units(names: tuple[str, ...], random: np.random.Generator) -> Float[np.ndarray, "units"]:
    """A few units at random strengths; most often both sides together."""
    units = np.zeros(len(names), np.float32)
    for number in random.choice(len(names), int(random.integers(PLAIN_MOST + 1)), replace=False):
        strength = random.uniform(0.15, 1.0)
        units[number] = strength
        name = names[number]
        swapped = name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
        if not name.startswith(("jaw", "mouthLeft", "mouthRight")) and random.random() < 0.7:
            units[names.index(swapped)] = np.clip(strength * random.uniform(0.8, 1.2), 0, 1)
    return units


def _points_and_irises(head: FaceHead) -> tuple[FaceHead, LandmarkEmbedding]:
    """The head reduced to the mesh points in the head's order, then the ten of the irises."""
    faces = np.asarray(head.faces)
    irises = iris_vertices(head).reshape(-1)
    holder = np.array([np.flatnonzero((faces == vertex).any(1))[0] for vertex in irises])
    corner = (faces[holder] == irises[:, None]).astype(np.float32)
    base = head.landmarks_mediapipe
    return point_head(
        head,
        LandmarkEmbedding(
            face_index=jnp.asarray(np.concatenate([np.asarray(base.face_index), holder]), jnp.int32),
            barycentric=jnp.concatenate([jnp.asarray(base.barycentric), jnp.asarray(corner)]),
        ),
    )


def _with_irises(lag: Array) -> Array:
    """The lag of right and left pupil for all five points of their irises."""
    array = jnp.asarray(lag)
    return jnp.concatenate([array[:-2], jnp.repeat(array[-2:], 5, axis=0)])

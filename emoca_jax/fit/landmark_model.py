"""What a landmark fit needs of a head, and where its points are, and are found, under given codes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.files.kept_programs import kept
from emoca_jax.fit.expression_prior import ExpressionPrior, expression_prior
from emoca_jax.fit.identity_prior import BROW, MOUTH, identity_prior, part_prior
from emoca_jax.fit.lag import lagging
from emoca_jax.fit.openings import INNER_LIPS, IRIS_CENTRES
from emoca_jax.fit.outline import outline_region
from emoca_jax.flame.head import FaceHead, LandmarkEmbedding, LandmarkLag
from emoca_jax.flame.subset import point_head
from emoca_jax.mediapipe_points import BROWS, CHEEKS, LEFT_EYE_RING, LIP_RINGS, RIGHT_EYE_RING
from emoca_jax.model import pose
from emoca_jax.products import precise_matmul

FACING_START, FACING_FULL = 0.05, 0.35
"""Cosine between a landmark's normal and the viewer at which it begins to count and counts in full."""
LIDS = (*RIGHT_EYE_RING, *LEFT_EYE_RING)
EXPRESSIVE_POINTS = (*LIP_RINGS[0], *LIP_RINGS[-1], *BROWS)
"""Outer and inner line of the lips, and brows: with the lids the points that carry expression."""
EXPRESSIVE_WEIGHT = 1.5
LID_WEIGHT = 12.0
"""A closed eye is a few millimetres; with lighter lids, eyes drawn shut come out less than half closed."""
IRIS_WEIGHT = 2.0


class LandmarkModel(struct.PyTreeNode):
    """What a landmark fit needs of a head; made once per head by `landmark_model`."""

    points: FaceHead
    embedding: LandmarkEmbedding
    index: Int[Array, "points"]
    """Which of the 478 each point is."""
    weight: Float[Array, "points"]
    normals: Float[Array, "points 3"]
    """Of the template at each point."""
    prior: ExpressionPrior
    identity: Float[Array, "shapes shapes"]
    """Of `identity_prior`."""
    mouth: Float[Array, "modes shapes"]
    """Of `part_prior`: lips and chin."""
    brow: Float[Array, "brow_modes shapes"]
    """Of `part_prior`: brows and forehead."""
    lips: Int[Array, "2 pairs"]
    """Of the points: INNER_LIPS; none where a head does not have them all."""
    outlined: Float[Array, "vertices"]
    """Of the whole head's: `outline_region`."""
    lag: LandmarkLag | None = None


def landmark_model(head: FaceHead) -> LandmarkModel:
    """Reduce a head to its MediaPipe points and pupils, with weights, template normals and the expression prior."""
    embedding, index = _with_pupils(head)
    small, points = point_head(head, embedding)
    weight = np.ones(len(index), np.float32)
    weight[np.isin(index, EXPRESSIVE_POINTS)] = EXPRESSIVE_WEIGHT
    weight[np.isin(index, LIDS)] = LID_WEIGHT
    weight[np.isin(index, IRIS_CENTRES)] = IRIS_WEIGHT
    return LandmarkModel(
        points=small,
        embedding=points,
        index=jax.device_put(index.astype(np.int32)),
        weight=jax.device_put(weight),
        normals=_point_normals(head.template, head.faces, embedding),
        prior=expression_prior(head.expression_names, head.expression_dirs.shape[-1]),
        identity=jax.device_put(identity_prior(head)),
        mouth=jax.device_put(part_prior(head, MOUTH)),
        brow=jax.device_put(part_prior(head, BROW)),
        lips=jax.device_put(_places(index, INNER_LIPS)),
        outlined=jax.device_put(outline_region(head)),
        lag=head.landmark_lag,
    )


def _with_pupils(head: FaceHead) -> tuple[LandmarkEmbedding, np.ndarray]:
    """MediaPipe embedding plus the front-most vertex of each eyeball, where the head says which faces are eyes."""
    base, index = head.landmarks_mediapipe, np.asarray(head.mediapipe_index)
    if "eyes" not in head.part_names:
        return base, index
    faces, template = np.asarray(head.faces), np.asarray(head.template)
    eye_faces = np.flatnonzero(np.asarray(head.face_part) == head.part_names.index("eyes"))
    face_index, barycentric = [], []
    for sign in (-1, 1):
        side = eye_faces[sign * template[faces[eye_faces], 0].mean(1) > 0]
        face, corner = np.unravel_index(np.argmax(template[faces[side], 2]), (len(side), 3))
        face_index.append(side[face])
        barycentric.append(np.eye(3, dtype=np.float32)[corner])
    embedding = LandmarkEmbedding(
        face_index=jax.device_put(np.concatenate([base.face_index, np.array(face_index, np.int32)])),
        barycentric=jax.device_put(np.concatenate([base.barycentric, np.stack(barycentric)])),
    )
    return embedding, np.concatenate([index, IRIS_CENTRES])


def _places(index: np.ndarray, lines: tuple[tuple[int, ...], tuple[int, ...]]) -> np.ndarray:
    place = {int(point): row for row, point in enumerate(index)}
    known = all(point in place for line in lines for point in line)
    return np.array([[place[point] for point in line] for line in lines] if known else [[], []], np.int32)


@kept()
def _point_normals(template: jax.Array, faces: jax.Array, embedding: LandmarkEmbedding) -> jax.Array:
    at_points = flame.points_on_mesh(render.vertex_normals(template, faces), faces, embedding)
    return at_points / jnp.linalg.norm(at_points, axis=-1, keepdims=True)


def face_width(landmarks: Float[Array, "*batch 478 3"]) -> Float[Array, "*batch"]:
    """3D distance between the outermost cheek points, in the landmarks' own unit."""
    first, second = CHEEKS
    return jnp.linalg.norm(landmarks[..., first, :] - landmarks[..., second, :], axis=-1)


def facing(model: LandmarkModel, rotation: Float[Array, "3 3"]) -> Float[Array, "points"]:
    """How much each point faces the viewer under a head rotation: 0 turned away, 1 in full view."""
    towards = precise_matmul(model.normals, rotation[2])
    return jnp.clip((towards - FACING_START) / (FACING_FULL - FACING_START), 0.0, 1.0)


def visible_points(model: LandmarkModel, codes: Codes) -> Bool[Array, "points"]:
    """Points that face the viewer at all under the fitted head rotation."""
    return facing(model, flame.rotation_matrix(codes.pose[0])) > 0


def project(model: LandmarkModel, codes: Codes) -> Float[Array, "*batch points 3"]:
    """The model's points in the image plane, depth growing away, where the landmark network would find them."""
    return render.weak_perspective(found_points(model, codes), codes.camera)


def found_points(model: LandmarkModel, codes: Codes) -> Float[Array, "*batch points 3"]:
    """The model's points in the world where the landmark network would find them, metres."""
    return lagging(model.lag, codes, points_of(model, codes))


def points_of(model: LandmarkModel, codes: Codes) -> Float[Array, "*batch points 3"]:
    """Where the points are, metres."""
    return flame.points_on_mesh(pose(model.points, codes).vertices, model.points.faces, model.embedding)

"""What identity costs a fit: little where points slide along the skin, more where the skin itself goes elsewhere, and
most at mouths and raised brows, which move by themselves, and for noses that come forward, which nobody sees.

Landmarks say less of a head than they seem to: of drawn people's, half of what is found beside the average face is the
network's own error, mostly along the skin, which a prior of deviations alone lets bend noses and blow up skulls.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from emoca_jax.flame.head import FaceHead
from emoca_jax.mediapipe_points import BROWS, CHIN_SKIN, FOREHEAD_SKIN, LIP_RINGS, NOSE

SHAPE_WEIGHT = 0.1
"""Per standard deviation of an identity code."""
SURFACE_WEIGHT = 2.0
"""Per millimetre, RMS over the face, and again over the rest of the skin, that it moves along its normals. Chosen with
SHAPE_WEIGHT on 12 drawn people (benchmarks/head_shape.py) as strong as the landmark error of real photos allows."""
NEAR = 0.012
"""Metres from the nearest of MediaPipe's points within which skin belongs to the face."""
POINTS_WEIGHT = 3.0
"""Per millimetre, RMS, that MediaPipe's points move beside each other, along the skin, too: less of what they seem to
tell of that is true than of where the skin is. As strong as landmarks of real photos allow; chosen with the weight of
their depth on 24 drawn people (docs/open-head.md, "Depth and noses")."""
NOSE_WEIGHT = 2.0
"""Per millimetre, RMS, that the nose comes forward beside the rest of the points, of which they say next to nothing:
what is found of it is hardly correlated with the truth. Of exact points a part stays (docs/open-head.md, "Depth and
noses"): with 10 every nose is the average head's."""
PER_METRE = 1000.0
MODES = 32
"""Ways in which identity moves a part of the face that are told apart; of the open head's they hold 99 % of the squares
and more."""
MOUTH = (*CHIN_SKIN, *sum(LIP_RINGS, ()))
BROW = (*BROWS, *FOREHEAD_SKIN)


def identity_prior(head: FaceHead) -> Float[np.ndarray, "shapes shapes"]:
    """Rows whose products with an identity code are the prior's residuals."""
    faces = np.asarray(head.faces)
    skin = faces[np.asarray(head.face_part) == head.part_names.index("skin")] if "skin" in head.part_names else faces
    template = np.asarray(head.template, np.float64)
    corners = template[skin]
    # Twice the area of a face, along its normal.
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals, area = np.zeros_like(template), np.zeros(len(template))
    for corner in range(3):
        np.add.at(normals, skin[:, corner], across)
        np.add.at(area, skin[:, corner], np.linalg.norm(across, axis=1))
    used = np.unique(skin)
    normals, area = normals[used], area[used]
    # Where faces have no area, or cancel each other, nothing is known of how the skin moves.
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    moved = PER_METRE * np.einsum("vc,vcs->vs", normals, np.asarray(head.shape_dirs, np.float64)[used])
    near = KDTree(points_of_template(head)).query(template[used])[0] < NEAR
    square = SHAPE_WEIGHT**2 * np.eye(moved.shape[1])
    for part in (near, ~near):
        square += SURFACE_WEIGHT**2 * (moved[part].T * (area[part] / area[part].sum())) @ moved[part]
    points = PER_METRE * _at_points(head, np.asarray(head.shape_dirs, np.float64))
    if len(points):
        beside = (points - points.mean(axis=0)).reshape(-1, moved.shape[1])
        square += POINTS_WEIGHT**2 / len(points) * beside.T @ beside
        square += NOSE_WEIGHT**2 * _forward(head, points, NOSE)
    strength, ways = np.linalg.eigh(square)
    return (ways * np.sqrt(strength)).T.astype(np.float32)


def _forward(
    head: FaceHead, points: Float[np.ndarray, "points 3 shapes"], part: tuple[int, ...]
) -> Float[np.ndarray, "shapes shapes"]:
    """A quadratic form: the mean square of how far a part's points, as they move, come forward beside the others."""
    inside = np.isin(np.asarray(head.mediapipe_index), part)
    if not inside.any() or inside.all():
        return np.zeros((points.shape[-1],) * 2)
    ahead = points[inside, 2] - points[~inside, 2].mean(axis=0)
    return ahead.T @ ahead / inside.sum()


def part_prior(head: FaceHead, part: tuple[int, ...]) -> Float[np.ndarray, "modes shapes"]:
    """Rows whose products with an identity code, squared and summed up, are the mean square, mm^2, of how far a part of
    the face moves beside the rest of it; none for a head that has none of the part's points, or no others.

    part: MediaPipe's numbers of its points, such as MOUTH and BROW.
    """
    inside = np.isin(np.asarray(head.mediapipe_index), part)
    if not inside.any() or inside.all():
        return np.zeros((0, head.shape_dirs.shape[-1]), np.float32)
    moved = PER_METRE * _at_points(head, np.asarray(head.shape_dirs, np.float64))
    beside = moved[inside] - moved[~inside].mean(axis=0)
    flat = beside.reshape(-1, beside.shape[-1]) / np.sqrt(inside.sum())
    _, strength, ways = np.linalg.svd(flat, full_matrices=False)
    return (strength[:, None] * ways)[:MODES].astype(np.float32)


def points_of_template(head: FaceHead) -> Float[np.ndarray, "points 3"]:
    """MediaPipe's on the average head."""
    return _at_points(head, np.asarray(head.template, np.float64))


def _at_points(head: FaceHead, vertices: Float[np.ndarray, "vertices 3 *any"]) -> Float[np.ndarray, "points 3 *any"]:
    embedding = head.landmarks_mediapipe
    corners = vertices[np.asarray(head.faces)[np.asarray(embedding.face_index)]]
    return np.einsum("pcx...,pc->px...", corners, np.asarray(embedding.barycentric))

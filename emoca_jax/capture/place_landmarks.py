"""A face's whereabouts to its 478 landmarks: crop, ask the mesh network, crop better, ask again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Array, Float, UInt8

from emoca_jax.capture.crop import apply_transform, cut, square_crop
from emoca_jax.mediapipe_points import ALL_POINTS, OUTER_EYE_CORNERS
from emoca_jax.nets.mediapipe.batches import at_once, run_batched, view_batch
from emoca_jax.nets.mediapipe.face_mesh import MESH_SIZE
from emoca_jax.nets.mediapipe.mesh_look import look_at_faces

ROI_SCALE = 1.5
"""The crop's side over the longer side of the face's box (MediaPipe's RectTransformationCalculator)."""
MAX_YAW = np.deg2rad(50)
"""Near profile the eye corners and the outline say too little about where the crop should lie: the detector's is
kept."""
PRESENCE_LOSS = 0.1
"""A better crop may not cost more presence than this."""
MOVES = np.array([[1, 1, -1, 1], [-1, 1, 1, -1], [1, -1, 1, -1], [-1, -1, -1, 1]]) * [0.018, 0.018, 0.046, 0.063]
"""The last answer is the mean over crops moved a little, which takes out most of the network's own jitter: shifts in
parts of the crop's side, the logarithm of its scale, and radians. Over ten photos, the RMS distance to the mean over 64
crops is 1.07 % of the face's width for one crop, 0.60 % for a second, 0.27 % for this."""

Landmarks = Float[np.ndarray, "478 3"]
Image = UInt8[np.ndarray, "_height _width 3"]


@dataclass(frozen=True)
class Roi:
    """A square of a photo, for the mesh network to look at."""

    centre: tuple[float, float]
    """x, y in continuous image pixels."""
    size: float
    """Side length in image pixels."""
    rotation: float
    """Radians, direction of the square's x axis in the image, positive clockwise on the screen."""


def roi_of_box(box: Float[np.ndarray, "4"], eyes: Float[np.ndarray, "2 2"]) -> Roi:
    """MediaPipe's crop for the mesh: the detection box as a square, enlarged, with the eyes (right, left) level."""
    across = eyes[1] - eyes[0]
    centre = (box[:2] + box[2:]) / 2
    size = ROI_SCALE * (box[2:] - box[:2]).max()
    return Roi((float(centre[0]), float(centre[1])), float(size), float(np.arctan2(across[1], across[0])))


def roi_of_landmarks(landmarks: Float[np.ndarray, "points 3"]) -> Roi:
    """The crop around known landmarks: their box with the eyes level, as a square, enlarged."""
    across = landmarks[OUTER_EYE_CORNERS[1]] - landmarks[OUTER_EYE_CORNERS[0]]
    rotation = np.arctan2(across[1], across[0])
    axes = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
    turned = landmarks[:, :2] @ axes
    low, high = turned.min(axis=0), turned.max(axis=0)
    centre = axes @ ((low + high) / 2)
    return Roi((float(centre[0]), float(centre[1])), float(ROI_SCALE * (high - low).max()), float(rotation))


def yaw_of_landmarks(landmarks: Float[np.ndarray, "points 3"]) -> float:
    """How far the face is turned from the viewer, by the line between the eyes: radians, 0 to pi/2."""
    across = landmarks[OUTER_EYE_CORNERS[1]] - landmarks[OUTER_EYE_CORNERS[0]]
    return float(np.arctan2(abs(across[2]), np.hypot(across[0], across[1])))


def _mesh(parameters: dict, crops: UInt8[np.ndarray, "batch 192 192 3"]) -> tuple[Array, Array]:
    return look_at_faces(parameters, crops)[:2]


def place_landmarks(
    parameters: dict, images: Sequence[Image], rois: Sequence[Roi]
) -> tuple[Float[np.ndarray, "faces 478 3"], Float[np.ndarray, "faces"]]:
    """Landmarks in image pixels (z in the same unit) and presence score of one face per (image, roi), one look each."""
    if not rois:
        return np.zeros((0, ALL_POINTS, 3), np.float32), np.zeros(0, np.float32)
    sizes = np.array([roi.size for roi in rois], np.float32)
    centres, rotations = np.array([roi.centre for roi in rois]), np.array([roi.rotation for roi in rois])
    transforms = square_crop(centres, sizes, rotations, MESH_SIZE).astype(np.float32)
    crops = at_once(partial(cut, shape=(MESH_SIZE, MESH_SIZE)), images, transforms)
    points, presence = run_batched(partial(_mesh, parameters), np.stack(crops), view_batch())
    depth = points[..., 2:] * (sizes / MESH_SIZE)[:, None, None]
    return np.concatenate([apply_transform(transforms, points[..., :2]), depth], axis=-1), presence


def refine_landmarks(
    parameters: dict,
    images: Sequence[Image],
    rois: Sequence[Roi],
    landmarks: Float[np.ndarray, "faces 478 3"],
    presence: Float[np.ndarray, "faces"],
) -> tuple[list[Landmarks], list[Roi], list[float]]:
    """Better landmarks of faces looked at once: a second look, then the mean of four more around the crop returned.

    Also returns the scatter of the four about their mean, RMS in parts of the crop's side: how much to trust it.
    """
    rois = list(rois)
    better = [_next_roi(roi, points) for roi, points in zip(rois, landmarks, strict=True)]
    second, surer = place_landmarks(parameters, images, better)
    for i, roi in enumerate(better):
        if surer[i] >= presence[i] - PRESENCE_LOSS:
            rois[i] = _next_roi(roi, second[i])
    moved = [_moved(roi, move) for roi in rois for move in MOVES]
    looks, weights = place_landmarks(parameters, [image for image in images for _ in MOVES], moved)
    looks, weights = (
        looks.reshape(len(rois), len(MOVES), *looks.shape[1:]),
        weights.reshape(len(rois), len(MOVES), 1, 1),
    )
    means: np.ndarray = (looks * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), np.finfo(np.float32).tiny)
    deviation = looks[..., :2] - means[:, None, :, :2]
    scatter = np.sqrt((deviation**2).sum(axis=-1).mean(axis=(1, 2))) / [roi.size for roi in rois]
    return list(means.astype(np.float32)), rois, [float(value) for value in scatter]


def _next_roi(roi: Roi, landmarks: Landmarks) -> Roi:
    return roi if yaw_of_landmarks(landmarks) > MAX_YAW else roi_of_landmarks(landmarks)


def _moved(roi: Roi, move: np.ndarray) -> Roi:
    right, down, scale, turn = move
    centre = (roi.centre[0] + right * roi.size, roi.centre[1] + down * roi.size)
    return Roi(centre, roi.size * float(np.exp(scale)), roi.rotation + float(turn))

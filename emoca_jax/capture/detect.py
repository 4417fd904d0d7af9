"""Photos to faces: find them at any size and angle, then place 478 points on each.

The full-range detector looks at the whole photo and at finer tiles of it, the short-range one at the whole photo. The
mesh network confirms or rejects every candidate, and a photo without a face is tried again turned by quarters. Dark
photos are brightened first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from emoca_jax.capture.crop import apply_transform
from emoca_jax.capture.detector_inputs import DetectorInput, tile_inputs, tile_side, whole_input
from emoca_jax.capture.exposure import brightened
from emoca_jax.capture.place_landmarks import (
    ROI_SCALE,
    Roi,
    place_landmarks,
    refine_landmarks,
    roi_of_box,
    yaw_of_landmarks,
)
from emoca_jax.errors import InputError
from emoca_jax.files.kept_programs import kept
from emoca_jax.nets.mediapipe.batches import run_batched, view_batch
from emoca_jax.nets.mediapipe.face_detection import (
    FULL_RANGE_SIZE,
    SHORT_RANGE_SIZE,
    FullRangeDetector,
    ShortRangeDetector,
    box_overlap,
    decode,
    full_range_anchors,
    short_range_anchors,
    weighted_non_maximum_suppression,
)
from emoca_jax.nets.weights import load_shipped_weights
from emoca_jax.products import CUBLAS

MIN_SCORE = 0.28
"""Candidates under this are dropped before the mesh network looks at them. (MediaPipe, without that second opinion,
asks for 0.5 of the short-range and 0.6 of the full-range detector.)"""
MIN_PRESENCE = 0.1
"""On the mesh network's own face score, which sees faces in cats and clocks and doubts full profiles: no more than a
first sieve."""
MAX_SCATTER_PER_SCORE = 0.025
MAX_SCATTER_PER_SCORE_IN_PROFILE = 0.035
PROFILE_YAW = np.deg2rad(50)
"""What decides: when the crop of a real face is moved a little, its landmarks move along, to 0.2 to 0.8 % of its side
(1 to 2.5 % in full profile); on what is no face, or one upside down, the network guesses anew, 2 % and more apart. The
surer the detector, the more scatter is allowed."""
CERTAIN = 0.6
"""A photo all of whose faces exceed this part of what is allowed is looked at turned as well: a face on its side can
pass for an upright one."""
LEAST_SHARE = 0.5
"""Of a doubtful face's size: a sure face of at least that comes before it where one face is asked for."""
MAX_OVERLAP = 0.4
"""Of two faces whose landmark boxes overlap more than this, the more doubtful one is a duplicate."""
PER_VIEW = 16
PER_PHOTO = 128
"""Candidates kept per view, and per photo before merging."""
Networks = dict[str, dict]
Candidate = tuple[int, float, np.ndarray]
"""Photo, score, points in its pixels: box corners, then key points."""


@dataclass(frozen=True)
class DetectedFace:
    """One face in a photo. Positions are continuous image pixels: pixel i spans i to i + 1."""

    box: Float[np.ndarray, "4"]
    """x0, y0, x1, y1 of the detector: brows to chin; may reach over the photo's edge."""
    score: float
    """The detector's, in [0, 1]."""
    presence: float
    """The mesh network's score that the crop shows a face, in [0, 1]."""
    landmarks: Float[np.ndarray, "478 3"]
    """x right, y down, z in the same unit and negative towards the viewer; 468-477 are the irises."""
    roi: Roi
    """The square the landmarks were read from."""
    scatter: float
    """Disagreement of the looks the landmarks are the mean of: RMS in parts of the roi's side; under 0.01 is good."""


def load_networks() -> Networks:
    """Parameters of the shipped detectors and mesh network, a pytree to pass to `detect_faces`."""
    return {
        "short_range": load_shipped_weights("face_detection_short_range"),
        "full_range": load_shipped_weights("face_detection_full_range"),
        "mesh": load_shipped_weights("face_mesh_attention"),
    }


def detect_faces(networks: Networks, image: UInt8[np.ndarray, "height width 3"]) -> list[DetectedFace]:
    """All faces of a photo with their 478 landmarks, largest first; empty where there is none.

    `image`: RGB of any size from 1 x 1 on, upright or turned. Errors: InputError where it is not uint8 [H, W, 3].
    """
    return detect_batch(networks, [image])[0]


def detect_largest(networks: Networks, image: UInt8[np.ndarray, "height width 3"]) -> DetectedFace | None:
    """The largest face of a photo, as `largest_face` takes it of all of them; None where there is none.

    Tiles are looked at only where they could hold a larger face: half of the time where one face fills the photo.
    Errors: as of `detect_faces`.
    """
    _check_image(image)
    image = brightened(image)
    least = tile_side(image, FULL_RANGE_SIZE)
    seen = _seen_whole(networks, [image], (0,))
    if any(np.ptp(points[:2], axis=0).max() >= least for *_, points in seen):
        (found,) = _faces_among(networks, [image], seen)
        if any(_doubt(face) <= CERTAIN and face.roi.size >= ROI_SCALE * least for face in found):
            return largest_face(found)
    (faces,) = _turned_where_doubtful(networks, [image], [*seen, *_seen_in_tiles(networks, [image], (0,))])
    return largest_face(faces) if faces else None


def detect_batch(
    networks: Networks, images: Sequence[UInt8[np.ndarray, "_height _width 3"]]
) -> list[list[DetectedFace]]:
    """`detect_faces` for several photos of any sizes; their views and crops share the networks' batches."""
    for image in images:
        _check_image(image)
    images = [brightened(image) for image in images]
    return _turned_where_doubtful(networks, images, _seen(networks, images, (0,)))


def _turned_where_doubtful(
    networks: Networks, images: Sequence[np.ndarray], upright: Sequence[Candidate]
) -> list[list[DetectedFace]]:
    """The faces among candidates of upright photos, and those of photos turned by quarters where none is certain."""
    found = _faces_among(networks, images, upright)
    doubtful = [i for i, faces in enumerate(found) if not any(_doubt(face) <= CERTAIN for face in faces)]
    again = [images[i] for i in doubtful]
    turned = _faces_among(networks, again, _seen(networks, again, (1, 2, 3)))
    for i, faces in zip(doubtful, turned, strict=True):
        found[i] = _without_duplicates(found[i] + faces)
    return found


def largest_face(faces: Sequence[DetectedFace]) -> DetectedFace:
    """The largest of the faces that `detect_faces` gave; a doubtful one only if no sure one is half its size."""
    largest = max(faces, key=lambda face: face.roi.size)
    sure = [face for face in faces if _doubt(face) <= CERTAIN and face.roi.size >= LEAST_SHARE * largest.roi.size]
    return max(sure, key=lambda face: face.roi.size, default=largest)


def _check_image(image: np.ndarray) -> None:
    """Errors: InputError where faces cannot be looked for in it."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            f"Faces are found in uint8 RGB images [height, width, 3], this one is {image.dtype} {image.shape}."
        )


def _seen(networks: Networks, images: Sequence[np.ndarray], turns: Sequence[int]) -> list[Candidate]:
    return _seen_whole(networks, images, turns) + _seen_in_tiles(networks, images, turns)


def _seen_in_tiles(networks: Networks, images: Sequence[np.ndarray], turns: Sequence[int]) -> list[Candidate]:
    views = [
        (i, v) for i, image in enumerate(images) for turn in turns for v in tile_inputs(image, FULL_RANGE_SIZE, turn)
    ]
    return _candidates(_look_full_range, networks["full_range"], views)


def _seen_whole(networks: Networks, images: Sequence[np.ndarray], turns: Sequence[int]) -> list[Candidate]:
    """What both detectors take for a face in views of whole photos."""
    found: list[Candidate] = []
    for look, name, size in (
        (_look_short_range, "short_range", SHORT_RANGE_SIZE),
        (_look_full_range, "full_range", FULL_RANGE_SIZE),
    ):
        views = [(i, whole_input(image, size, turn)) for i, image in enumerate(images) for turn in turns]
        found += _candidates(look, networks[name], views)
    return found


def _faces_among(
    networks: Networks, images: Sequence[np.ndarray], seen: Sequence[Candidate]
) -> list[list[DetectedFace]]:
    """The faces of each photo among candidates of all views, of which some are the same face's."""
    boxes = [
        (i, *best) for i in range(len(images)) for best in _merge([(s, points) for j, s, points in seen if j == i])
    ]
    return _confirmed(networks["mesh"], images, boxes)


def _confirmed(
    parameters: dict, images: Sequence[np.ndarray], boxes: list[tuple[int, float, np.ndarray]]
) -> list[list[DetectedFace]]:
    """The faces of each photo among (photo, score, points): those in which the mesh network sees one, and stably."""
    rois = [roi_of_box(points[:2].reshape(4), points[2:4]) for *_, points in boxes]
    landmarks, presence = place_landmarks(parameters, [images[i] for i, *_ in boxes], rois)
    sure = [k for k in range(len(boxes)) if presence[k] >= MIN_PRESENCE]
    better, rois, scatter = refine_landmarks(
        parameters, [images[boxes[k][0]] for k in sure], [rois[k] for k in sure], landmarks[sure], presence[sure]
    )
    faces: list[list[DetectedFace]] = [[] for _ in images]
    for k, points, roi, spread in zip(sure, better, rois, scatter, strict=True):
        i, score, box = boxes[k]
        face = DetectedFace(box[:2].reshape(4), score, float(presence[k]), points, roi, spread)
        if _doubt(face) <= 1:
            faces[i].append(face)
    return [_without_duplicates(group) for group in faces]


def _doubt(face: DetectedFace) -> float:
    """Scatter of the face's landmarks in parts of what is allowed."""
    in_profile = yaw_of_landmarks(face.landmarks) > PROFILE_YAW
    limit = MAX_SCATTER_PER_SCORE_IN_PROFILE if in_profile else MAX_SCATTER_PER_SCORE
    return face.scatter / (limit * face.score)


@kept(compiler_options=CUBLAS)
def _look_short_range(parameters: dict, pixels: UInt8[Array, "batch 128 128 3"]) -> tuple[Array, Array]:
    return _strongest(ShortRangeDetector().apply(parameters, _signed(pixels)), short_range_anchors())


@kept(compiler_options=CUBLAS)
def _look_full_range(parameters: dict, pixels: UInt8[Array, "batch 192 192 3"]) -> tuple[Array, Array]:
    anchors = full_range_anchors(pixels.shape[1], pixels.shape[2])
    return _strongest(FullRangeDetector().apply(parameters, _signed(pixels)), anchors)


def _signed(pixels: Array) -> Array:
    return pixels.astype(jnp.float32) / 127.5 - 1


def _strongest(outputs: Any, anchors: np.ndarray) -> tuple[Array, Array]:
    """Scores [*, PER_VIEW] and points [*, PER_VIEW, 8, 2] of the anchors most like a face, in view pixels.

    Boxes are merged within the view first, since one face lights up many anchors.
    """
    logits, boxes = outputs
    scores, points = decode(logits, boxes, jnp.asarray(anchors))
    best, where = jax.lax.top_k(scores, 2 * PER_VIEW)
    chosen = jnp.take_along_axis(points, where[..., None, None], axis=1)
    merge = partial(weighted_non_maximum_suppression, min_score=MIN_SCORE)
    best, chosen = jax.vmap(merge)(best, chosen)
    return best[:, :PER_VIEW], chosen[:, :PER_VIEW]


_merge_across_views = jax.jit(partial(weighted_non_maximum_suppression, min_score=MIN_SCORE))


def _candidates(network: Callable, parameters: dict, views: list[tuple[int, DetectorInput]]) -> list[Candidate]:
    """Everything a detector takes for a face."""
    if not views:
        return []
    pixels = np.stack([view.pixels for _, view in views])
    scores, points = run_batched(partial(network, parameters), pixels, view_batch())
    return [
        (i, float(score), np.asarray(apply_transform(view.transform, position)))
        for (i, view), row, positions in zip(views, scores, points, strict=True)
        for score, position in zip(row, positions, strict=True)
        if score > 0
    ]


def _merge(candidates: list[tuple[float, np.ndarray]]) -> list[tuple[float, np.ndarray]]:
    """Candidates of all views of one photo with those of the same face merged, strongest first."""
    strongest = sorted(candidates, key=lambda candidate: -candidate[0])[:PER_PHOTO]
    scores, points = np.zeros(PER_PHOTO, np.float32), np.zeros((PER_PHOTO, 8, 2), np.float32)
    for row, (score, position) in enumerate(strongest):
        # Turned views have turned corners.
        box = np.stack([position[:2].min(axis=0), position[:2].max(axis=0)])
        scores[row], points[row] = score, np.concatenate([box, position[2:]])
    kept, merged = (np.asarray(value) for value in _merge_across_views(scores, points))
    return [(float(score), position) for score, position in zip(kept, merged, strict=True) if score > 0]


def _without_duplicates(faces: list[DetectedFace]) -> list[DetectedFace]:
    """The surest of each group of faces in the same place, largest first."""
    kept: list[tuple[DetectedFace, np.ndarray]] = []
    for face in sorted(faces, key=_doubt):
        extent = np.concatenate([face.landmarks[:, :2].min(axis=0), face.landmarks[:, :2].max(axis=0)])
        if all(float(box_overlap(extent, other)) <= MAX_OVERLAP for _, other in kept):
            kept.append((face, extent))
    return [face for face, _ in sorted(kept, key=lambda pair: -pair[0].roi.size)]

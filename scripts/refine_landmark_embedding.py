"""Moves the open head's 468 landmarks to where the network sees them on real faces, not on renderings of the head.

    python scripts/refine_landmark_embedding.py PHOTO_OR_FOLDER [...]

The embedding that `build_open_head.py` makes comes from renderings, and the network sees skin differently from paint:
brows, lips and jaw line end up to 3 mm off. Here the photos' faces are fitted, what every landmark misses on average is
turned into an offset on the template (mirrored faces count too, so the embedding stays symmetric), and the point moves
to the nearest surface nearby. Repeated a few times; the head file is rewritten in place. Run it after every build.
"""

from __future__ import annotations

import one_thread  # noqa: F401, before NumPy

# isort: split
import argparse
import contextlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
from head_asset import ASSET, replace_arrays, rms
from open_head.ties import first_smallest
from scipy.spatial import KDTree

from emoca_jax import flame
from emoca_jax.capture.detect import load_networks
from emoca_jax.capture.found_faces import found_faces
from emoca_jax.capture.images import find_images, read_photo
from emoca_jax.errors import InputError
from emoca_jax.fit import landmarks as fit
from emoca_jax.fit.landmark_model import face_width, facing, landmark_model, project
from emoca_jax.flame.head import FaceHead, LandmarkEmbedding
from emoca_jax.jobs.look import look
from emoca_jax.nets.emotion.open import load_expression_networks

ROUNDS = 3
RIDGE = 2.0
"""Faces' worth of belief that a point lies where it is."""
LARGEST_STEP = 0.003
"""Metres a point may move in one round."""
NEIGHBOUR_RINGS = 3
"""How far over the mesh a point may move in one round: never from one lip to the other."""

HELD = (191, 80, 81, 82, 13, 312, 311, 310, 415, 95, 88, 178, 87, 14, 317, 402, 318, 324)
"""The inner lips: the build puts them on the line where lips touch, so that a closed mouth is one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--head", type=Path, default=ASSET)
    arguments = parser.parse_args()
    head = flame.load_head(arguments.head)
    landmarks, probabilities = read_faces(find_images(arguments.photos))
    for turn in range(ROUNDS):
        offsets, error = missed(head, landmarks, probabilities)
        print(f"round {turn}: median fit error {np.median(error):.3f} % of width, offsets {rms(offsets) * 1e3:.2f} mm")
        head = head.replace(landmarks_mediapipe=moved(head, offsets))
    _, error = missed(head, landmarks, probabilities)
    print(f"after: median fit error {np.median(error):.3f} % of width, 90th percentile {np.percentile(error, 90):.3f}")
    arrays = {
        "landmarks_mediapipe.face_index": np.asarray(head.landmarks_mediapipe.face_index, np.int32),
        "landmarks_mediapipe.barycentric": np.asarray(head.landmarks_mediapipe.barycentric),
    }
    provenance = f"scripts/refine_landmark_embedding.py on {len(landmarks)} real faces"
    replace_arrays(arguments.head, arrays, {"landmark_refinement": provenance})


def read_faces(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks [N, 478, 3] in the fit plane and expression probabilities [N, 7] of each photo's largest face."""
    detector, networks = load_networks(), load_expression_networks()
    rows = []
    for path in paths:
        with contextlib.suppress(InputError):  # no face
            rows.append(look(networks, next(found_faces(detector, read_photo(path), "largest"))))
    return np.stack([row.landmarks for row in rows]), np.stack([row.read.probabilities for row in rows])


def missed(head: FaceHead, landmarks: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offset [points, 3] in metres on the template that the faces ask of each point, and each face's fit error."""
    model = landmark_model(head)
    fitted = fit.fit_landmarks(model, jnp.asarray(landmarks), jnp.asarray(probabilities), None, None).codes
    index = np.asarray(head.mediapipe_index)
    points, partner = len(index), mirror_points(head)
    normal, right = np.tile(RIDGE * np.eye(3), (points, 1, 1)), np.zeros((points, 3))
    errors = []
    for face, target in enumerate(landmarks):
        codes = jax.tree.map(lambda leaf, face=face: leaf[face], fitted)
        rotation = np.asarray(flame.rotation_matrix(codes.pose[0]))
        weight = np.asarray(facing(model, jnp.asarray(rotation)))[:points]
        distance = target[index, :2] - np.asarray(project(model, codes))[:points, :2]
        visible = weight > 0
        width = float(face_width(jnp.asarray(target)))
        errors.append(100 * np.sqrt(np.mean(np.sum(distance[visible] ** 2, axis=1))) / width)
        to_image = np.array([[1.0, 0, 0], [0, -1, 0]]) @ rotation
        for matrix, row in ((to_image, np.arange(points)), (to_image @ np.diag([-1.0, 1, 1]), partner)):
            normal[row] += weight[:, None, None] * (matrix.T @ matrix)
            right[row] += weight[:, None] * (distance / float(codes.camera[0]) @ matrix)
    return np.linalg.solve(normal, right[..., None])[..., 0], np.array(errors)


def mirror_points(head: FaceHead) -> np.ndarray:
    """Index of each landmark's partner on the other side."""
    places = _places(head)
    return np.asarray(KDTree(places).query(places * [-1, 1, 1])[1])


def moved(head: FaceHead, offsets: np.ndarray) -> LandmarkEmbedding:
    """The embedding with each point moved along the surface near it."""
    template, faces = np.asarray(head.template, np.float64), np.asarray(head.faces)
    length = np.linalg.norm(offsets, axis=1, keepdims=True)
    offsets = np.where(np.isin(np.asarray(head.mediapipe_index), HELD)[:, None], 0.0, offsets)
    wanted = _places(head) + offsets * np.minimum(1, LARGEST_STEP / np.maximum(length, 1e-12))
    face_index, barycentric = [], []
    for start, place in zip(np.asarray(head.landmarks_mediapipe.face_index), wanted, strict=True):
        near = _neighbourhood(faces, np.asarray(head.face_part), int(start))
        triangles = template[faces[near]]
        closest = trimesh.triangles.closest_point(triangles, np.repeat(place[None], len(near), axis=0))
        # A point on an edge is as near to both of its faces.
        best = first_smallest(np.linalg.norm(closest - place, axis=1))
        weights = trimesh.triangles.points_to_barycentric(triangles[best][None], closest[best][None])[0].clip(0, 1)
        face_index.append(near[best])
        barycentric.append(weights / weights.sum())
    return LandmarkEmbedding(jnp.asarray(face_index, jnp.int32), jnp.asarray(barycentric, jnp.float32))


def _places(head: FaceHead) -> np.ndarray:
    embedding = head.landmarks_mediapipe
    return np.asarray(flame.points_on_mesh(head.template, head.faces, embedding), np.float64)


def _neighbourhood(faces: np.ndarray, part: np.ndarray, start: int) -> np.ndarray:
    """Faces of the same part within NEIGHBOUR_RINGS of a face."""
    inside = np.zeros(len(faces), bool)
    inside[start] = True
    for _ in range(NEIGHBOUR_RINGS):
        inside = np.isin(faces, faces[inside]).any(axis=1)
    return np.flatnonzero(inside & (part == part[start]))


if __name__ == "__main__":
    main()

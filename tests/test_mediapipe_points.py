"""The table that leads from the 68-point markup to MediaPipe's mesh, against FLAME's own tables and two photos."""

from pathlib import Path

import numpy as np
import pytest

from emoca_jax import flame
from emoca_jax.capture.detect import detect_faces, load_networks
from emoca_jax.capture.images import read_photo
from emoca_jax.mediapipe_points import INNER_OF_68
from emoca_jax.similarity import align_similarity
from tests.shared_data import shared_path

EXAMPLES = Path(__file__).parents[1] / "examples"
NOSE = (2, 97, 326, 98, 327, 129, 358, 4, 5, 195, 0)
"""Of the points of MediaPipe's that FLAME's table names, those on and under the nose."""


def flame_points():
    """The 51 inner points of the markup, and MediaPipe's points by number, in millimetres on FLAME's template."""
    text = shared_path("reference/assets/head_template.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in text if line.startswith("v ")], float) * 1000
    faces = np.array([[c.split("/")[0] for c in line.split()[1:]] for line in text if line.startswith("f ")], int) - 1
    markup = np.load(shared_path("reference/assets/landmark_embedding.npy"), allow_pickle=True).item()
    mesh = np.load(shared_path("reference/assets/mediapipe_landmark_embedding.npz"))

    def places(index, barycentric):
        return np.einsum("lc,lck->lk", barycentric.astype(float), vertices[faces[index]])

    named = places(mesh["lmk_face_idx"], mesh["lmk_b_coords"])
    static = places(markup["static_lmk_faces_idx"], markup["static_lmk_bary_coords"])
    return static, dict(zip(mesh["landmark_indices"].tolist(), named, strict=True))


@pytest.mark.parametrize("photo", ["astronaut.jpg", "grace_hopper.jpg"])
def test_the_ends_of_the_noses_lower_edge(photo):
    """Laid over FLAME's nose, of all points of the mesh those of the table come nearest to FLAME's 31 and 35."""
    markup, named = flame_points()
    (face,) = detect_faces(load_networks(), read_photo(EXAMPLES / photo).pixels)
    found = np.asarray(face.landmarks, np.float64) * [1, -1, -1]
    laid = align_similarity(found[list(NOSE)], np.stack([named[index] for index in NOSE])).apply(found)
    for number in (31, 35):
        distance = np.linalg.norm(laid - markup[number - 17], axis=1)
        assert np.argmin(distance) == INNER_OF_68[number - 17]


def test_the_open_heads_inner_landmarks_lie_beside_those_of_its_mesh():
    head = flame.load_head("open")
    row = {index: number for number, index in enumerate(np.asarray(head.mediapipe_index).tolist())}
    mesh = np.asarray(flame.landmarks_mediapipe(head, head.template))[[row[index] for index in INNER_OF_68]]
    distance = np.linalg.norm(flame.landmarks68_fixed(head, head.template)[17:] - mesh, axis=1)
    assert distance.max() < 0.002, "metres"

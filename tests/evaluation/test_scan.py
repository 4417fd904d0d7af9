import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emoca_jax import flame
from emoca_jax.evaluation.now import STATIC_LANDMARKS
from emoca_jax.evaluation.scan import scan_to_mesh


@pytest.fixture(scope="module")
def head():
    """Vertices, faces and the seven landmarks of the open head's skin, metres."""
    head = flame.load_head("open")
    faces = np.asarray(head.faces)[np.asarray(head.face_part) == 0]
    template = np.asarray(head.template, np.float64)
    seven = np.asarray(flame.landmarks68_fixed(head, head.template), np.float64)[17:][list(STATIC_LANDMARKS)]
    return template, faces, seven


def test_a_head_moved_turned_and_in_millimetres_is_the_same_head_and_a_swollen_skull_is_told_in_the_scans_unit(head):
    template, faces, seven = head
    turn = Rotation.from_rotvec([0.4, 1.0, -0.2])
    scan, marks = (1000 * turn.apply(points) + [10, -20, 400] for points in (template, seven))
    used = np.unique(faces)
    back = template[used, 2] < -0.12
    swollen = scan[used] + 3.0 * back[:, None] * turn.apply([0, 0, -1])
    # Landmarks by hand are not where they should be; the face puts them right.
    marks += np.random.default_rng(0).normal(0, 0.5, marks.shape)
    errors = scan_to_mesh(swollen, marks, template, faces, seven)
    assert 0.1 < errors.face.mean() < 0.9 and not errors.face[back].any()
    np.testing.assert_allclose(errors.distance[~back], 0, atol=2e-3)
    # Three millimetres along the line of sight are that times a cosine along the surface's normal, at most.
    assert 2.0 < np.median(errors.distance[back]) < 3.0 + 2e-3 and errors.distance[back].max() < 3.0 + 2e-3
    np.testing.assert_allclose(errors.similarity.scale, 1000, rtol=1e-4)


def test_a_nose_too_long_is_measured_and_not_aligned_away(head):
    template, faces, seven = head
    used = np.unique(faces)
    # A bump of 4 mm, 1 cm wide, on the tip.
    tip = template[used][np.argmax(template[used, 2])]
    bump = 0.004 * np.exp(-np.sum((template - tip) ** 2, axis=1) / (2 * 0.01**2))
    errors = scan_to_mesh(1000 * template[used], 1000 * seven, template + bump[:, None] * [0, 0, 1], faces, seven)
    at_tip = np.argmin(np.linalg.norm(template[used] - tip, axis=1))
    assert 2.5 < errors.distance[at_tip] < 4.0
    assert np.median(errors.distance[errors.face]) < 0.4

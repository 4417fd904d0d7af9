"""What builds the open head picks the same of two equals however a processor rounds."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from open_head.identities import farthest_points
from open_head.surface_points import closest_on_surface
from open_head.ties import first_smallest_of_each


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_point_on_an_edge_belongs_to_the_lower_face(order):
    """The order of a face's corners changes how its distances are rounded."""
    draw = np.random.default_rng(0)
    for _ in range(20):
        corners = draw.normal(size=(4, 3))
        faces = np.array([[0, 1, 2], [2, 1, 3]])
        faces[1] = faces[1][list(order)]
        share = draw.uniform(0.1, 0.9)
        on_edge = share * corners[1] + (1 - share) * corners[2]
        found = closest_on_surface(on_edge[None], corners, faces, np.array([True, True]))
        assert found.face_index[0] == 0
        np.testing.assert_allclose(found.positions(corners, faces)[0], on_edge, atol=1e-12)


def test_of_two_mirrored_anchors_rounding_picks_none():
    draw = np.random.default_rng(0)
    half = draw.normal(size=(200, 3))
    points = np.concatenate([half, half * [-1, 1, 1]])
    picked = farthest_points(points, 60)
    for _ in range(5):
        rounded = points + draw.uniform(-3e-8, 3e-8, points.shape)
        np.testing.assert_allclose(farthest_points(rounded, 60), picked, atol=1e-6)


def test_of_equals_in_each_row_the_first_is_taken_however_they_are_rounded():
    draw = np.random.default_rng(0)
    values = draw.integers(0, 5, (50, 4, 12)).astype(float)
    expected = values.argmin(-1)
    for _ in range(5):
        rounded = values + draw.uniform(-3e-8, 3e-8, values.shape)
        np.testing.assert_array_equal(first_smallest_of_each(rounded), expected)
    assert (rounded.argmin(-1) != expected).any()

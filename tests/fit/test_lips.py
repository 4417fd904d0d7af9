"""Mouths: lips found on each other are fitted closed, however the network lags behind drawn ones; others stay open."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import flame
from emoca_jax.fit import landmarks as fit
from emoca_jax.fit.openings import INNER_LIPS, lips_closed
from emoca_jax.mediapipe_points import LOWER_LIP_LINES
from emoca_jax.model import pose
from tests.fit.test_fit import HAPPY, codes_of, detected, model

FULLER = 0.06
"""In the image plane, where the face is about 1.2 wide: 7 mm."""


def lip_gap(codes):
    """Millimetres between the lips of a head in a photo, point by point along their line."""
    kit = model().landmarks
    points = flame.points_on_mesh(pose(kit.points, codes).vertices, kit.points.faces, kit.embedding)
    upper, lower = (np.asarray(points)[np.asarray(line)] for line in kit.lips)
    return 1000 * np.linalg.norm(upper - lower, axis=-1)


def fitted(landmarks):
    found = fit.fit_landmarks(model().landmarks, landmarks, HAPPY[None], None, None).codes
    return jax.tree.map(lambda leaf: leaf[0], found)


@pytest.mark.thorough
def test_a_closed_smile_stays_closed():
    truth = codes_of(model().head, mouthSmileLeft=0.6, mouthSmileRight=0.6)
    landmarks = np.array(detected(truth))
    upper, lower = (list(line) for line in INNER_LIPS)
    middle = (landmarks[0, upper] + landmarks[0, lower]) / 2
    landmarks[0, upper], landmarks[0, lower] = middle, middle
    # As of a fuller lower lip than the average head's: what a dropped jaw would explain as well.
    landmarks[0, [point for line in LOWER_LIP_LINES[:-1] for point in line], 1] += FULLER
    assert lip_gap(truth).max() < 1
    assert lip_gap(fitted(landmarks)).max() < 1


@pytest.mark.parametrize("jaw", [0.15, 0.4])
def test_an_open_mouth_opens_as_far(jaw):
    truth = codes_of(model().head, mouthSmileLeft=0.5, mouthSmileRight=0.5, jawOpen=jaw)
    np.testing.assert_allclose(lip_gap(fitted(detected(truth))).max(), lip_gap(truth).max(), rtol=0.25)


def test_closed_is_told_by_the_opening_in_widths_of_the_mouth():
    points = np.zeros((478, 3), np.float32)
    upper, lower = (np.array(line) for line in INNER_LIPS)
    across = np.linspace(-20, 20, len(upper), dtype=np.float32)
    points[upper, 0], points[lower, 0] = across, across
    points[78, 0], points[308, 0] = -25, 25
    for height, closed in ((0, 1.0), (1.5, 1.0), (2.625, 0.5), (4, 0.0), (30, 0.0)):
        points[lower, 1] = height
        assert float(lips_closed(jnp.array(points))) == pytest.approx(closed, abs=1e-5)

"""The face detectors against LiteRT, and the steps from their answers to boxes against plain loops.

golden_open_networks.npz: recorded by scripts/record_network_goldens.py.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoca_jax.nets.mediapipe.blaze_blocks import depthwise_convolution
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

GOLDEN = Path(__file__).parent / "golden_open_networks.npz"
ANCHOR_STEP = 16
DETECTORS = {
    "short_range": (ShortRangeDetector(), SHORT_RANGE_SIZE),
    "full_range": (FullRangeDetector(), FULL_RANGE_SIZE),
}


def noise_and_face(size: int) -> np.ndarray:
    start = (192 - size) // 2
    with np.load(GOLDEN) as golden:
        face = golden["crops"][0, start : start + size, start : start + size].astype(np.float32) / 255
    return np.stack([np.random.default_rng(0).random((size, size, 3), np.float32), face])


@pytest.mark.parametrize("name", DETECTORS)
def test_compiled_detectors_answer_as_litert_does(name):
    module, size = DETECTORS[name]
    logits, boxes = jax.jit(module.apply)(load_shipped_weights(f"face_detection_{name}"), noise_and_face(size))
    with np.load(GOLDEN) as golden:
        for ours, key in ((logits[..., None], f"{name}_1"), (boxes, f"{name}_16")):
            # Measured 1.2e-6 of the scale; what fails at 3e-4 is another network.
            np.testing.assert_allclose(ours[:, ::ANCHOR_STEP], golden[key], atol=1e-5 * np.abs(golden[key]).max())


@pytest.mark.thorough
def test_compiling_changes_no_number():
    # jaxlib 0.10.2 compiles this network wrong on a CPU: off by 39.8 on a scale of 150.
    parameters, images = load_shipped_weights("face_detection_short_range"), noise_and_face(SHORT_RANGE_SIZE)
    compiled = jax.jit(ShortRangeDetector().apply)(parameters, images)
    eager: Any = ShortRangeDetector().apply(parameters, images)
    for ours, wanted in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-3)


@pytest.mark.parametrize(("size", "stride"), [(7, 1), (8, 1), (7, 2), (8, 2)])
def test_depthwise_convolution_is_xlas_grouped_one(size, stride):
    rng = np.random.default_rng(size)
    x, kernel = rng.normal(size=(2, size, size + 1, 5)), rng.normal(size=(3, 3, 5))
    expected = jax.lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=5,
    )
    np.testing.assert_allclose(depthwise_convolution(jnp.asarray(x), jnp.asarray(kernel), stride), expected, atol=1e-5)


def test_anchors_lie_at_cell_centres():
    short, full = short_range_anchors(), full_range_anchors(192, 192)
    assert short.shape == (896, 2)
    assert full.shape == (2304, 2)
    np.testing.assert_array_equal(short[[0, 1, 2, 511, 512, 517, 518]][:, 0], [4, 4, 12, 124, 8, 8, 24])
    np.testing.assert_array_equal(full[[0, 1, 48, -1]], [[2, 2], [6, 2], [2, 6], [190, 190]])


def test_decoding_adds_the_anchor_to_centre_and_key_points():
    values = np.zeros((1, 16), np.float32)
    values[0, :6] = [3, -2, 10, 20, 5, 6]
    scores, points = decode(jnp.zeros(1), jnp.asarray(values), jnp.array([[50.0, 60.0]]))
    np.testing.assert_allclose(scores, [0.5])
    np.testing.assert_allclose(points[0, :3], [[48, 48], [58, 68], [55, 66]])
    np.testing.assert_allclose(points[0, 3:], np.broadcast_to([50, 60], (5, 2)))


def test_overlap_of_known_boxes():
    unit, empty = np.array([0, 0, 2, 2.0]), np.array([1, 1, 1, 1.0])
    others = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [0, 0, 1, 1.0]])
    np.testing.assert_allclose(box_overlap(unit, others), [1, 1 / 3, 0, 1 / 4])
    assert box_overlap(empty, empty) == 0


def plain_suppression(scores, points, min_score, max_overlap):
    """The definition, as a loop over what is left."""
    left = sorted((i for i in range(len(scores)) if scores[i] >= min_score), key=lambda i: (-scores[i], i))
    kept = []
    while left:
        first = left[0]
        overlaps = box_overlap(points[first, :2].reshape(4), points[left, :2].reshape(-1, 4))
        group = [i for i, overlap in zip(left, overlaps, strict=True) if overlap > max_overlap or i == first]
        weights = scores[group] / scores[group].sum()
        kept.append((scores[first], np.tensordot(weights, points[group], axes=1)))
        left = [i for i in left if i not in group]
    return kept


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_suppression_equals_the_plain_loop(seed):
    rng = np.random.default_rng(seed)
    scores = rng.permutation(24).astype(np.float32) / 24
    points = rng.uniform(0, 30, (24, 8, 2)).astype(np.float32)
    points[:, 1] = points[:, 0] + rng.uniform(1, 20, (24, 2))
    kept, merged = (np.asarray(x) for x in _suppress(scores, points))
    expected = plain_suppression(scores, points, 0.3, 0.3)
    assert (kept > 0).sum() == len(expected)
    for score, point, (expected_score, expected_point) in zip(kept, merged, expected, strict=False):
        assert score == expected_score
        np.testing.assert_allclose(point, expected_point, rtol=1e-4, atol=1e-4)


@jax.jit
def _suppress(scores, points):
    return weighted_non_maximum_suppression(scores, points, min_score=0.3)

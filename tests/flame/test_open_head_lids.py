"""How far the open head's lids leave its eyes open: what eyeBlink, eyeSquint and eyeLookDown mean to an animator."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import flame, render

SIDE, HALF = 128, 0.025
"""Pixels of a view of the left eye and metres from its middle to its edge: .4 mm a pixel."""
UPPER, LOWER = (388, 387, 386, 385, 384), (390, 373, 374, 380, 381)
"""MediaPipe's points of the left lids, facing each other."""


@functools.cache
def near_eye():
    head = flame.load_head("open")
    faces, part, template = (np.asarray(array) for array in (head.faces, head.face_part, head.template))
    centre = template[faces].mean(1)
    near = (centre[:, 0] > 0.008) & (centre[:, 0] < 0.06) & (np.abs(centre[:, 1]) < 0.03) & (centre[:, 2] > -0.02)
    ball = np.unique(faces[part == head.part_names.index("eyes")])
    return head, faces[near], part[near] == head.part_names.index("eyes"), ball[template[ball, 0] > 0]


@jax.jit
def drawn(plane, faces):
    return render.rasterize(plane, faces, (SIDE, SIDE)).face_index


def left_eye(shape: np.ndarray, **units: float) -> tuple[float, float]:
    """Mean distance between the lids in metres, and pixels of the eyeball that a viewer in front sees."""
    head, faces, of_eye, ball = near_eye()
    code = np.zeros(len(head.expression_names), np.float32)
    for name, value in units.items():
        code[head.expression_names.index(f"{name}Left")] = value
    vertices = flame.unposed_vertices(head, jnp.asarray(shape), jnp.asarray(code))
    points = np.asarray(flame.landmarks_mediapipe(head, vertices))
    vertices = np.asarray(vertices)
    plane = (vertices - vertices[ball].mean(0)) * [1, -1, -1] / HALF
    index = np.asarray(drawn(jnp.asarray(plane, jnp.float32), jnp.asarray(faces)))
    seen = int(((index >= 0) & of_eye[index]).sum())
    return float((points[list(UPPER), 1] - points[list(LOWER), 1]).mean()), seen


def people(count: int) -> np.ndarray:
    shapes = np.random.default_rng(5).normal(size=(count, near_eye()[0].shape_dirs.shape[-1]))
    shapes[0] = 0
    return shapes.astype(np.float32)


PEOPLE = pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])


@PEOPLE
def test_a_blink_closes_the_eye_evenly(count):
    """Within a tenth of the eye's height for 19 of 20 people, within .15 for all of them."""
    off, half = [], []
    for shape in people(count):
        height, area = left_eye(shape)
        for amount in (0.25, 0.5, 0.75):
            off.append(abs(left_eye(shape, eyeBlink=amount)[0] / height - (1 - amount)))
        half.append(left_eye(shape, eyeBlink=0.5)[1] / area)
        assert left_eye(shape, eyeBlink=1.0)[1] <= 0.01 * area
    assert np.quantile(off, 0.95) < 0.1
    assert max(off) < 0.15
    assert np.quantile(half, 0.05) > 0.27 and min(half) > 0.2, "half a blink leaves so much of what is seen of the eye"
    assert max(half) < 0.55


@PEOPLE
def test_looking_down_and_squinting_do_not_shut_a_half_closed_eye(count):
    """Of all eyes but one in fifty something is left to see."""
    left = []
    for shape in people(count):
        height, area = left_eye(shape)
        low, seen = left_eye(shape, eyeBlink=0.5, eyeSquint=0.45, eyeLookDown=0.5)
        assert 0.1 < low / height < 0.4
        left.append(seen / area)
        assert 0.6 < left_eye(shape, eyeSquint=1.0)[0] / height < 0.85
        assert 0.6 < left_eye(shape, eyeLookDown=1.0)[0] / height < 0.85
    assert np.median(left) > 0.05
    assert np.quantile(left, 0.02) > 0


def test_identity_does_not_open_eyes():
    """How open eyes are is the units' to say: people at rest differ by some 3 % (standard deviation)."""
    heights = np.array([left_eye(shape)[0] for shape in people(30)])
    assert heights.std() < 0.05 * heights.mean()
    assert 0.0055 < heights.mean() < 0.0068

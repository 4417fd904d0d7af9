"""Measures how far from where they lie MediaPipe's network finds the open head's landmarks, unit by unit.

    python scripts/measure_landmark_lag.py

Random people of the open head are drawn at rest and with each expression unit at full strength, their landmarks are
found as in a photo, and the difference to the truth is averaged in the head's frame: over people, and over the face and
its mirror image, so that the lag is as symmetric as the head. What scatters more than it lags is shrunk towards zero.
The head file is rewritten in place. Run it after `build_open_head.py` and `refine_landmark_embedding.py`.
"""

from __future__ import annotations

import one_thread  # noqa: F401, before NumPy

# isort: split
import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from head_asset import ASSET, replace_arrays, rms
from rich.progress import track
from scipy.spatial import KDTree

from emoca_jax import flame, render
from emoca_jax.capture.detect import detect_faces, load_networks
from emoca_jax.codes import Codes
from emoca_jax.fit.expression_prior import stem
from emoca_jax.fit.landmark_model import LandmarkModel, landmark_model, project
from emoca_jax.fit.light import ambient_light
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import decode

SIZE = 288
"""Pixels a side of a drawing."""
CAMERA = (8.2, 0.0, 0.0)
PEOPLE = 24
SPREAD, FURTHEST = 0.8, 2.0
"""Standard deviation of identity and albedo codes, and where they end."""
TURN = (0.15, 0.25, 0.1)
"""Largest pitch, yaw and roll of a head, radians: lids and lips must be seen."""
SIDE_LIGHT = 0.15
"""Standard deviation of the light from one side, in parts of the ambient light."""
BRIGHTNESS = (0.35, 0.6)
"""Between which the median of a face lies."""
LEFT_OUT = ("tongueOut", "mouthClose")
"""Landmarks do not see the tongue, and mouthClose means nothing without jawOpen."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, default=ASSET)
    parser.add_argument("--people", type=int, default=PEOPLE)
    arguments = parser.parse_args()
    head = flame.load_head(arguments.head).replace(landmark_lag=None)
    random = np.random.default_rng(0)
    detector, model = load_networks(), landmark_model(head)
    lags = [measured(head, model, detector, random) for _ in track(range(arguments.people), "people")]
    partner = mirror_points(model)
    offset, expression = averaged(head, partner, np.stack([lag for lag in lags if lag is not None]))
    print(f"lag at rest {rms(offset) * 1e3:.2f} mm, of a unit {rms(np.moveaxis(expression, -1, 0)) * 1e3:.2f} mm (RMS)")
    arrays = {"landmark_lag.offset": offset, "landmark_lag.expression": expression}
    provenance = {"landmark_lag": f"scripts/measure_landmark_lag.py on {arguments.people} drawn people"}
    replace_arrays(arguments.head, {name: array.astype(np.float16) for name, array in arrays.items()}, provenance)


def measured(head: FaceHead, model: LandmarkModel, detector: Any, random: np.random.Generator) -> np.ndarray | None:
    """Lag of one person's points, metres [1 + units, points, 3]: at rest, and what full strength of each unit adds.

    NaN where no face is found; None where none is at rest.
    """
    person, paper = random_person(head, random), random.uniform(size=3)
    units, index = len(head.expression_names), np.asarray(model.index)
    rows = np.full((1 + units, len(index), 3), np.nan)
    for row in range(1 + units):
        codes = person.replace(expression=strength(head, row - 1))
        found = detect_faces(detector, drawn(head, codes, paper))
        if found:
            plane = 2 * found[0].landmarks[index, :2] / SIZE - 1
            true = np.asarray(project(model, codes))
            rows[row] = in_head_frame(plane - true[:, :2], codes.pose[0])
    if np.isnan(rows[0]).any():
        return None
    return np.concatenate([rows[:1], rows[1:] - rows[0]])


def random_person(head: FaceHead, random: np.random.Generator) -> Codes:
    """Identity, skin, light and a slight turn of the head, at rest; of middling brightness."""
    assert head.albedo is not None

    def normal(count: int) -> jax.Array:
        return jnp.asarray(SPREAD * random.normal(size=count).clip(-FURTHEST, FURTHEST), jnp.float32)

    light = np.array(ambient_light())
    light[1:4] += SIDE_LIGHT * np.abs(light[0]).mean() * random.normal(size=(3, 1))
    person = Codes(
        shape=normal(head.shape_dirs.shape[-1]),
        expression=strength(head, -1),
        pose=jnp.asarray([random.uniform(-1, 1, 3) * TURN, [0, 0, 0]], jnp.float32),
        jaw=jnp.zeros(3),
        eyes=jnp.zeros((2, 3)),
        camera=jnp.array(CAMERA),
        light=jnp.asarray(light),
        albedo=normal(head.albedo.basis.shape[-1]),
    )
    rendering, alpha = (np.asarray(array) for array in _draw(head, person))
    median = np.median(rendering.mean(axis=-1)[alpha > 0.5])
    return person.replace(light=person.light * random.uniform(*BRIGHTNESS) / median)


def strength(head: FaceHead, unit: int) -> jax.Array:
    """Expression code with one unit at full strength; none for -1."""
    code = np.zeros(len(head.expression_names), np.float32)
    if unit >= 0:
        code[unit] = 1
    return jnp.asarray(code)


def drawn(head: FaceHead, codes: Codes, paper: np.ndarray) -> np.ndarray:
    """A picture of the head on coloured paper, uint8 RGB."""
    rendering, alpha = _draw(head, codes)
    colour = jnp.broadcast_to(jnp.asarray(paper, jnp.float32), rendering.shape)
    return np.round(255 * np.clip(np.asarray(render.over(colour, rendering, alpha)), 0, 1)).astype(np.uint8)


@jax.jit
def _draw(head: FaceHead, codes: Codes) -> tuple[jax.Array, jax.Array]:
    decoded = decode(head, codes, (SIZE, SIZE))
    return decoded.rendering, decoded.alpha


def in_head_frame(shift: np.ndarray, axis_angle: jax.Array) -> np.ndarray:
    """The shortest shift of points in the head's frame, metres, that shows in the image plane as this one."""
    rotation = np.asarray(flame.rotation_matrix(axis_angle), np.float64)
    # Image y runs down; what the camera does not see is no lag.
    return (shift * [1, -1] / CAMERA[0]) @ rotation[:2]


def mirror_points(model: LandmarkModel) -> np.ndarray:
    """Index of each point's partner on the other side."""
    places = np.asarray(flame.points_on_mesh(model.points.template, model.points.faces, model.embedding), np.float64)
    return np.asarray(KDTree(places).query(places * [-1, 1, 1])[1])


def averaged(head: FaceHead, partner: np.ndarray, lags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over people and mirror images, [points, 3] at rest and [points, 3, units], shrunk where it is noise."""
    names = head.expression_names
    swapped = [names.index(_other_side(name)) for name in names]
    mirrored = lags[:, [0, *(1 + unit for unit in swapped)]][:, :, partner] * [-1, 1, 1]
    both = np.concatenate([lags, mirrored])
    mean = np.nanmean(both, axis=0)
    noise = np.nanvar(both, axis=0, ddof=1) / np.sum(~np.isnan(both), axis=0)
    square = np.sum(mean**2, axis=-1, keepdims=True)
    kept = np.clip(1 - np.sum(noise, axis=-1, keepdims=True) / np.maximum(square, 1e-12), 0, 1)
    mean = mean * kept
    mean[[1 + names.index(name) for name in LEFT_OUT]] = 0
    # Where all points lie together is the camera's affair.
    mean[0] -= mean[0].mean(axis=0)
    return mean[0], np.moveaxis(mean[1:], 0, -1)


def _other_side(name: str) -> str:
    side = name.removeprefix(stem(name))
    return stem(name) + {"Left": "Right", "Right": "Left"}.get(side, side)


if __name__ == "__main__":
    main()

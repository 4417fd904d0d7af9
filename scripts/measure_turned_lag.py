"""Measures how far from where they lie MediaPipe's network finds the open head's landmarks as the head turns.

    python scripts/measure_turned_lag.py [--people 80]

People of the open faces (`data_pipelines/open_faces`) are drawn turned by up to 88 degrees, each time with another
expression, light and lens, and their landmarks found as in a photo. What these miss, beyond what `landmark_lag` says of
a head seen from the front, is averaged by the turn, over the face and its mirror image. From about 60 degrees on the
network draws a face that is turned less than the one it sees, as if it knew none from the side. Pictures in which it
guesses count little. The head file is rewritten in place. Run it after `measure_landmark_lag.py`.
"""

from __future__ import annotations

import one_thread  # noqa: F401, before NumPy

# isort: split
import argparse
import sys
from pathlib import Path
from typing import Any

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np
from head_asset import ASSET, replace_arrays, rms
from jaxtyping import Float
from rich.progress import track
from scipy.spatial import KDTree

from data_pipelines.open_faces.draw import draw, project, studio
from data_pipelines.open_faces.recipe import FACES_PER_PERSON
from data_pipelines.open_faces.sensor import jpeg, opened
from data_pipelines.open_faces.views import view_from
from emoca_jax import flame
from emoca_jax.capture.detect import detect_largest, load_networks
from emoca_jax.fit.landmark_model import LandmarkModel, found_points, landmark_model
from emoca_jax.flame.head import TURN_KNOTS

SIZE = 320
"""Pixels a side of a drawing."""
PEOPLE, SEED = 80, 11
WIDEST = 88.0
"""Degrees."""
ROUNDS = 10
USUAL = 0.004
"""Metres, RMS over the points, from the mean of its turn at which a picture counts a quarter (Geman and McClure 1985):
the network guesses in a third of the profiles, centimetres away."""
BELIEF = 0.5
"""Faces' worth of belief that a turn adds nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, default=ASSET)
    parser.add_argument("--people", type=int, default=PEOPLE)
    arguments = parser.parse_args()
    head = flame.load_head(arguments.head)
    assert head.landmark_lag is not None, "measure_landmark_lag.py comes first"
    head = head.replace(landmark_lag=head.landmark_lag.replace(turn=None))
    made, detector, model = studio(head), load_networks(), landmark_model(head)
    yaws, missed = [], []
    for person in track(range(arguments.people), "people"):
        for view in range(FACES_PER_PERSON):
            random = np.random.default_rng([SEED, person, view])
            yaw = float(random.choice([-1, 1]) * random.uniform(0, WIDEST))
            found = measured(made, model, detector, person, view, yaw)
            if found is not None:
                yaws.append(yaw)
                missed.append(found)
    places = np.asarray(flame.points_on_mesh(model.points.template, model.points.faces, model.embedding), np.float64)
    partner = np.asarray(KDTree(places).query(places * [-1, 1, 1])[1])
    turn, trusted = averaged(np.array(yaws), np.stack(missed), partner)
    print(f"{len(yaws)} faces found, {trusted:.0%} of them trusted")
    for knot, lag in zip(TURN_KNOTS, turn, strict=True):
        print(f"turned by {knot:4} degrees: {rms(lag[:, :2]) * 1e3:.2f} mm in the picture, RMS")
    provenance = {"landmark_lag_turned": f"scripts/measure_turned_lag.py on {arguments.people} drawn people"}
    replace_arrays(arguments.head, {"landmark_lag.turn": turn.astype(np.float16)}, provenance)


def measured(
    made: Any, model: LandmarkModel, detector: Any, person: int, view: int, yaw: float
) -> Float[np.ndarray, "points 3"] | None:
    """What the network misses, metres in the world, its mean taken off: that is the camera's affair. None: no face."""
    recipe = view_from(made.head, SEED, person, view, yaw)
    image = np.asarray(jax.device_get(draw(made, recipe, size=SIZE)).image)
    face = detect_largest(detector, opened(jpeg(image, int(recipe.camera.quality))))
    if face is None:
        return None
    codes = recipe.codes
    scale = float(codes.camera[0])
    plane = face.landmarks[np.asarray(model.index)] * (2 / SIZE) - [1, 1, 0]
    right = np.array(project(_expected(model, codes), codes.camera, recipe.distance)) * [1, 1, scale]
    away = (plane - right) / scale * [1, -1, -1]
    return away - away.mean(axis=0)


@jax.jit
def _expected(model: LandmarkModel, codes: Any) -> jax.Array:
    return found_points(model, codes)


def averaged(
    yaws: Float[np.ndarray, "faces"], missed: Float[np.ndarray, "faces points 3"], partner: np.ndarray
) -> tuple[Float[np.ndarray, "knots points 3"], float]:
    """Lag at each of TURN_KNOTS beyond that of a frontal face, and the share of faces that were trusted."""
    sides = np.where((yaws < 0)[:, None, None], missed[:, partner] * [-1, 1, 1], missed)
    knots = np.array([knot for knot in TURN_KNOTS if knot >= 0])
    hats = np.stack([np.interp(np.abs(yaws), knots, one) for one in np.eye(len(knots))], axis=1)
    weight, means = np.ones(len(yaws)), np.zeros((len(knots), *missed.shape[1:]))
    for _ in range(ROUNDS):
        normal = (hats * weight[:, None]).T @ hats + BELIEF * np.eye(len(knots))
        right = np.einsum("fk,fpc->kpc", hats * weight[:, None], sides)
        means = np.linalg.solve(normal, right.reshape(len(knots), -1)).reshape(right.shape)
        left = sides - np.einsum("fk,kpc->fpc", hats, means)
        weight = 1 / (1 + np.mean(np.sum(left[..., :2] ** 2, axis=-1), axis=1) / USUAL**2) ** 2
    lag = means - means[:1]
    mirrored = lag[:0:-1, partner] * [-1, 1, 1]
    return np.concatenate([mirrored, lag]), float(np.mean(weight > 0.25))


if __name__ == "__main__":
    main()

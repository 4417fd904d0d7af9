"""How near a reconstruction comes to a person's head, and to how far it is turned, on drawn people:

    python benchmarks/head_shape.py [--people 20] [--seed 7] [--method landmarks]

Every person is drawn from four sides (0, 30, 60 and 85 degrees to either side), each time with another expression,
light and lens, and every picture is reconstructed as `emoca reconstruct` does. One view: the front. Three views: the
mean of the identity codes of 0, 30 and 85 degrees, of those in which a face is found, as the package fits every photo
by itself.

Errors are those of the NoW challenge (`evaluation/scan.py`), the head at rest against the true one, in millimetres:
from every point of the true skin to the reconstructed one, both laid over each other by the face alone. The parts
beyond the face are measured in the same place. The average head stands for knowing nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np
from jaxtyping import Bool, Float

import emoca_jax as ej
from data_pipelines.open_faces.draw import Studio, draw, studio
from data_pipelines.open_faces.sensor import jpeg, opened
from data_pipelines.open_faces.views import view_from
from emoca_jax import flame
from emoca_jax.errors import InputError
from emoca_jax.evaluation.now import STATIC_LANDMARKS
from emoca_jax.evaluation.scan import scan_to_mesh
from emoca_jax.flame.head import FaceHead
from emoca_jax.flame.rotations import yaw_degrees
from emoca_jax.mediapipe_points import JAW_OF_68, NOSE

SIZE = 320
"""Pixels a side of a picture: the face is 145 high."""
SIDES = (0, 30, 60, 85)
ONE, THREE = (0,), (0, 30, 85)
NEAR_NOSE, NEAR_JAW, NEAR_FACE = 0.006, 0.010, 0.012
"""Metres from a MediaPipe point of the part within which skin of the average head belongs to it."""
EARS = ((0.06, np.inf), (-0.055, 0.02), (-0.085, -0.045))
"""From the middle, up and to the front: metres of the average head between which skin beside the face is an ear."""
ABOVE, BELOW = -0.03, -0.06
"""What lies over or under these heights, and is none of the above, is skull or neck."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first person")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--method", choices=("fit", "landmarks", "encoder"), help="of `emoca reconstruct`")
    parser.add_argument("--front", action="store_true", help="one view alone, a quarter of the time")
    asked: Any = parser.parse_args()
    made, model = studio(), ej.load_model("open")
    errors: dict[str, list[dict[str, np.ndarray]]] = {}
    turned: dict[int, list[float | None]] = {side: [] for side in (SIDES[:1] if asked.front else SIDES)}
    for person in range(asked.first, asked.first + asked.people):
        signs = np.random.default_rng([asked.seed, person]).choice([-1, 1], len(SIDES))
        # A profile from the side that three quarters do not show.
        signs[SIDES.index(THREE[2])] = -signs[SIDES.index(THREE[1])]
        told: dict[int, np.ndarray] = {}
        truth = np.zeros(0)
        for view, side in enumerate(turned):
            yaw = float(signs[view] * side)
            truth, picture = drawn(made, asked.seed, person, view, yaw)
            try:
                (found,) = ej.reconstruct(model, picture, faces="largest", method=asked.method)
            except InputError:
                turned[side].append(None)
                continue
            told[side] = np.asarray(found.codes.shape)
            turned[side].append(yaw_found(np.asarray(found.codes.pose)) * (signs[view] if side else 1))
        shapes = {"average head": np.zeros_like(truth)}
        for name, sides in {"one view": ONE, "three views": () if asked.front else THREE}.items():
            if seen := [told[side] for side in sides if side in told]:
                shapes[name] = np.mean(seen, axis=0)
        for name, shape in shapes.items():
            errors.setdefault(name, []).append(error(made.head, truth, shape))
    print_errors(errors)
    print_turns(turned)


def drawn(made: Studio, seed: int, person: int, view: int, yaw: float) -> tuple[np.ndarray, np.ndarray]:
    """Who it is, and the picture as whoever opens its file sees it."""
    recipe = view_from(made.head, seed, person, view, yaw)
    image = np.asarray(jax.device_get(draw(made, recipe, size=SIZE)).image)
    return np.asarray(recipe.codes.shape), opened(jpeg(image, int(recipe.camera.quality)))


def yaw_found(pose: Float[np.ndarray, "2 3"]) -> float:
    """Degrees, positive to the subject's left; necks of fits are at rest."""
    return float(yaw_degrees(flame.rotation_matrix(pose[0])))


def error(head: FaceHead, truth: Float[np.ndarray, "shapes"], told: Float[np.ndarray, "shapes"]) -> dict[str, Any]:
    """Millimetres at every point of a part."""
    skin, faces = skin_of(head)
    true, found = (np.asarray(head.template) + np.asarray(head.shape_dirs) @ shape for shape in (truth, told))
    laid = scan_to_mesh(1000 * true[skin], 1000 * seven(head, true), found, faces, seven(head, found))
    return {"face": laid.distance[laid.face]} | {name: laid.distance[part] for name, part in parts(head).items()}


def seven(head: FaceHead, vertices: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "7 3"]:
    points = head.landmarks_static
    corners = vertices[np.asarray(head.faces)[np.asarray(points.face_index)]]
    return np.einsum("lck,lc->lk", corners, np.asarray(points.barycentric))[list(STATIC_LANDMARKS)]


def skin_of(head: FaceHead) -> tuple[np.ndarray, np.ndarray]:
    faces = np.asarray(head.faces)[np.asarray(head.face_part) == head.part_names.index("skin")]
    return np.unique(faces), faces


def parts(head: FaceHead) -> dict[str, Bool[np.ndarray, "skin"]]:
    """Which of the skin's vertices belong to what, by the average head."""
    skin = np.asarray(head.template)[skin_of(head)[0]]
    points = np.asarray(flame.landmarks_mediapipe(head, jax.numpy.asarray(head.template)))
    place = {int(point): row for row, point in enumerate(np.asarray(head.mediapipe_index))}

    def near(which: Any, distance: float) -> np.ndarray:
        to = points[[place[point] for point in which]]
        return np.linalg.norm(skin[:, None] - to[None], axis=-1).min(axis=1) < distance

    face, jaw = near(place, NEAR_FACE), near(JAW_OF_68[2:-2], NEAR_JAW)
    place_of = np.stack([np.abs(skin[:, 0]), skin[:, 1], skin[:, 2]], axis=1)
    low, high = np.array(EARS).T
    ears = np.all((place_of > low) & (place_of < high), axis=1) & ~face
    rest = ~face & ~ears & ~jaw
    return {
        "nose": near(NOSE, NEAR_NOSE),
        "jaw": jaw,
        "ears": ears,
        "skull": rest & (skin[:, 1] > ABOVE),
        "neck": rest & (skin[:, 1] < BELOW),
    }


def print_errors(errors: dict[str, list[dict[str, np.ndarray]]]) -> None:
    """All people's points together, as the challenge counts."""
    for name, people in errors.items():
        print(f"{name}, {len(people)} people: scan to mesh, mm")
        for part in people[0]:
            all_points = np.concatenate([one[part] for one in people])
            print(
                f"    {part:6} median {np.median(all_points):5.2f}  mean {all_points.mean():5.2f}  "
                f"std {all_points.std():5.2f}"
            )


def print_turns(turned: dict[int, list[float | None]]) -> None:
    """How far heads came out turned."""
    for side, found in turned.items():
        yaws = np.array([yaw for yaw in found if yaw is not None])
        told = f"yaw {yaws.mean():5.1f}, off by {np.abs(yaws - side).mean():4.1f} degrees (mean)" if len(yaws) else ""
        print(f"turned {side:2} degrees: found in {len(yaws)} of {len(found)} pictures; {told}")


if __name__ == "__main__":
    main()

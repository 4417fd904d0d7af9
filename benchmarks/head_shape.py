"""How near a reconstruction comes to a person's head, and to how far it is turned, on drawn people:

    python benchmarks/head_shape.py [--people 20] [--seed 7] [--method landmarks] [--kept FOLDER]

Every person is drawn from four sides (0, 30, 60 and 85 degrees to either side), each time with another expression,
light and lens, and every picture is fitted as `emoca reconstruct` does. One view: the front. Three views: 0, 30 and, on
the other side, 60 degrees, of those in which a face is found, each fitted by itself (the mean of the identities), and
all together (`--one-person`; an encoder has no such way).

--kept takes up pictures and the faces found in them where an earlier run was stopped, and whatever was fitted then, if
the method is the same: begin with an empty folder when the package has changed.

Errors are those of the NoW challenge (`evaluation/scan.py`), the head at rest against the true one, in millimetres:
from every point of the true skin to the reconstructed one, both laid over each other by the face alone. The parts
beyond the face are measured in the same place. The average head stands for knowing nothing.
"""

from __future__ import annotations

import argparse
import functools
import io
import sys
from collections.abc import Sequence
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
from emoca_jax.capture.found_faces import PhotoFace, found_faces
from emoca_jax.capture.images import as_photo
from emoca_jax.errors import InputError
from emoca_jax.evaluation.now import STATIC_LANDMARKS
from emoca_jax.evaluation.scan import scan_to_mesh
from emoca_jax.files.whole import write_file
from emoca_jax.flame.head import FaceHead
from emoca_jax.flame.rotations import yaw_degrees
from emoca_jax.jobs.choice import Method
from emoca_jax.jobs.look import look
from emoca_jax.jobs.one_person import PersonPhoto, codes_of_person
from emoca_jax.jobs.open_model import OpenModel, codes_by_landmarks, fit_face, head_units, picture_of
from emoca_jax.mediapipe_points import JAW_OF_68, NOSE
from emoca_jax.objectives.photo import FitWeights

SIZE = 320
"""Pixels a side of a picture: the face is 145 high."""
SIDES = (0, 30, 60, 85)
VIEW = ("truth", "picture", "landmarks", "box", "score")
"""What is kept of a view; no landmarks where no face is found."""
ONE, THREE = (0,), (0, 30, 60)
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
    parser.add_argument("--sides", type=int, nargs="+", choices=SIDES, default=SIDES, help="degrees; all by default")
    parser.add_argument("--kept", type=Path, metavar="FOLDER", help="where a stopped run goes on")
    asked: Any = parser.parse_args()
    made, model = studio(), ej.load_model("open")
    assert isinstance(model, OpenModel)
    method: Method = asked.method or "fit"
    sides = ONE if asked.front else tuple(asked.sides)
    errors: dict[str, list[dict[str, np.ndarray]]] = {}
    turned: dict[int, list[float | None]] = {side: [] for side in sides}
    for person in range(asked.first, asked.first + asked.people):
        told, truth = told_of(model, made, asked.seed, person, sides, method, asked.kept)
        for side in sides:
            turned[side].append(float(told[f"yaw {side}"]) if f"yaw {side}" in told else None)
        shapes = {"average head": np.zeros_like(truth)} | shapes_of(told)
        for name, shape in shapes.items():
            errors.setdefault(name, []).append(error(made.head, truth, shape))
    print_errors(errors)
    print_turns(turned)


Told = dict[str, np.ndarray]
"""Of one person: "shape SIDE", "yaw SIDE" for every side in which a face is found, and "shape together"."""


def told_of(
    model: OpenModel, made: Studio, seed: int, person: int, sides: Sequence[int], method: Method, kept: Path | None
) -> tuple[Told, Float[np.ndarray, "shapes"]]:
    """What the fits tell of a person, and who it is."""
    signs = np.random.default_rng([seed, person]).choice([-1, 1], len(SIDES))
    # From the side that three quarters do not show.
    signs[2:] = -signs[SIDES.index(THREE[1])]
    views, truth = {}, np.zeros(0)
    for side in sides:
        view = SIDES.index(side)
        yaw = float(signs[view] * side)
        place = kept / f"{seed}_{person}_{side}.npz" if kept else None
        truth, found = view_of(model, made, (seed, person, view, yaw), place)
        if found is not None:
            seen = look(model.expression, found, person=model.person if method == "fit" else None)
            pixels = picture_of(model, seen)
            views[side] = PersonPhoto(found, seen, pixels, head_units(model, seen, pixels), 0, 0.0)
    place = kept / f"{seed}_{person}_{'_'.join(map(str, sides))}_{method}.npz" if kept else None
    if place and place.exists():
        return dict(np.load(place)), truth
    told = fitted(model, views, method)
    for side in views:
        told[f"yaw {side}"] *= signs[SIDES.index(side)] if side else 1
    if place:
        write_file(place, npz(**told))
    return told, truth


def fitted(model: OpenModel, views: dict[int, PersonPhoto], method: Method) -> Told:
    """Every view by itself, and those of THREE together."""
    told: Told = {}
    for side, view in views.items():
        weights = FitWeights()
        if method == "fit":
            codes = fit_face(model, view.seen, weights, view.told).codes
        else:
            codes = codes_by_landmarks(model, view.seen, weights, view.units, method=method)
        told[f"shape {side}"] = np.asarray(codes.shape)
        told[f"yaw {side}"] = np.array(yaw_found(np.asarray(codes.pose)))
    three = [views[side] for side in THREE if side in views]
    if set(THREE) & views.keys() > set(ONE) and len(three) > 1 and method != "encoder":
        told["shape together"] = np.asarray(codes_of_person(model, three, FitWeights())[0].shape)
    return told


def shapes_of(told: Told) -> dict[str, Float[np.ndarray, "shapes"]]:
    """Identities by what they are called in the table."""
    shapes = {"one view": told[f"shape {ONE[0]}"]} if f"shape {ONE[0]}" in told else {}
    three = [told[f"shape {side}"] for side in THREE if f"shape {side}" in told]
    if len(three) > 1:
        shapes["three views, mean"] = np.mean(three, axis=0)
    if "shape together" in told:
        shapes["three views together"] = told["shape together"]
    return shapes


def view_of(
    model: OpenModel, made: Studio, of: tuple[int, int, int, float], place: Path | None
) -> tuple[Float[np.ndarray, "shapes"], PhotoFace | None]:
    """Who it is, and the face that is found in the picture. of: seed, person, view and yaw; place: where it is kept."""
    if place and place.exists():
        kept = np.load(place)
        truth, picture, landmarks, box, score = (kept[name] for name in VIEW)
    else:
        truth, picture = drawn(made, *of)
        try:
            (face,) = found_faces(model.detector, as_photo(picture), "largest")
            landmarks, box, score = face.landmarks, face.box, face.score
        except InputError:
            landmarks, box, score = np.zeros((0, 3), np.float32), np.zeros(4), 0.0
        if place:
            write_file(place, npz(**dict(zip(VIEW, (truth, picture, landmarks, box, score), strict=True))))
    if not len(landmarks):
        return truth, None
    photo = as_photo(picture)
    known = {"box": box, "score": float(score), "landmarks": landmarks}
    return truth, PhotoFace(photo=photo.pixels, photo_scale=photo.scale, source=None, face=0, **known)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


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
    return {"face": laid.distance[laid.face]} | {name: laid.distance[part] for name, part in parts().items()}


def seven(head: FaceHead, vertices: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "7 3"]:
    points = head.landmarks_static
    corners = vertices[np.asarray(head.faces)[np.asarray(points.face_index)]]
    return np.einsum("lck,lc->lk", corners, np.asarray(points.barycentric))[list(STATIC_LANDMARKS)]


def skin_of(head: FaceHead) -> tuple[np.ndarray, np.ndarray]:
    faces = np.asarray(head.faces)[np.asarray(head.face_part) == head.part_names.index("skin")]
    return np.unique(faces), faces


@functools.cache
def parts() -> dict[str, Bool[np.ndarray, "skin"]]:
    """Which of the open head's skin's vertices belong to what, by the average head."""
    head = flame.load_head("open")
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

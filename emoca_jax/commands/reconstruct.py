"""`emoca reconstruct`: photos in, heads out, one table at the end."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoca_jax.commands.photos import PhotoCommand, Row, add_photo_arguments, run_on_photos
from emoca_jax.errors import InputError
from emoca_jax.files.face_formats import FACE_FORMATS, MORE_FORMATS, NAME_STYLES, format_problem
from emoca_jax.jobs.choice import Method, check_choice

if TYPE_CHECKING:
    from emoca_jax.codes import Codes
    from emoca_jax.jobs.one_person import PersonPhoto
    from emoca_jax.jobs.result import FaceResult

TILE_RANGE = (64, 2048)
"""Pixels: below, nothing can be seen; above, the comparison picture passes 50 megapixels."""
COLUMNS = {"face": False, "emotion": True, "valence": False, "arousal": False, "fit error": False, "seconds": False}


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "reconstruct",
        help="turn every face in photos into an animatable 3D head",
        description="Turn every face in photos into an animatable 3D head. Face n of photo.jpg, counted from 0 for the "
        "largest, becomes photo_n.glb, .obj, .npz, .json and .png; older results of these names are replaced, "
        "other files never. Inputs of the same name share an output folder as photo, photo-2 and so on, in the "
        "order given.",
    )
    add_photo_arguments(parser)
    parser.add_argument(
        "--model",
        default="open",
        metavar="open|FOLDER",
        help="the open model, fitted to the photo, official weights converted by `emoca convert`, or what a training "
        "run left, RUN/model (default: open)",
    )
    parser.add_argument(
        "--method",
        choices=("fit", "landmarks", "encoder"),
        help="how a photo becomes a head: fit (by landmarks, then by how it looks), landmarks alone, or encoder (one "
        "pass); converted and trained models encode (default: fit, or encoder)",
    )
    parser.add_argument(
        "--head",
        metavar="open|PATH",
        help="of the open model: the head that ships, or a converted one (default: open)",
    )
    parser.add_argument(
        "--one-person",
        action="store_true",
        help="the photos show one person: all get the same identity, of all photos together; of a photo with several "
        "faces the largest counts; open model, method fit or landmarks",
    )
    parser.add_argument(
        "--official", action="store_true", help="for a converted model: reproduce the bugs of the official code as well"
    )
    parser.add_argument(
        "--size",
        type=_tile_size,
        default=384,
        metavar="N",
        help="side in pixels of one tile of the comparison picture (default: 384)",
    )
    parser.add_argument(
        "--format",
        type=_formats,
        default=FACE_FORMATS,
        metavar="LIST",
        help=f"all ({','.join(FACE_FORMATS)}), or some of {','.join((*FACE_FORMATS, *MORE_FORMATS))} with commas "
        "between (default: all)",
    )
    parser.add_argument(
        "--names",
        choices=NAME_STYLES,
        default=NAME_STYLES[0],
        help="what meshes, materials and bones of .glb and .usdz are called: rpm is what code for Ready Player Me's "
        "avatars looks for (default: default)",
    )
    parser.add_argument(
        "--lod", action="store_true", help="write two coarser levels of detail of the .glb: photo_n_lod1.glb, _lod2.glb"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct every input, tell failures one sentence each, print the table; returns the exit code."""
    if arguments.lod and "glb" not in arguments.format:
        raise InputError("--lod writes levels of the .glb: add glb to --format, or leave --lod out")
    name, head, official = arguments.model, arguments.head, arguments.official
    check_choice(name, head=head, official=official, method=arguments.method, one_person=arguments.one_person)

    def load() -> Any:
        from emoca_jax.jobs.reconstruct import load_model

        return load_model(name, head=head, official=official)

    person = _Person(arguments.method) if arguments.one_person else None

    def work(model: Any, photo: Path, stem: str) -> list[list[Row]]:
        from emoca_jax.jobs.reconstruct import reconstruct

        if person:
            faces = [person.face(model, photo)]
        else:
            faces = reconstruct(model, photo, faces=arguments.faces, method=arguments.method)
        for face in faces:
            place, size = arguments.output / f"{stem}_{face.face}", arguments.size
            face.save(place, arguments.format, size=size, names=arguments.names, lod=arguments.lod)
        return [[_row(face)] for face in faces]

    other_way = arguments.method if arguments.method != "fit" else None
    compiles = (other_way or "") if arguments.model == "open" else "converted"
    if person:
        compiles = "-".join(filter(None, (compiles, "person")))
    command = PhotoCommand(load, work, COLUMNS, compiles=compiles)
    if person:
        command = command._replace(first=person.look_at, refusal=person.refusal)
    return run_on_photos(arguments.inputs, arguments.output, command)


class _Person:
    """The photos of one person: all looked at before the first head is made."""

    def __init__(self, method: Method | None) -> None:
        self.method: Method = method or "fit"
        self.photos: dict[Path, PersonPhoto] = {}
        self.codes: dict[Path, Codes] = {}

    @staticmethod
    def refusal(paths: Sequence[Path]) -> str | None:
        from emoca_jax.jobs.one_person import HOW_MANY, LEAST_PHOTOS

        return f"{HOW_MANY} {len(paths)}." if len(paths) < LEAST_PHOTOS else None

    def look_at(self, model: Any, path: Path) -> str | None:
        from emoca_jax.capture.images import read_photo
        from emoca_jax.jobs.one_person import MOST_PHOTOS, look_for_person

        if len(self.photos) == MOST_PHOTOS:
            raise InputError(f"{path} is left out: one identity is solved for of {MOST_PHOTOS} photos at most")
        self.photos[path] = photo = look_for_person(model, read_photo(path))
        if not photo.others:
            return None
        x, y = photo.found.photo_scale * (photo.found.box[:2] + photo.found.box[2:]) / 2
        return f"{path} shows {1 + photo.others} faces: the largest, around ({x:.0f}, {y:.0f}), is taken"

    def face(self, model: Any, path: Path) -> FaceResult:
        from emoca_jax.jobs.one_person import codes_of_person, face_of_person
        from emoca_jax.objectives.photo import FitWeights

        if not self.codes:
            told = codes_of_person(model, list(self.photos.values()), FitWeights())
            self.codes = dict(zip(self.photos, told, strict=True))
        # What is done is not needed again.
        photo = self.photos.pop(path)
        return face_of_person(model, photo, self.codes[path], FitWeights(), method=self.method)


def _row(face: FaceResult) -> Row:
    emotion = face.emotion
    return (
        face.source_name,
        str(face.face),
        f"{emotion.label} {emotion.photo[emotion.label]:.0%}",
        f"{emotion.valence:+.2f}",
        f"{emotion.arousal:+.2f}",
        f"{face.fit_error:.2f} %",
        f"{face.seconds:.1f}",
    )


def _formats(text: str) -> tuple[str, ...]:
    chosen = [name.strip().lower().removeprefix(".") for name in text.split(",") if name.strip()]
    if chosen == ["all"]:
        return FACE_FORMATS
    if not chosen:
        raise argparse.ArgumentTypeError(f"{text!r} is not all or a list of {','.join((*FACE_FORMATS, *MORE_FORMATS))}")
    for problem in filter(None, map(format_problem, chosen)):
        raise argparse.ArgumentTypeError(problem)
    return tuple(chosen)


def _tile_size(text: str) -> int:
    low, high = TILE_RANGE
    try:
        size = int(text)
    except ValueError:
        size = -1
    if not low <= size <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return size

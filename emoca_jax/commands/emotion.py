"""`emoca emotion`: photos in; valence, arousal and expression out, by every network there is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoca_jax.commands.photos import PhotoCommand, Row, add_photo_arguments, run_on_photos
from emoca_jax.jobs.choice import check_drawn

if TYPE_CHECKING:
    from emoca_jax.faces import EmotionResult

COLUMNS = {"face": False, "network": True, "emotion": True, "valence": False, "arousal": False}


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "emotion",
        help="tell the emotion of every face in photos",
        description="Tell valence, arousal and expression of every face in photos: by the image networks (ResNet-50, "
        "Swin-B, EmoNet) that the model folder has; without --model by the networks that ship. With --from-3d EMO-MLP "
        "reads the 3D face as well: the codes of the model or, without --model, of the head that is fitted. "
        "Face n of photo.jpg, counted from 0 for the largest, becomes photo_n_emotion.json and .png, and every face "
        "a line of emotions.csv; older results of these names are replaced, other files never.",
    )
    add_photo_arguments(parser)
    parser.add_argument(
        "--model",
        default="open",
        metavar="open|FOLDER",
        help="what ships, or official networks converted by `emoca convert` (default: open)",
    )
    parser.add_argument(
        "--from-3d",
        action="store_true",
        help="read the 3D face, too: seconds a face instead of a fraction of one",
    )
    parser.add_argument(
        "--drawn",
        action="store_true",
        help="the pictures are renderings, not photos: read them by the network that has learned from drawn faces",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read every face, tell failures one sentence each, print the table, write it; returns the exit code."""
    check_drawn(arguments.model, drawn=arguments.drawn)
    lines: list[tuple[str, ...]] = []
    table = arguments.output / "emotions.csv"

    def load() -> Any:
        from emoca_jax.files.whole import only_results
        from emoca_jax.jobs.read_emotion import load_emotion_model

        # Before the work, not after it.
        only_results([table])
        return load_emotion_model(arguments.model, from_3d=arguments.from_3d, drawn=arguments.drawn)

    def work(model: Any, photo: Path, stem: str) -> list[list[Row]]:
        from emoca_jax.export.emotion_files import save_emotion, table_lines
        from emoca_jax.jobs.read_emotion import read_emotion

        faces = read_emotion(model, photo, faces=arguments.faces)
        for face in faces:
            save_emotion(face, arguments.output / f"{stem}_{face.face}_emotion")
            lines.extend(table_lines(face, photo))
        return [_rows(face) for face in faces]

    def finish() -> None:
        from emoca_jax.export.emotion_files import save_table

        if lines:
            save_table(lines, table)

    compiles = ("emotion" if arguments.model == "open" else "emotion-converted") + "-3d" * arguments.from_3d
    return run_on_photos(arguments.inputs, arguments.output, PhotoCommand(load, work, COLUMNS, finish, compiles))


def _rows(face: EmotionResult) -> list[Row]:
    return [
        (
            face.source_name,
            str(face.face),
            reading.network,
            f"{reading.label} {reading.probabilities[reading.label]:.0%}",
            f"{reading.valence:+.2f}",
            f"{reading.arousal:+.2f}",
        )
        for reading in face.readings
    ]

"""`emoca render`: a mesh file in, a picture or a turntable out."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emoca_jax.commands import compile_cache
from emoca_jax.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

    from emoca_jax.mesh_view.mesh_files import Mesh
    from emoca_jax.mesh_view.picture import Style, Viewpoint

PICTURE_SUFFIXES = (".png", ".gif", ".mp4")
VIEWS = {
    "front": (0.0, 0.0),
    "three-quarter": (35.0, 10.0),
    "left": (90.0, 0.0),
    "right": (-90.0, 0.0),
    "back": (180.0, 0.0),
    "top": (0.0, 90.0),
    "bottom": (0.0, -90.0),
}
"""Yaw and pitch of the camera in degrees; left and right are the mesh's own."""
SIZE_RANGE = (16, 4096)
FRAME_RANGE = (2, 720)
FRAMES = 72
"""Five degrees a step."""
COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (237, 239, 242), "transparent": None}
"""grey is the tile of the comparison picture."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "render",
        help="draw a mesh file as a picture or a turntable",
        description="Draw a .glb, .obj or .ply file. A .glb is shown as a viewer shows it, with its default expression "
        "and pose. The mesh is framed automatically and everything is drawn opaque. An older "
        "picture of emoca is replaced, no other file.",
    )
    parser.add_argument("mesh", type=Path, metavar="MESH", help="a .glb, .obj or .ply file")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=".png for a picture, .gif or .mp4 for a turntable (default: MESH.png, with --turntable MESH.gif, in this "
        "folder)",
    )
    parser.add_argument("--size", type=_size, default=512, metavar="N", help="side in pixels (default: 512)")
    parser.add_argument(
        "--view",
        type=_view,
        default=VIEWS["front"],
        metavar="NAME|YAW,PITCH",
        help=f"{', '.join(VIEWS)}, or degrees: --view=-30,15 looks from the mesh's right and above (default: front); "
        "a turntable starts there",
    )
    parser.add_argument("--turntable", action="store_true", help="turn the mesh once around itself")
    parser.add_argument(
        "--frames", type=_frames, default=FRAMES, metavar="N", help=f"of a turntable (default: {FRAMES})"
    )
    parser.add_argument(
        "--light",
        type=_light,
        default="studio",
        metavar="studio|flat|X,Y,Z",
        help="three lamps, none, or one lamp in that direction: right, up, towards the camera (default: studio)",
    )
    parser.add_argument(
        "--camera", choices=("perspective", "orthographic"), default="perspective", help="(default: perspective)"
    )
    parser.add_argument(
        "--background",
        type=_colour,
        default="white",
        metavar="COLOUR",
        help=f"{', '.join(COLOURS)} or #rrggbb (default: white); transparent in a .png only",
    )
    parser.add_argument("--up", choices=("y", "z"), default="y", help="the file's axis that points up (default: y)")
    parser.add_argument("--facets", action="store_true", help="show every face flat instead of smooth")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, draw, write; returns the exit code. Errors: InputError, and nothing half-written."""
    output = _output(arguments)
    compile_cache.enable()
    from emoca_jax.files.whole import open_folder, write_results
    from emoca_jax.mesh_view.mesh_files import read_mesh

    mesh = read_mesh(arguments.mesh)
    for what in mesh.lacking:
        print(f"emoca: {arguments.mesh}: {what}; drawn without it", file=sys.stderr)
    open_folder(output.parent)
    write_results({output: _file(mesh, arguments, output.suffix.lower())})
    print(f"{output}: {len(mesh.faces)} faces")
    return 0


def _output(arguments: argparse.Namespace) -> Path:
    """Where the result goes, checked before any work."""
    if os.path.isdir(arguments.mesh):
        raise InputError(f"{arguments.mesh}: is a folder; give a .glb, .obj or .ply file")
    output = arguments.output
    if output is None:
        output = Path(arguments.mesh.stem + (".gif" if arguments.turntable else ".png"))
    suffix = output.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise InputError(f"{output}: is not one of {', '.join(PICTURE_SUFFIXES)}; give such a name")
    if arguments.turntable and suffix == ".png":
        raise InputError(f"{output}: a png does not move; give a .gif or .mp4, or leave out --turntable")
    if _rgb(arguments.background) is None and suffix != ".png":
        raise InputError(f"{output}: only a .png can be transparent; give another --background")
    if os.path.isdir(output):
        raise InputError(f"{output}: is a folder; give a file name in it")
    return output


def _file(mesh: Mesh, arguments: argparse.Namespace, suffix: str) -> bytes:
    from emoca_jax.export.png import png_bytes
    from emoca_jax.mesh_view.picture import Viewpoint, draw_views, over_background
    from emoca_jax.mesh_view.turntable import gif, mp4, palette_views, turntable_viewpoints

    start, colour = Viewpoint(*arguments.view), _rgb(arguments.background)
    views = [start] if suffix == ".png" else turntable_viewpoints(start, arguments.frames)

    def draw(chosen: Iterable[Viewpoint]) -> Iterator[np.ndarray]:
        # All views decide the framing, whichever of them are drawn.
        return draw_views(mesh, views, arguments.size, style=_style(arguments), up=arguments.up, only=chosen)

    if colour is None:
        return png_bytes(next(draw(views)))
    if suffix == ".png":
        return png_bytes(over_background(next(draw(views)), colour))
    frames = (over_background(picture, colour) for picture in _with_progress(draw(views), len(views)))
    if suffix == ".mp4":
        return mp4(frames, (arguments.size, arguments.size))
    return gif((over_background(picture, colour) for picture in draw(palette_views(views))), frames)


def _style(arguments: argparse.Namespace) -> Style:
    from emoca_jax.mesh_view.picture import SINGLE_LIGHT, STUDIO, Style

    light = arguments.light
    lights = {"studio": STUDIO, "flat": None}[light] if isinstance(light, str) else ((light, SINGLE_LIGHT),)
    return Style(arguments.camera, lights, arguments.facets)


def _with_progress(pictures: Iterable[np.ndarray], count: int) -> Iterable[np.ndarray]:
    from rich.console import Console
    from rich.progress import track

    errors = Console(stderr=True)
    return track(pictures, "drawing", total=count, console=errors, transient=True, disable=not errors.is_terminal)


def _rgb(colour: str) -> tuple[int, int, int] | None:
    if colour in COLOURS:
        return COLOURS[colour]
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _colour(text: str) -> str:
    if text not in COLOURS and not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(COLOURS)} or #rrggbb")
    return text


def _view(text: str) -> tuple[float, float]:
    if text in VIEWS:
        return VIEWS[text]
    numbers = _numbers(text, 2)
    if numbers is None or abs(numbers[1]) > 90:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {', '.join(VIEWS)} or YAW,PITCH in degrees with a pitch from -90 to 90"
        )
    return numbers[0], numbers[1]


def _light(text: str) -> str | tuple[float, ...]:
    if text in ("studio", "flat"):
        return text
    numbers = _numbers(text, 3)
    if numbers is None or not any(numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is not studio, flat or a direction X,Y,Z")
    return numbers


def _numbers(text: str, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return None
    return numbers if len(numbers) == count and all(abs(number) < 1e6 for number in numbers) else None


def _size(text: str) -> int:
    return _whole(text, *SIZE_RANGE)


def _frames(text: str) -> int:
    return _whole(text, *FRAME_RANGE)


def _whole(text: str, low: int, high: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return number

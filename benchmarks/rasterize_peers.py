"""Drawing speed, ours and everybody's, in one command: `python benchmarks/rasterize_peers.py --write PAGE.md`.

Prints, and with --write puts into PAGE.md with plots in pictures/ beside it: depth and face of two meshes by every
renderer that can be run here, ours by kernels (the extra `fast`) and in plain JAX, the costs of our own drawings, and
how they grow with faces, pixels and batch. About ten minutes.

Every renderer runs in a process of its own, one after the other. It is looked for with the interpreter of this script,
or where `--environments FOLDER` is given with FOLDER/NAME/bin/python, since some need packages that others cannot have;
`--install` makes those environments. A renderer that does not run is listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
OLD_JAXRENDERER = ("jaxrenderer<0.4", "jax==0.4.13", "jaxlib==0.4.13", "numpy<2", "scipy<1.12", "ml_dtypes<0.4")
"""The last one for Python 3.11 sets an option that later jax has not."""
PEERS: dict[str, tuple[str, ...]] = {
    "moderngl": ("moderngl", "numpy"),
    "vtk": ("vtk", "numpy"),
    "pyrender": ("pyrender", "numpy"),
    "embree": ("embreex", "trimesh", "numpy"),
    "open3d": ("open3d", "numpy"),
    "mitsuba": ("mitsuba", "numpy"),
    "deodr": ("deodr", "trimesh", "pyrender", "typing_extensions"),
    "jaxrenderer": ("jaxrenderer>=0.4",) if sys.version_info >= (3, 12) else OLD_JAXRENDERER,
    "pytorch3d": ("pytorch3d", "torch"),
    "nvdiffrast": ("nvdiffrast", "torch"),
}
"""What to install for each; after that pyrender needs a newer PyOpenGL and networkx than it asks for. Beside them, of
Debian's packages: libegl1 and libgl1-mesa-dri (moderngl, vtk, pyrender, and LLVM for mitsuba), libusb-1.0-0 and
libgomp1 (open3d). nvdiffrast, and pytorch3d for most systems, are not on PyPI."""
OURS: dict[str, str] = {"native": "emoca_jax[fast]", "jax": "emoca_jax, plain JAX"}
"""Our names by back end."""
SIZE = 224
CONTESTS = (("ball", 224, 1), ("ball", 224, 8), ("ball", 1024, 1), ("fine ball", 224, 1), ("fine ball", 1024, 1))
"""Mesh, size and batch of the comparisons."""
TOO_SLOW = 1.0
"""Seconds per image beyond which a renderer is left out of the comparisons after the first."""
LIMIT = 200
"""Seconds for one renderer and batch, compilation included."""
FACES = ((24, 10), (48, 24), (101, 50), (345, 171))
"""Columns and rows of the balls of different fineness: 460 to 117,648 faces."""
SIZES = (64, 224, 512, 1024)
SHOWN_BATCHES = (1, 4, 16)
SECONDS = 0.7
"""Of timing one of our drawings, beside its first call."""
SOFT, SOFT_FACES = "soft outline", 20_000
"""Soft drawings take seconds in plain JAX on a CPU: timed once, with few faces."""
CURVES = ("surface", "shaded, textured image with gradients", "anti-aliased outline with gradients")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="also write the page and its plots")
    parser.add_argument("--environments", type=Path, metavar="FOLDER", help="one virtual environment per renderer")
    parser.add_argument("--install", action="store_true", help="make these environments first")
    parser.add_argument("--only", nargs="+", choices=("peers", "ours", "scaling"), default=("peers", "ours", "scaling"))
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    if options.install:
        install(options.environments)
    from rasterize import machine  # jax, which --install can do without

    page = ["# Drawing speed", "", "Written by `python benchmarks/rasterize_peers.py`.", "", machine() + ".", ""]
    pictures = options.write.parent / "pictures" if options.write else None
    for name, section in ("peers", compare), ("ours", own_table), ("scaling", growth):
        if name in options.only:
            lines = section(options, pictures)
            print("\n".join(lines), flush=True)
            page += lines
    if options.write:
        options.write.write_text("\n".join(page).rstrip() + "\n")


def install(folder: Path | None) -> None:
    if folder is None:
        raise SystemExit("--install needs --environments FOLDER")
    for name, packages in PEERS.items():
        venv.create(folder / name, with_pip=True)
        pip = [str(folder / name / "bin" / "python"), "-m", "pip", "install", "-q"]
        if subprocess.run([*pip, *packages], check=False).returncode != 0:
            # An empty environment would be told of as one that lacks NumPy.
            shutil.rmtree(folder / name)
        elif name == "pyrender":
            subprocess.run([*pip, "--no-deps", "-U", "PyOpenGL", "networkx"], check=False)


def compare(options: argparse.Namespace, pictures: Path | None) -> list[str]:
    """The table of all renderers, ours first."""
    from rasterize import back_ends, dense, sphere

    meshes, rows, missing = {"ball": sphere(), "fine ball": dense()}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for contest in CONTESTS:
            mesh, size, batch = contest
            job = Path(folder) / f"{mesh} {size} {batch}.npz"
            save_job(job, meshes[mesh], size, batch, options.runs)
            for backend in back_ends():
                rows[contest, OURS[backend]] = run(sys.executable, "ours", job, EMOCA_JAX_BACKEND=backend)
            for name in PEERS:
                first = rows.get((CONTESTS[0], name))
                if contest != CONTESTS[0] and (first is None or first["forward"]["median"] > TOO_SLOW):
                    continue
                python = options.environments / name / "bin" / "python" if options.environments else None
                found = run(str(python) if python and python.exists() else sys.executable, f"peer_{name}", job)
                if "reason" in found:
                    missing[name] = f"- {name}: {found['reason']}"
                else:
                    rows[contest, name] = found
                print(f"{name} {contest}: {found}", file=sys.stderr, flush=True)
    best = OURS[back_ends()[0]]
    count = f"{len(meshes['ball'].faces):,}"
    if pictures:
        from plots import bars

        panels = {
            f"{title}, {count} faces, {SIZE} x {SIZE}": {
                name: 1e3 * row[key]["median"]
                for (contest, name), row in rows.items()
                if contest == CONTESTS[0] and key in row
            }
            for title, key in (("depth", "forward"), ("depth and its gradient", "gradient"))
        }
        bars(pictures / "render_speed_peers.png", panels, best)
    lines = [
        "## Beside other renderers",
        "",
        f"Depth (and where it is told, the face) of a ball of {count} faces or of {len(meshes['fine ball'].faces):,}, "
        "new vertices each time, results as NumPy arrays. Median milliseconds per image; `x` is that time over that of "
        f"{best}, so above 1 we are faster. Gradient: forward and backward of the mean depth to the vertices.",
        "",
        "| renderer | faces | size | batch | forward | x | with gradient | x | same coverage | median depth error "
        "| peak GB | note |",
        "| --- " * 12 + "|",
    ]
    for (contest, name), row in rows.items():
        mesh, size, batch = contest
        setting = [f"{len(meshes[mesh].faces):,}", str(size), str(batch)]
        lines.append(peer_row(name, setting, batch, row, rows[contest, best]))
    if pictures:
        lines += ["", "![Milliseconds per image of each renderer](pictures/render_speed_peers.png)"]
    return [*lines, "", "Not run here:", "", *missing.values(), ""] if missing else [*lines, ""]


def peer_row(name: str, setting: list[str], batch: int, row: dict[str, Any], ours: dict[str, Any]) -> str:
    cells = [f"{name} {row['version']}", *setting]
    for key in ("forward", "gradient"):
        if key in row:
            cells += [f"{1e3 * row[key]['median'] / batch:.1f}", f"{row[key]['median'] / ours[key]['median']:.1f}"]
        else:
            cells += ["-", "-"]
    if row.get("finite_gradient") is False:
        row["note"] += "; its gradient is zero or not finite"
    error = "-" if row["depth_error"] is None else f"{row['depth_error']:.0e}"
    cells += [f"{row['same_coverage']:.2%}", error, f"{row['peak_gb']:.1f}", row["note"]]
    return f"| {' | '.join(cells)} |"


def save_job(path: Path, mesh: Any, size: int, batch: int, runs: int) -> None:
    from emoca_jax import render

    shift = np.random.default_rng(0).uniform(-0.02, 0.02, (batch, 1, 3))
    vertices = (np.asarray(mesh.vertices) + shift).astype(np.float32)
    depth = np.asarray(render.rasterize(vertices, mesh.faces, (size, size)).depth)
    np.savez(path, vertices=vertices, faces=np.asarray(mesh.faces), size=size, runs=runs, depth=depth)


def run(python: str, script: str, job: Path, **environment: str) -> dict[str, Any]:
    """The last line of the script as a dictionary, or {"reason": why there is none}."""
    command = [python, "-W", "ignore", str(HERE / "peers" / f"{script}.py"), str(job)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, env=os.environ | environment
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"no result within {LIMIT} s"}
    if done.returncode == 0:
        return json.loads(done.stdout.strip().splitlines()[-1])
    told = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return {"reason": told[-1][:160] if told else f"ended with code {done.returncode}"}


def own_table(options: argparse.Namespace, pictures: Path | None) -> list[str]:
    """What our drawings cost at several sizes, and on a mesh of EMOCA's detail, by every back end."""
    from rasterize import HEADER, back_ends, dense, drawing_by, jobs, measure, row, sphere

    lines = ["## Our drawings", "", "Memory is what the compiled program allocates for results and on the way.", ""]
    for mesh, settings in (
        (sphere(), ((224, 1), (224, 8), (512, 1), (1024, 1))),
        (dense(), ((224, 1), (1024, 1))),
    ):
        lines += [f"{len(mesh.vertices):,} vertices, {len(mesh.faces):,} faces:", "", HEADER]
        for index, (size, batch) in enumerate(settings):
            found = {}
            for backend in back_ends():
                with drawing_by(backend):
                    for name, (function, inputs) in jobs(mesh, batch, size).items():
                        if name.startswith(SOFT) and backend == "jax" and (index > 0 or len(mesh.faces) > SOFT_FACES):
                            continue
                        timing = measure(function, *inputs, runs=options.runs, seconds=SECONDS)
                        found[name, backend] = row(name, size, batch, timing, backend)
                        print(found[name, backend], file=sys.stderr, flush=True)
            # One drawing below the other, its back ends side by side.
            names = list(dict.fromkeys(name for name, _ in found))
            lines += [line for wanted in names for (name, _), line in found.items() if name == wanted]
        lines.append("")
    return lines


def growth(options: argparse.Namespace, pictures: Path | None) -> list[str]:
    """Time against faces, pixels and batch."""
    from rasterize import back_ends, jobs, measure, sphere

    def curves(settings):
        found = {name: [] for name in CURVES}
        for x, mesh, batch, size in settings:
            for name in CURVES:
                function, inputs = jobs(mesh, batch, size)[name]
                found[name].append((x, 1e3 * measure(function, *inputs, runs=options.runs, seconds=SECONDS).median))
            print(f"{x}: {[round(points[-1][1], 1) for points in found.values()]}", file=sys.stderr, flush=True)
        return found

    ball = sphere()
    meshes = [sphere(*shape) for shape in FACES]
    panels = {
        f"faces, at {SIZE} x {SIZE}": ("faces", curves([(len(mesh.faces), mesh, 1, SIZE) for mesh in meshes])),
        f"pixels, {len(ball.faces):,} faces": ("pixels", curves([(size**2, ball, 1, size) for size in SIZES])),
        f"batch, at {SIZE} x {SIZE}": ("images", curves([(batch, ball, batch, SIZE) for batch in SHOWN_BATCHES])),
    }
    lines = ["## How it grows", "", f'By the back end "{back_ends()[0]}".', ""]
    for title, (label, found) in panels.items():
        lines += [f"Milliseconds against {title}:", "", f"| {label} | {' | '.join(found)} |", "| --- " * 4 + "|"]
        for column in zip(*found.values(), strict=True):
            lines.append(f"| {column[0][0]:,} | {' | '.join(f'{value:.1f}' for _, value in column)} |")
        lines.append("")
    if pictures:
        from plots import scaling

        scaling(pictures / "render_speed_growth.png", panels)
        lines += ["![Time against faces, pixels and batch](pictures/render_speed_growth.png)", ""]
    return lines


if __name__ == "__main__":
    main()

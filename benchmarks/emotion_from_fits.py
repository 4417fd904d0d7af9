"""How well the EMO-MLP that ships tells emotion from heads fitted to drawn faces, beside their true units.

    python benchmarks/emotion_from_fits.py FITS.npz [--faces 640] [--seed 11]

Draws faces, reconstructs each as `emoca reconstruct` does and keeps in FITS.npz what was shown and what was fitted (it
goes on where it was stopped), then judges all but the first 400 kept. Faces that are not found are left out.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax.numpy as jnp
import numpy as np
from rich.progress import track

import emoca_jax as ej
from data_pipelines.open_faces.codes import JUDGING, TELLERS, read_fits
from data_pipelines.open_faces.draw import studio
from data_pipelines.open_faces.faces import open_face
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader
from emoca_jax.emotion.units import ARKIT_UNITS, load_units_network, read_units
from emoca_jax.errors import InputError
from emoca_jax.files.whole import write_file
from emoca_jax.losses.affect import valence_arousal_measures

EVERY = 20
"""Faces after which what there is is kept."""


def fit(path: Path, faces: int, seed: int) -> None:
    """Add fits to the file until it has tried so many faces."""
    made, model = studio(), ej.load_model("open")
    kept = dict(np.load(path)) if path.exists() else {}
    if "fitted" in kept and "read" not in kept:
        raise InputError(f"{path}: has no units read off landmarks; name another file, and faces are fitted anew")
    first = int(kept.get("tried", np.array(0)))
    rows: dict[str, list[np.ndarray]] = {name: list(values) for name, values in kept.items() if name != "tried"}
    for index in track(range(first, faces), "fitting"):
        face = open_face(made, seed, index)
        try:
            (found,) = ej.reconstruct(model, face.image, faces="largest")
        except InputError:
            found = None
        if found is not None:
            row = {
                "true": face.shown.units,
                "fitted": found.codes.expression,
                "read": landmark_units(load_unit_reader(), jnp.asarray(found.landmarks)),
                "label": face.shown.label,
                "affect": (face.shown.valence, face.shown.arousal),
                "photo": list(found.emotion.photo.values()),
            }
            for name, value in row.items():
                rows.setdefault(name, []).append(np.asarray(value))
        if (index + 1) % EVERY == 0 or index + 1 == faces:
            file = io.BytesIO()
            arrays: dict[str, Any] = {name: np.stack(values) for name, values in rows.items()}
            np.savez(file, tried=index + 1, **arrays)
            write_file(path, file.getvalue())


def judge(path: Path) -> None:
    """Print what the network that ships, and those on the photo, tell of the fits that are kept."""
    network = load_units_network()
    fits = {name: array[JUDGING] for name, array in read_fits(path).items()}
    label, affect = fits["label"], jnp.asarray(fits["affect"], jnp.float32)
    print(f"{len(label)} faces      V-CCC  A-CCC  accuracy  mean recall")
    for name in ("true", *TELLERS):
        read = read_units(network, jnp.asarray(fits[name], jnp.float32), ARKIT_UNITS)
        measures = valence_arousal_measures(read.valence, read.arousal, affect[:, 0], affect[:, 1])
        told = np.asarray(read.expression_logits).argmax(-1)
        print(f"{name + ' units':14} {measures['v_ccc']:6.3f} {measures['a_ccc']:6.3f}", recalls(told, label))
    print(f"{'photo':28}", recalls(fits["photo"].argmax(-1), label), " (what ships, off the photo)")


def recalls(told: np.ndarray, label: np.ndarray) -> str:
    mean = np.mean([np.mean(told[label == number] == number) for number in np.unique(label)])
    return f"{np.mean(told == label):9.3f} {mean:12.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fits", type=Path)
    parser.add_argument(
        "--faces", type=int, default=640, help="to draw and fit; those kept already count (default: 640)"
    )
    parser.add_argument("--seed", type=int, default=11)
    asked = parser.parse_args()
    try:
        fit(asked.fits, asked.faces, asked.seed)
        judge(asked.fits)
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

"""What the expression networks that ship read in drawn faces, class by class: would anybody name these emotions?

    python benchmarks/open_faces_read.py [--faces 1600] [--seed 5]

The networks were trained on photos (FER-2013 and others) and never saw a drawing; they know no contempt. Faces are cut
out by their true landmarks. The second table counts only what is easy to see: at least 0.7 intense, turned by less than
25 degrees, nothing before the face.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from data_pipelines.open_faces.draw import MASK_NAMES, studio
from data_pipelines.open_faces.emotions import CLASSES
from data_pipelines.open_faces.faces import OpenFace, open_faces
from emoca_jax.nets.emotion.crop import expression_crop
from emoca_jax.nets.emotion.open import EXPRESSION_CLASSES, Parameters, load_expression_networks, read_expression

INTENSE, FRONTAL, COVERED = 0.7, np.radians(25), 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=5)
    asked = parser.parse_args()
    made, networks = studio(), load_expression_networks()
    every, clear = np.zeros((2, len(CLASSES), len(EXPRESSION_CLASSES)), int)
    for face in open_faces(made, asked.seed, range(asked.faces)):
        shares = read(networks, jnp.asarray(face.image, jnp.float32) / 255, jnp.asarray(face.landmarks))
        place = face.shown.label, int(np.argmax(shares))
        every[place] += 1
        clear[place] += is_clear(face)
    for title, table in (("all faces", every), ("clear faces", clear)):
        print(f"\n{title}: rows shown, columns read, in %")
        print_table(table)


@jax.jit
def read(networks: Parameters, image: Float[Array, "size size 3"], landmarks: Float[Array, "478 3"]) -> Array:
    """Share of each class."""
    return read_expression(networks, image, expression_crop(landmarks)).probabilities


def is_clear(face: OpenFace) -> bool:
    """Whether there is little that makes the emotion hard to see."""
    turn = np.linalg.norm(np.asarray(face.codes.pose)[0])
    covered = np.mean(face.mask == MASK_NAMES.index("occluder"))
    intense = face.shown.intensity > INTENSE or CLASSES[face.shown.label] == "neutral"
    return bool(turn < FRONTAL and covered < COVERED and intense)


def print_table(table: np.ndarray) -> None:
    """Rows in per cent, and the mean recall of the classes that the networks know."""
    print(" " * 9 + "".join(f"{name:>9}" for name in EXPRESSION_CLASSES) + "    faces")
    for name, row in zip(CLASSES, table, strict=True):
        print(f"{name:9}" + "".join(f"{100 * part / max(row.sum(), 1):9.0f}" for part in row) + f"{row.sum():9}")
    recalls: Iterable[float] = (table[k, k] / max(table[k].sum(), 1) for k in range(len(EXPRESSION_CLASSES)))
    print(f"mean recall of these seven: {np.mean(list(recalls)):.2f}")


if __name__ == "__main__":
    main()

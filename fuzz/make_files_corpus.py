"""Write the corpus of `fuzz_files.py`: small made-up meshes, a head, a model folder's description, a configuration.

    PYTHONPATH=. python fuzz/make_files_corpus.py

The files are committed; run this again only to add a kind.
"""

import json
from pathlib import Path

import numpy as np
import trimesh
from safetensors.numpy import save_file
from trimesh.exchange.ply import export_ply

from emoca_jax.export.gltf import head_glb
from emoca_jax.export.obj import head_mtl, head_obj
from emoca_jax.export.png import png_bytes
from emoca_jax.flame import save_head
from emoca_jax.model_folder import FORMAT_VERSION, KIND, file_sha256
from tests.export.made_up_face import made_up_face
from tests.flame.small_head import small_head
from tests.mesh_view.test_mesh_files import square_glb

CORPUS = Path(__file__).parent / "corpus_files"
CONFIG = """
coarse: {model: {exp_deca_jaw_pose: true, tex_type: BFM, path: !!python/object/apply:os.getcwd []}}
detail:
  model: {exp_deca_jaw_pose: true, tex_type: BFM, uv_size: 256, weights: [1.0e-4, 2, null, "text"]}
  data: &data {batch: 8, shape: !!python/tuple [1, 2]}
  again: *data
"""


def main() -> None:
    CORPUS.mkdir(exist_ok=True)
    face = made_up_face()
    texture = png_bytes(face.texture[::16, ::16].copy())
    glb = head_glb(face.head, face.codes, face.neutral_vertices, texture, name="a", generator="emoca_jax")
    (CORPUS / "square.glb").write_bytes(square_glb())
    (CORPUS / "skinned.glb").write_bytes(glb)
    (CORPUS / "square.obj").write_text(head_obj(face.head, face.vertices, material_file="square.mtl"))
    (CORPUS / "square.mtl").write_text(head_mtl(face.head, texture_file="square.png"))
    (CORPUS / "square.png").write_bytes(texture)
    box = trimesh.creation.box((1, 1, 2))
    for name, encoding in (("ascii", "ascii"), ("binary", "binary")):
        (CORPUS / f"{name}.ply").write_bytes(export_ply(box, encoding=encoding))
    save_head(small_head(), CORPUS / "head.npz")
    maps = CORPUS / "maps.safetensors"
    save_file({"face_mask": np.ones((256, 256), np.float16)}, maps)
    description = {
        "format": FORMAT_VERSION,
        "kind": KIND,
        "made_by": "emoca_jax",
        "licence": "none",
        "default": "One",
        "models": {
            "One": {"variant": "deca", "parts": {}, "options": {"albedo": "bfm", "source": "x", "uv_size": 256}}
        },
        "parts": {"head": "head.npz", "maps": "maps.safetensors"},
        "missing": ["generic_model.pkl"],
        "optional": [],
        "sources": [{"path": "x", "kind": "FLAME model", "sha256": ""}],
        "files": {"maps.safetensors": file_sha256(maps)},
        "origins": {"head.safetensors": {"template": "x"}},
    }
    (CORPUS / "model.json").write_text(json.dumps(description))
    (CORPUS / "cfg.yaml").write_text(CONFIG)


if __name__ == "__main__":
    main()

"""Wavefront OBJ: the head exactly as it looks in the photo, with its texture, for every program there is."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float

from emoca_jax import render
from emoca_jax.export.obj_text import face_lines, vertex_lines
from emoca_jax.flame.head import FaceHead

_normals = jax.jit(render.vertex_normals)


def head_obj(head: FaceHead, vertices: Float[np.ndarray, "vertices 3"], *, material_file: str) -> str:
    """OBJ text: positions (metres, y up), texture coordinates (origin bottom left), normals, one group per part.

    Vertex order is the head's own, so a list of vertex numbers made for it (FLAME's masks, say) still fits.
    """
    faces, uv_faces, part_of = (np.asarray(array) for array in (head.faces, head.uv_faces, head.face_part))
    normals = np.asarray(_normals(vertices, head.faces))
    lines = [f"mtllib {material_file}", f"o {head.name or 'head'}"]
    lines += vertex_lines(vertices, np.asarray(head.uv), normals)
    for part in np.unique(part_of):
        name = head.part_names[part]
        lines += [f"g {name}", f"usemtl {name}", *face_lines(faces[part_of == part], uv_faces[part_of == part])]
    return "\n".join(lines) + "\n"


def head_mtl(head: FaceHead, *, texture_file: str) -> str:
    """MTL text: one plain material per part, all of them with the same texture."""
    blocks = [
        f"newmtl {head.part_names[part]}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {texture_file}\n"
        for part in np.unique(head.face_part)
    ]
    return "\n".join(blocks)

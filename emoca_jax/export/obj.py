"""Wavefront OBJ: the head exactly as it looks in the photo, with its texture, for every program there is."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float

from emoca_jax import render
from emoca_jax.flame.head import FaceHead

_normals = jax.jit(render.vertex_normals)


def head_obj(head: FaceHead, vertices: Float[np.ndarray, "vertices 3"], *, material_file: str) -> str:
    """OBJ text: positions (metres, y up), texture coordinates (origin bottom left), normals, one group per part.

    Vertex order is the head's own, so a list of vertex numbers made for it (FLAME's masks, say) still fits.
    """
    faces, uv_faces = np.asarray(head.faces) + 1, np.asarray(head.uv_faces) + 1
    normals = np.asarray(_normals(vertices, head.faces))
    lines = [f"mtllib {material_file}", f"o {head.name or 'head'}"]
    lines += ["v {:.6f} {:.6f} {:.6f}".format(*row) for row in vertices.tolist()]
    lines += ["vt {:.6f} {:.6f}".format(*row) for row in np.asarray(head.uv).tolist()]
    lines += ["vn {:.4f} {:.4f} {:.4f}".format(*row) for row in normals.tolist()]
    for part in np.unique(head.face_part):
        name = head.part_names[part]
        lines += [f"g {name}", f"usemtl {name}"]
        chosen = np.asarray(head.face_part) == part
        corners = np.stack([faces[chosen], uv_faces[chosen], faces[chosen]], -1).reshape(-1, 9)
        lines += ["f {}/{}/{} {}/{}/{} {}/{}/{}".format(*row) for row in corners.tolist()]
    return "\n".join(lines) + "\n"


def head_mtl(head: FaceHead, *, texture_file: str) -> str:
    """MTL text: one plain material per part, all of them with the same texture."""
    blocks = [
        f"newmtl {head.part_names[part]}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {texture_file}\n"
        for part in np.unique(head.face_part)
    ]
    return "\n".join(blocks)

"""The lines of a Wavefront OBJ file."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def vertex_lines(
    positions: Float[np.ndarray, "vertices 3"], uv: Float[np.ndarray, "uvs 2"], normals: Float[np.ndarray, "vertices 3"]
) -> list[str]:
    """Positions (six digits behind the point: micrometres), texture coordinates (origin bottom left), normals."""
    return [
        *("v {:.6f} {:.6f} {:.6f}".format(*row) for row in positions.tolist()),
        *("vt {:.6f} {:.6f}".format(*row) for row in uv.tolist()),
        *("vn {:.4f} {:.4f} {:.4f}".format(*row) for row in normals.tolist()),
    ]


def face_lines(faces: Int[np.ndarray, "faces 3"], uv_faces: Int[np.ndarray, "faces 3"]) -> list[str]:
    """Triangles by position, texture coordinate and normal (that of the position); indices count from 0 here."""
    corners = np.stack([faces, uv_faces, faces], -1).reshape(-1, 9) + 1
    return ["f {}/{}/{} {}/{}/{} {}/{}/{}".format(*row) for row in corners.tolist()]

"""What lies under each texel of the layout."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from scipy.ndimage import distance_transform_edt

from emoca_jax import render

from .mesh import HeadMesh


@dataclass(frozen=True)
class Texels:
    """Maps over the layout, row 0 at v = 1; empty texels continue their nearest covered neighbour."""

    part: np.ndarray
    """[S, S] index into PARTS"""
    position: np.ndarray
    """[S, S, 3] template, decimetres"""
    source_uv: np.ndarray
    """[S, S, 2] MakeHuman's texture coordinates"""
    eye_polar: np.ndarray
    """[S, S] angle from the pupil, radians (eyes only)"""
    eye_turn: np.ndarray
    """[S, S] angle around it"""
    sky: np.ndarray
    """[S, S] share of the sky that the skin sees"""
    mouth_sky: np.ndarray
    """[S, S] the same of what is in the mouth, the mouth being open"""


def look(
    mesh: HeadMesh,
    template: np.ndarray,
    sky: np.ndarray,
    mouth_sky: np.ndarray,
    uv: np.ndarray,
    uv_faces: np.ndarray,
    size: int,
) -> Texels:
    """Rasterise the layout at size x size."""
    fragments = render.rasterize_uv(jnp.asarray(uv, jnp.float32), jnp.asarray(uv_faces), (size, size))
    index, weights = np.asarray(fragments.face_index), np.asarray(fragments.barycentric, float)
    covered = index >= 0
    rows, columns = np.asarray(distance_transform_edt(~covered, return_distances=False, return_indices=True))
    index, weights = index[rows, columns], weights[rows, columns]

    def over(corner: np.ndarray) -> np.ndarray:
        return np.einsum("hwck,hwc->hwk", corner[index], weights)

    arms = over(mesh.eye_offsets[mesh.faces])
    return Texels(
        part=mesh.face_part[index],
        position=over(template[mesh.faces]),
        source_uv=over(mesh.source_uv),
        eye_polar=np.arctan2(np.hypot(arms[..., 0], arms[..., 1]), arms[..., 2]),
        eye_turn=np.arctan2(arms[..., 1], arms[..., 0]),
        sky=over(sky[mesh.faces][..., None])[..., 0],
        mouth_sky=over(mouth_sky[mesh.faces][..., None])[..., 0],
    )

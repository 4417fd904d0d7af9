"""Where things are on the face: masks over its triangles, from the lips' edge loops and MakeHuman's texture."""

from __future__ import annotations

import numpy as np

from .lips import Lips
from .mesh import HeadMesh
from .ties import first_largest, first_smallest

LID_REACH = 0.3
"""Decimetres around the eyeball's centre that count as lids."""


def face_regions(mesh: HeadMesh, lips: Lips, vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Masks [F]: "skin" (outer skin that a picture shows), "mouth" (both lips and corners), lips, lids."""
    skin, socket = mesh.face_part == 0, socket_faces(mesh)
    upper_lip = np.all(np.isin(mesh.faces, lips.upper), axis=1)
    lower_lip = np.all(np.isin(mesh.faces, lips.lower), axis=1)
    centroid = vertices[mesh.faces].mean(1)
    upper_lids, lower_lids = np.zeros_like(skin), np.zeros_like(skin)
    for eye, side in zip(mesh.eyes, (1, -1), strict=True):
        near = skin & ~socket & (np.linalg.norm(centroid - vertices[eye].mean(0), axis=1) < LID_REACH)
        inner, outer = lid_corners(mesh, vertices, side)
        across = (centroid[:, 0] - inner[0]) / (outer[0] - inner[0])
        line = inner[1] + across * (outer[1] - inner[1])
        between = (across > 0) & (across < 1)
        upper_lids |= near & between & (centroid[:, 1] > line)
        lower_lids |= near & between & (centroid[:, 1] <= line)
    mouth = np.all(np.isin(mesh.faces, np.concatenate([lips.upper, lips.lower])), axis=1)
    return {
        "skin": skin & ~socket & ~mouth,
        "mouth": mouth,
        "upper_lip": upper_lip,
        "lower_lip": lower_lip,
        "upper_lids": upper_lids,
        "lower_lids": lower_lids,
    }


def socket_faces(mesh: HeadMesh) -> np.ndarray:
    """Faces behind the lids: MakeHuman unwraps each eye socket as its own island."""
    centre = mesh.source_uv.mean(1)
    return (mesh.face_part == 0) & (centre[:, 0] < 0.152) & (centre[:, 1] > 0.547) & (centre[:, 1] < 0.633)


def lid_rim(mesh: HeadMesh) -> np.ndarray:
    """Vertices where lids and socket meet: the edge of both eye openings."""
    socket = socket_faces(mesh)
    return np.intersect1d(mesh.faces[socket], mesh.faces[(mesh.face_part == 0) & ~socket])


def lid_corners(mesh: HeadMesh, vertices: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Inner and outer corner of the left (side 1) or right (-1) eye opening."""
    rim = lid_rim(mesh)
    rim = rim[side * vertices[rim, 0] > 0]
    outwards = side * vertices[rim, 0]
    return vertices[rim[first_smallest(outwards)]], vertices[rim[first_largest(outwards)]]

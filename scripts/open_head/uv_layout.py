"""Packs the texture: one unit square for skin, inside of the mouth, eyes, teeth and tongue, without overlaps."""

from __future__ import annotations

import numpy as np

from .mesh import HeadMesh
from .people import face_weight
from .regions import socket_faces
from .unwrap import unwrap

MARGIN = 0.006
SKIN_BOX = (0.02, 0.0, 0.98, 0.87)
EYE_BOXES = ((0.84, 0.0, 1.0, 0.16), (0.0, 0.0, 0.16, 0.16))
"""Left and right eye, in the corners beside the neck."""
MOUTH_BOX, TONGUE_BOX = (0.0, 0.87, 0.17, 1.0), (0.17, 0.87, 0.24, 1.0)
SOCKET_BOXES = ((0.32, 0.9, 0.4, 1.0), (0.24, 0.9, 0.32, 1.0))
TEETH_BOXES = ((0.41, 0.94, 1.0, 1.0), (0.41, 0.88, 1.0, 0.94))
"""Upper and lower teeth."""
BACK_SCALE, FACE_SCALE, EYE_SCALE, MOUTH_SCALE = 0.6, 1.0, 1.2, 0.9
"""Length in the layout of the back of the head, and what face, eyes and mouth get on top."""
EYE_REACH, MOUTH_REACH = 0.28, 0.32
MOUTH_CENTRE = (0.0, -0.68, 0.3)


def pack(mesh: HeadMesh, open_head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uv [T, 2] and uv_faces [F, 3] from the head with its eyes and mouth open, the point between the eyes at 0."""
    socket = socket_faces(mesh)
    skin = (mesh.face_part == 0) & ~socket
    chart, plane = unwrap(open_head, mesh.faces[skin], mesh.mirror, _magnification(mesh, open_head, skin))
    corner = mesh.source_uv.copy()
    left = np.isin(mesh.faces[:, 0], np.flatnonzero(open_head[:, 0] > 0))
    boxes = [
        (mesh.face_part == 4, MOUTH_BOX),
        (mesh.face_part == 3, TONGUE_BOX),
        (socket & left, SOCKET_BOXES[0]),
        (socket & ~left, SOCKET_BOXES[1]),
        *((np.isin(mesh.faces[:, 0], rows), box) for rows, box in zip(mesh.eyes, EYE_BOXES, strict=True)),
    ]
    placed = np.full_like(corner, np.nan)
    placed[skin] = _fit(plane[chart], SKIN_BOX)
    for chosen, box in boxes:
        placed[chosen] = _fit(corner[chosen], box)
    for rows, box in zip(mesh.teeth, TEETH_BOXES, strict=True):
        chosen = np.isin(mesh.faces[:, 0], rows)
        placed[chosen] = _fit(corner[chosen], box, stretch=True)
    return _weld(mesh, placed)


def _magnification(mesh: HeadMesh, vertices: np.ndarray, skin: np.ndarray) -> np.ndarray:
    centre = vertices[mesh.faces[skin]].mean(1)
    scale = BACK_SCALE + FACE_SCALE * face_weight(centre)
    for eye in mesh.eyes:
        scale += EYE_SCALE * _near(centre, vertices[eye].mean(0), EYE_REACH)
    return scale + MOUTH_SCALE * _near(centre, np.array(MOUTH_CENTRE), MOUTH_REACH)


def _near(points: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    return np.exp(-(((points - centre) / reach) ** 2).sum(1))


def _fit(points: np.ndarray, box: tuple[float, float, float, float], stretch: bool = False) -> np.ndarray:
    """Scale into the box, centred, with a margin; evenly unless told to stretch."""
    low, high = points.reshape(-1, 2).min(0), points.reshape(-1, 2).max(0)
    room_low, room_high = np.array(box[:2]) + MARGIN, np.array(box[2:]) - MARGIN
    scale = (room_high - room_low) / (high - low)
    scale = scale if stretch else scale.min()
    return (points - (low + high) / 2) * scale + (room_low + room_high) / 2


def _weld(mesh: HeadMesh, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One uv vertex for all corners of the same vertex at the same place."""
    keys = np.concatenate([mesh.faces[..., None], np.round(corner * 1e6)], -1).reshape(-1, 3)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return corner.reshape(-1, 2)[first], inverse.reshape(-1, 3)

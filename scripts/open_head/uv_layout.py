"""Packs the texture: one unit square for skin, inside of the mouth, eyes, teeth and tongue, without overlaps."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from .mesh import HeadMesh

MARGIN = 0.006


def pack(mesh: HeadMesh) -> tuple[np.ndarray, np.ndarray]:
    """uv [T, 2] and uv_faces [F, 3]; the face upright in the lower half, everything else above it."""
    corner = mesh.source_uv.copy()
    head, neck = _head_island(mesh)
    skin = mesh.face_part == 0
    socket = skin & ~head & ~neck
    turned = np.stack([corner[..., 1], -corner[..., 0]], -1)
    boxes = [
        (head, turned, (0.0, 0.0, 1.0, 0.535)),
        (neck, corner, (0.62, 0.78, 1.0, 1.0)),
        (mesh.face_part == 4, corner, (0.46, 0.55, 0.7, 0.75)),
        (mesh.face_part == 3, corner, (0.72, 0.55, 0.84, 0.77)),
    ]
    for rows, box in zip(mesh.teeth, ((0.0, 0.78, 0.6, 0.88), (0.0, 0.9, 0.6, 1.0)), strict=True):
        boxes.append((np.isin(mesh.faces[:, 0], rows), corner, box))
    for rows, box in zip(mesh.eyes, ((0.0, 0.55, 0.22, 0.77), (0.23, 0.55, 0.45, 0.77)), strict=True):
        boxes.append((np.isin(mesh.faces[:, 0], rows), corner, box))
    right_socket = socket & (corner[..., 0].mean(1) < 0.08)
    boxes += [(right_socket, corner, (0.85, 0.55, 0.92, 0.66)), (socket & ~right_socket, corner, (0.93, 0.55, 1, 0.66))]
    placed = np.full_like(corner, np.nan)
    for chosen, source, box in boxes:
        placed[chosen] = _fit(source[chosen], box)
    return _weld(mesh, placed)


def _fit(points: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Scale evenly into the box, centred, with a margin."""
    low, high = points.reshape(-1, 2).min(0), points.reshape(-1, 2).max(0)
    room_low, room_high = np.array(box[:2]) + MARGIN, np.array(box[2:]) - MARGIN
    scale = ((room_high - room_low) / (high - low)).min()
    return (points - (low + high) / 2) * scale + (room_low + room_high) / 2


def _weld(mesh: HeadMesh, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keys = np.concatenate([mesh.faces[..., None], np.round(corner * 1e6)], -1).reshape(-1, 3)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return corner.reshape(-1, 2)[first], inverse.reshape(-1, 3)


def _head_island(mesh: HeadMesh) -> tuple[np.ndarray, np.ndarray]:
    """Skin faces of MakeHuman's head island and of the neck that it unwraps with the torso."""
    centre = mesh.source_uv.mean(1)
    skin = mesh.face_part == 0
    return skin & (centre[:, 0] > 0.641) & (centre[:, 1] > 0.14), skin & (centre[:, 1] > 0.82) & (centre[:, 0] < 0.641)


def islands(uv_faces: np.ndarray, count: int) -> np.ndarray:
    """Which connected piece of the layout each uv vertex belongs to."""
    edges = np.concatenate([uv_faces[:, [k, (k + 1) % 3]] for k in range(3)])
    return csgraph.connected_components(sp.coo_matrix((np.ones(len(edges)), edges.T), (count, count)), directed=False)[1]

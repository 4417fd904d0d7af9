"""Eyeballs that fit behind the lids of every person: their place is fitted to the lids, not taken from the targets."""

from __future__ import annotations

import numpy as np

from .mesh import HeadMesh
from .regions import lid_corners, lid_rim, socket_faces
from .ties import first_smallest_of_each

STEPS = 6
CENTRE_PRIOR, RADIUS_PRIOR = 2.0, 12.0
"""Weight, in lid vertices, of the place and the size that MakeHuman's targets give the eye."""
KEEP_OPENING = 0.45
OPENING_SHARE = (1.0, 0.85, 0.6, 0.35, 0.15)
"""How much of an evened opening the rings from the lid's edge on, outwards and into the socket, take part in."""
LIFT = 0.006
"""Decimetres that moving lids stay outside the eyeball of the average head."""
RING_SHARE = (1.0, 0.8, 0.5, 0.2)
"""How much of a lift the rings of vertices from the lid's edge outwards take part in."""
CLEARANCE = 0.007
"""Decimetres that the edges of resting lids stay outside the eyeball."""


def lid_margins(mesh: HeadMesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the outer edge of left and right lids, the ring around the opening that rests on the eyeball."""
    rim = lid_rim(mesh)
    skin = mesh.faces[(mesh.face_part == 0) & ~socket_faces(mesh)]
    margin = np.setdiff1d(skin[np.isin(skin, rim).any(1)], rim)
    left = np.isin(margin, _connected_side(mesh, margin))
    return margin[left], margin[~left]


def _connected_side(mesh: HeadMesh, margin: np.ndarray) -> np.ndarray:
    """Those of the margin on the left: MakeHuman unwraps the left half of the face at v above the mid-line."""
    height = np.zeros(len(mesh.mirror))
    height[mesh.faces.ravel()] = mesh.source_uv[..., 1].ravel()
    higher = margin[height[margin] > height[mesh.mirror[margin]]]
    return higher


def place(vertices: np.ndarray, mesh: HeadMesh, clearance: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The head [V, 3] with both eyeballs moved and scaled so that the lids rest on them.

    clearance: how far outside the eyeball each margin vertex should lie, left and right (decimetres).
    """
    placed = vertices.copy()
    for eye, margin, wanted in zip(mesh.eyes, lid_margins(mesh), clearance, strict=True):
        centre, radius = sphere(vertices, mesh, eye)
        c, r = centre.copy(), radius
        for _ in range(STEPS):
            arms = vertices[margin] - c
            distance = np.linalg.norm(arms, axis=1)
            gap = distance - r - wanted
            slopes = np.concatenate([-arms / distance[:, None], -np.ones((len(margin), 1))], 1)
            prior = np.diag([CENTRE_PRIOR] * 3 + [RADIUS_PRIOR])
            pull = prior @ np.concatenate([c - centre, [r - radius]])
            step = np.linalg.solve(slopes.T @ slopes + prior, -(slopes.T @ gap + pull))
            c, r = c + step[:3], r + step[3]
        placed[eye] = c + (vertices[eye] - centre) * (r / radius)
    return placed


def sphere(vertices: np.ndarray, mesh: HeadMesh, eye: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius of an eyeball, from its equator."""
    equator = eye[np.abs(mesh.eye_offsets[eye, 2]) < 1e-6]
    centre = vertices[equator].mean(0)
    return centre, float(np.linalg.norm(vertices[equator] - centre, axis=1).mean())


def clearance(vertices: np.ndarray, mesh: HeadMesh) -> tuple[np.ndarray, np.ndarray]:
    """How far outside its eyeball each margin vertex of the average head lies, at least CLEARANCE."""
    found = []
    for eye, margin in zip(mesh.eyes, lid_margins(mesh), strict=True):
        centre, radius = sphere(vertices, mesh, eye)
        found.append(np.maximum(np.linalg.norm(vertices[margin] - centre, axis=1) - radius, CLEARANCE))
    return found[0], found[1]


def even_openings(vertices: np.ndarray, average: np.ndarray, mesh: HeadMesh) -> np.ndarray:
    """The head [V, 3] with its eyes opened more like the average's: units say how open an eye is, identity how large.

    Each lid's height over the line between the corners keeps KEEP_OPENING of its difference from the average.
    """
    evened = vertices.copy()
    skin = mesh.faces[mesh.face_part == 0]
    for margin, side in zip(lid_margins(mesh), (1, -1), strict=True):
        move = (KEEP_OPENING - 1) * (_heights(vertices, margin, mesh, side) - _heights(average, margin, mesh, side))
        rings = rings_around(skin, margin, len(OPENING_SHARE))
        for ring, share in zip(rings, OPENING_SHARE, strict=True):
            nearest = first_smallest_of_each(np.linalg.norm(average[ring][:, None] - average[margin][None], axis=-1))
            evened[ring, 1] += share * move[nearest]
    return evened


def _heights(vertices: np.ndarray, margin: np.ndarray, mesh: HeadMesh, side: int) -> np.ndarray:
    """Height of the lid's edge over the line between the eye's corners."""
    inner, outer = lid_corners(mesh, vertices, side)
    along = (vertices[margin, 0] - inner[0]) / (outer[0] - inner[0])
    return vertices[margin, 1] - inner[1] - along * (outer[1] - inner[1])


def rings_around(faces: np.ndarray, first: np.ndarray, count: int) -> list[np.ndarray]:
    """The given vertices, their neighbours, those of the neighbours, and so on: `count` rings."""
    rings = [first]
    while len(rings) < count:
        rings.append(np.setdiff1d(faces[np.isin(faces, rings[-1]).any(1)], np.concatenate(rings)))
    return rings


def lift_lids(units: np.ndarray, template: np.ndarray, mesh: HeadMesh) -> np.ndarray:
    """Units [V, 3, U] that keep the lids LIFT outside the eyeball half way and all the way, on the average head.

    A lid slides over a sphere but a unit moves it along a straight line; the missing height is added to its end.
    """
    lifted = units.copy()
    skin = mesh.faces[(mesh.face_part == 0) & ~socket_faces(mesh)]
    for eye, margin in zip(mesh.eyes, lid_margins(mesh), strict=True):
        centre, radius = sphere(template, mesh, eye)
        rings = rings_around(skin, margin, len(RING_SHARE))
        lids = np.concatenate(rings)
        share = np.concatenate([np.full(len(ring), s) for ring, s in zip(rings, RING_SHARE, strict=True)])
        # Lids that lie closer at rest may stay as close.
        least = np.minimum(np.linalg.norm(template[lids] - centre, axis=1), radius + LIFT)
        for unit in range(units.shape[-1]):
            move = units[lids, :, unit]
            if not move.any():
                continue
            missing = np.zeros(len(lids))
            for part in (0.5, 0.75, 1.0):
                distance = np.linalg.norm(template[lids] + part * move - centre, axis=1)
                missing = np.maximum(missing, (least - distance) / part)
            outwards = template[lids] + move - centre
            outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
            lifted[lids, :, unit] += (share * np.clip(missing, 0, None))[:, None] * outwards
    return lifted

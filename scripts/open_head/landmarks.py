"""MediaPipe's 468 points on the open head, found by MediaPipe's own network on renderings of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from emoca_jax.mediapipe_points import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIP_CORNERS,
    LOWER_LIP_LINES,
    MESH_POINTS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_LINES,
)

from .lips import CONTACT, Lips
from .surface_points import Embedding, back_project, closest_on_surface, mirrored

MIDLINE_AND_PAIRS = ((33, 263), (133, 362), (61, 291), (234, 454), (70, 300), (145, 374), (10, 10), (152, 152), (1, 1))
"""Known mirror partners that any mirror map of the mesh has to contain."""
MOUTH_REGIONS = ("upper_lip", "lower_lip", "mouth")
"""Only views with the mouth open tell these apart."""
TRIANGULATIONS = 2
FACING = (0.1, 0.5)
SEARCH = 0.35
"""Decimetres around the first guess."""
STEPS = 10
GRID = np.array([(i, j, STEPS - i - j) for i in range(STEPS + 1) for j in range(STEPS + 1 - i)]) / STEPS
"""Barycentric weights tried in each triangle."""


@dataclass(frozen=True)
class View:
    """One rendering in which the network found the face."""

    vertices: np.ndarray
    """[V, 3] image plane: pixels x, y and depth growing away"""
    face_index: np.ndarray
    """[H, W], -1 background"""
    landmarks: np.ndarray
    """[478, 3] pixels"""
    mouth_open: bool
    frontal: bool


def mirror_map(points: np.ndarray) -> np.ndarray:
    """[468] the point on the other side, from frontal positions [468, 2 or 3] with x across: the best assignment."""
    centred = points - [np.median(points[:, 0]), *[0] * (points.shape[1] - 1)]
    flipped = centred * [-1, *[1] * (points.shape[1] - 1)]
    _, partner = linear_sum_assignment(np.linalg.norm(flipped[:, None] - centred[None], axis=-1))
    if any(partner[a] != b for a, b in MIDLINE_AND_PAIRS) or (partner[partner] != np.arange(len(partner))).any():
        raise ValueError("the detected points are not symmetric enough to tell which mirrors which")
    return partner


def embed(
    views: list[View], template: np.ndarray, faces: np.ndarray, mirror: np.ndarray, regions: dict[str, np.ndarray]
) -> Embedding:
    """All 468 points: each the place on the surface that all views together see where the network saw the point.

    A first guess is back-projected in every view and averaged; it says in which views the point faces the viewer, and
    those are then triangulated. Left and right are made mirror images.
    regions: boolean masks over faces; "skin", "mouth", "upper_lip", "lower_lip", "upper_lids", "lower_lids".
    """
    partner = mirror_map(np.mean([_normalised(v.landmarks[:MESH_POINTS]) for v in views if v.frontal], 0))
    region = region_of_point()
    total, count = np.zeros((MESH_POINTS, 3)), np.zeros((MESH_POINTS, 1))
    for view in views:
        for name, mask in regions.items():
            members = np.flatnonzero(region == name)
            if name in MOUTH_REGIONS and not view.mouth_open:
                continue
            hit = back_project(view.vertices, view.face_index, faces, mask, view.landmarks[members, :2])
            total[members] += hit.positions(template, faces)
            count[members] += 1
    mean = total / count
    mean = (mean + mean[partner] * [-1, 1, 1]) / 2
    embedding = Embedding(np.zeros(MESH_POINTS, int), np.zeros((MESH_POINTS, 3)))
    for name, mask in regions.items():
        members = np.flatnonzero(region == name)
        _assign(embedding, members, closest_on_surface(mean[members], template, faces, mask))
    for _ in range(TRIANGULATIONS):
        embedding = _triangulated(embedding, views, template, faces, mirror, regions, partner)
    return embedding


def _assign(embedding: Embedding, members: np.ndarray, found: Embedding) -> None:
    embedding.face_index[members], embedding.barycentric[members] = found.face_index, found.barycentric


def _triangulated(embedding, views, template, faces, mirror, regions, partner) -> Embedding:
    """The surface point of each landmark with the least squared distance to it over the views that it faces."""
    region = region_of_point()
    facing = np.stack([_facing(view, faces, embedding) for view in views])
    target = np.stack([view.landmarks[:MESH_POINTS, :2] for view in views])
    seen = np.stack([view.vertices[:, :2] for view in views])
    places = np.zeros((MESH_POINTS, 3))
    for point in range(MESH_POINTS):
        open_only = region[point] in MOUTH_REGIONS
        use = np.array([view.mouth_open or not open_only for view in views])
        other = partner[point]
        weight = np.concatenate([facing[:, point] * use, facing[:, other] * use])
        goal = np.concatenate([target[:, point], target[:, other]])
        mask = regions[region[point]]
        near = np.unique(faces[mask])
        start = np.einsum("ck,c->k", template[faces[embedding.face_index[point]]], embedding.barycentric[point])
        near = near[np.linalg.norm(template[near] - start, axis=1) < SEARCH]
        tracks = np.concatenate([seen[:, near], seen[:, mirror[near]]])
        error = (weight[:, None] * ((tracks - goal[:, None]) ** 2).sum(-1)).sum(0)
        best = near[np.argsort(error, kind="stable")[:4]]
        triangles = np.flatnonzero(mask & np.isin(faces, best).any(1))
        corners = np.concatenate([seen[:, faces[triangles]], seen[:, mirror[faces[triangles]]]])
        tried = np.einsum("vfck,gc->vfgk", corners, GRID)
        error = np.einsum("v,vfgk->fg", weight, (tried - goal[:, None, None]) ** 2)
        face, place = np.unravel_index(np.argmin(error), error.shape)
        places[point] = GRID[place] @ template[faces[triangles[face]]]
    result = Embedding(np.zeros(MESH_POINTS, int), np.zeros((MESH_POINTS, 3)))
    places = (places + places[partner] * [-1, 1, 1]) / 2
    for name, mask in regions.items():
        members = np.flatnonzero(region == name)
        _assign(result, members, closest_on_surface(places[members], template, faces, mask))
    return mirrored(result, faces, mirror, partner)


def on_lip_line(
    embedding: Embedding, template: np.ndarray, faces: np.ndarray, mirror: np.ndarray, lips: Lips, regions: dict
) -> Embedding:
    """The inner lip points moved onto the line where closed lips touch, each pair above one another.

    The network puts both on one spot when a mouth is closed; so must the head, or a closed mouth could not be fitted.
    """
    result = Embedding(embedding.face_index.copy(), embedding.barycentric.copy())
    places = embedding.positions(template, faces)
    pairs = list(zip(UPPER_LIP_LINES[-1], LOWER_LIP_LINES[-1], strict=True))
    for row, (line, region) in enumerate(((lips.upper, "upper_lip"), (lips.lower, "lower_lip"))):
        corner = template[np.unique(line[CONTACT])]
        corner = corner[np.argsort(corner[:, 0], kind="stable")]
        x = np.array([places[list(pair), 0].mean() for pair in pairs])
        wanted = np.stack([x, *(np.interp(x, corner[:, 0], corner[:, k]) for k in (1, 2))], 1)
        found = closest_on_surface(wanted, template, faces, regions[region])
        _assign(result, np.array([pair[row] for pair in pairs]), found)
    return mirrored(result, faces, mirror, mirror_of_points(places))


def mirror_of_points(places: np.ndarray) -> np.ndarray:
    """[468] partner of each point of a symmetric embedding."""
    return linear_sum_assignment(np.linalg.norm((places * [-1, 1, 1])[:, None] - places[None], axis=-1))[1]


def _facing(view: View, faces: np.ndarray, embedding: Embedding) -> np.ndarray:
    """[468] how much each point's triangle faces the viewer: 0 up to FACING[0], 1 from FACING[1] on."""
    corners = view.vertices[faces[embedding.face_index]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # Pixels: y runs down and depth away, both flipped against the world, so outward normals still point to -depth.
    cosine = -normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    return np.clip((cosine - FACING[0]) / (FACING[1] - FACING[0]), 0, 1) + 1e-4


def _normalised(points: np.ndarray) -> np.ndarray:
    return (points - points.mean(0)) / points.std()


def region_of_point() -> np.ndarray:
    region = np.full(MESH_POINTS, "skin", dtype="<U12")
    region[np.ravel(LOWER_LIP_LINES)] = "lower_lip"
    region[np.ravel(UPPER_LIP_LINES)] = "upper_lip"
    region[np.ravel(LIP_CORNERS)] = "mouth"
    region[[*RIGHT_UPPER_LID, *LEFT_UPPER_LID]] = "upper_lids"
    region[[*RIGHT_LOWER_LID, *LEFT_LOWER_LID]] = "lower_lids"
    return region

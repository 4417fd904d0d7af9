"""MediaPipe's 468 points and the usual 68 on the open head, found by MediaPipe's own network on renderings of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.optimize import linear_sum_assignment

from .lips import CONTACT, Lips

POINTS = 468
LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS_BETWEEN_UPPER = (
    76,
    184,
    74,
    73,
    72,
    11,
    302,
    303,
    304,
    408,
    306,
    62,
    183,
    42,
    41,
    38,
    12,
    268,
    271,
    272,
    407,
    292,
)
LIPS_BETWEEN_LOWER = (77, 90, 180, 85, 16, 315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403, 319, 325)
MOUTH_CORNERS = (61, 291, 76, 306, 62, 292, 78, 308)
LIDS_UPPER = {"right": (246, 161, 160, 159, 158, 157, 173), "left": (466, 388, 387, 386, 385, 384, 398)}
LIDS_LOWER = {"right": (7, 163, 144, 145, 153, 154, 155), "left": (249, 390, 373, 374, 380, 381, 382)}
EYE_CORNERS = {"right": (33, 133), "left": (263, 362)}
"""Outer and inner corner. Right and left are the subject's."""
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
MIDLINE_AND_PAIRS = ((33, 263), (133, 362), (61, 291), (234, 454), (70, 300), (145, 374), (10, 10), (152, 152), (1, 1))
"""Known mirror partners that any mirror map of the mesh has to contain."""

INNER_68 = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327, 33, 160, 158, 133, 153, 144,
    362, 385, 387, 263, 373, 380, 61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14,
    87,
)  # fmt: skip
"""MediaPipe's points at the places of 17-67 of the 68."""
JAW_68 = (127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356)
"""MediaPipe's points at the places of the jaw line, 0-16 of the 68 (subject's right ear to left ear)."""
LARGEST_YAW = 39

MOUTH_REGIONS = ("upper_lip", "lower_lip", "mouth")
"""Only views with the mouth open tell these apart."""
TRIANGULATIONS = 2
FACING = (0.1, 0.5)
SEARCH = 0.35
"""Decimetres around the first guess."""
_STEPS = 10
GRID = np.array([(i, j, _STEPS - i - j) for i in range(_STEPS + 1) for j in range(_STEPS + 1 - i)]) / _STEPS
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


@dataclass(frozen=True)
class Embedding:
    face_index: np.ndarray
    barycentric: np.ndarray

    def positions(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        return np.einsum("...lck,...lc->...lk", vertices[faces[self.face_index]], self.barycentric)


def mirror_map(points: np.ndarray) -> np.ndarray:
    """[468] the point on the other side, from frontal positions [468, 2 or 3] with x across: the best assignment."""
    centred = points - [np.median(points[:, 0]), *[0] * (points.shape[1] - 1)]
    flipped = centred * [-1, *[1] * (points.shape[1] - 1)]
    _, partner = linear_sum_assignment(np.linalg.norm(flipped[:, None] - centred[None], axis=-1))
    if any(partner[a] != b for a, b in MIDLINE_AND_PAIRS) or (partner[partner] != np.arange(len(partner))).any():
        raise ValueError("the detected points are not symmetric enough to tell which mirrors which")
    return partner


def back_project(view: View, faces: np.ndarray, allowed: np.ndarray, points: np.ndarray) -> Embedding:
    """The front-most allowed triangle under each pixel position [L, 2], or the nearest one beside it."""
    seen = (view.face_index >= 0) & allowed[view.face_index]
    nearest = distance_transform_edt(~seen, return_distances=False, return_indices=True)
    size = np.array(seen.shape[::-1])
    cell = np.clip(np.floor(points).astype(int), 0, size - 1)
    rows, columns = nearest[:, cell[:, 1], cell[:, 0]]
    index = view.face_index[rows, columns]
    corners = view.vertices[faces[index]][..., :2]
    return Embedding(index, _clamped_barycentric(points, corners))


def _clamped_barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)
    safe = np.where(np.abs(area) < 1e-12, 1e-12, area)
    second, third = _cross(points - a, c - a) / safe, _cross(b - a, points - a) / safe
    weights = np.clip(np.stack([1 - second - third, second, third], -1), 0, None)
    return weights / weights.sum(-1, keepdims=True)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def closest_on_surface(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, allowed: np.ndarray) -> Embedding:
    """The nearest point of the allowed triangles to each point [L, 3] (Ericson 2004, closest point on a triangle)."""
    index = np.flatnonzero(allowed)
    corners = vertices[faces[index]]
    found, weights = [], []
    for point in points:
        barycentric = closest_barycentric(point, corners)
        distance = np.linalg.norm(np.einsum("fck,fc->fk", corners, barycentric) - point, axis=1)
        best = int(np.argmin(distance))
        found.append(index[best])
        weights.append(barycentric[best])
    return Embedding(np.array(found), np.array(weights))


def closest_barycentric(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Weights [F, 3] of the point of each triangle [F, 3, 3] that lies nearest to `point`."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    scale = np.maximum(d00 * d11 - d01**2, 1e-30)
    second, third = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    inside = np.stack([1 - second - third, second, third], 1)
    candidates = [inside]
    for first, last in ((0, 1), (1, 2), (2, 0)):
        start, end = corners[:, first], corners[:, last]
        along = ((point - start) * (end - start)).sum(1) / np.maximum(((end - start) ** 2).sum(1), 1e-30)
        share = np.clip(along, 0, 1)
        weights = np.zeros((len(corners), 3))
        weights[:, first], weights[:, last] = 1 - share, share
        candidates.append(weights)
    stacked = np.stack(candidates)
    distance = np.linalg.norm(np.einsum("fck,nfc->nfk", corners, stacked) - point, axis=-1)
    distance[0, (inside < 0).any(1)] = np.inf
    return stacked[np.argmin(distance, 0), np.arange(len(corners))]


def embed(
    views: list[View], template: np.ndarray, faces: np.ndarray, mirror: np.ndarray, regions: dict[str, np.ndarray]
) -> Embedding:
    """All 468 points: each the place on the surface that all views together see where the network saw the point.

    A first guess is back-projected in every view and averaged; it says in which views the point faces the viewer, and
    those are then triangulated. Left and right are made mirror images.
    regions: boolean masks over faces; "skin", "mouth", "upper_lip", "lower_lip", "upper_lids", "lower_lids".
    """
    partner = mirror_map(np.mean([_normalised(v.landmarks[:POINTS]) for v in views if v.frontal], 0))
    region = region_of_point()
    total, count = np.zeros((POINTS, 3)), np.zeros((POINTS, 1))
    for view in views:
        for name, mask in regions.items():
            members = np.flatnonzero(region == name)
            if name in MOUTH_REGIONS and not view.mouth_open:
                continue
            hit = back_project(view, faces, mask, view.landmarks[members, :2])
            total[members] += hit.positions(template, faces)
            count[members] += 1
    mean = total / count
    mean = (mean + mean[partner] * [-1, 1, 1]) / 2
    embedding = Embedding(np.zeros(POINTS, int), np.zeros((POINTS, 3)))
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
    target = np.stack([view.landmarks[:POINTS, :2] for view in views])
    seen = np.stack([view.vertices[:, :2] for view in views])
    places = np.zeros((POINTS, 3))
    for point in range(POINTS):
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
        best = near[np.argsort(error)[:4]]
        triangles = np.flatnonzero(mask & np.isin(faces, best).any(1))
        corners = np.concatenate([seen[:, faces[triangles]], seen[:, mirror[faces[triangles]]]])
        tried = np.einsum("vfck,gc->vfgk", corners, GRID)
        error = np.einsum("v,vfgk->fg", weight, (tried - goal[:, None, None]) ** 2)
        face, place = np.unravel_index(np.argmin(error), error.shape)
        places[point] = GRID[place] @ template[faces[triangles[face]]]
    result = Embedding(np.zeros(POINTS, int), np.zeros((POINTS, 3)))
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
    pairs = list(zip(LIPS_INNER_UPPER[1:-1], LIPS_INNER_LOWER[1:-1], strict=True))
    for row, (line, region) in enumerate(((lips.upper, "upper_lip"), (lips.lower, "lower_lip"))):
        corner = template[np.unique(line[CONTACT])]
        corner = corner[np.argsort(corner[:, 0])]
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


def mirrored(embedding: Embedding, faces: np.ndarray, mirror: np.ndarray, partner: np.ndarray) -> Embedding:
    """The same with the right side replaced by the mirror image of the left, bit for bit."""
    number = {frozenset(face): k for k, face in enumerate(faces.tolist())}
    face_index, barycentric = embedding.face_index.copy(), embedding.barycentric.copy()
    for point, other in enumerate(partner):
        if other < point:
            continue
        face = faces[face_index[point]]
        image = mirror[face]
        index = number[frozenset(image.tolist())]
        order = [image.tolist().index(corner) for corner in faces[index]]
        if other != point:
            face_index[other], barycentric[other] = index, barycentric[point][order]
        else:
            _onto_midline(face_index, barycentric, point, faces, mirror)
    return Embedding(face_index, barycentric)


def _onto_midline(face_index, barycentric, point, faces, mirror) -> None:
    """A point of the mid-line loses its weight on vertices beside it."""
    own = mirror[faces[face_index[point]]] == faces[face_index[point]]
    weights = barycentric[point] * own
    if weights.sum() > 0:
        barycentric[point] = weights / weights.sum()


def _normalised(points: np.ndarray) -> np.ndarray:
    return (points - points.mean(0)) / points.std()


def region_of_point() -> np.ndarray:
    region = np.full(POINTS, "skin", dtype="<U12")
    for points in (LIPS_OUTER_LOWER, LIPS_INNER_LOWER, LIPS_BETWEEN_LOWER):
        region[list(points)] = "lower_lip"
    for points in (LIPS_OUTER_UPPER, LIPS_INNER_UPPER, LIPS_BETWEEN_UPPER):
        region[list(points)] = "upper_lip"
    region[list(MOUTH_CORNERS)] = "mouth"
    for side in ("left", "right"):
        region[list(LIDS_UPPER[side])] = "upper_lids"
        region[list(LIDS_LOWER[side])] = "lower_lids"
    return region


def contour(
    template: np.ndarray, faces: np.ndarray, allowed: np.ndarray, jaw: np.ndarray, centre: np.ndarray
) -> Embedding:
    """[79, 17] the jaw line for each yaw: every point slides along its own meridian to the visible outline.

    `jaw`: positions [17, 3] of the fixed jaw line, right ear to left ear. The meridian of a point is the plane through
    it and the front-back axis through `centre`. On it the point moves forward, never back, to where it stands out
    furthest in the picture: far side points go to the outline, near side points stay (as the 68 are labelled).
    Rows 0..39: the head turned to its left by 0..39 degrees, 40..78: to its right by 1..39.
    """
    yaws = np.radians([*range(LARGEST_YAW + 1), *(-k for k in range(1, LARGEST_YAW + 1))])
    face_index, barycentric = np.zeros((len(yaws), len(jaw)), int), np.zeros((len(yaws), len(jaw), 3))
    for column, point in enumerate(jaw):
        index, weights = _meridian(template, faces, allowed, point, centre)
        places = np.einsum("nck,nc->nk", template[faces[index]], weights)
        outwards = (point - centre)[:2] / np.linalg.norm((point - centre)[:2])
        for row, yaw in enumerate(yaws):
            across = places[:, 0] * np.cos(yaw) + places[:, 2] * np.sin(yaw)
            best = int(np.argmax(outwards[0] * across + outwards[1] * places[:, 1]))
            face_index[row, column], barycentric[row, column] = index[best], weights[best]
    return Embedding(face_index, barycentric)


def _meridian(template, faces, allowed, point, centre) -> tuple[np.ndarray, np.ndarray]:
    """Points (faces, weights) along the half-plane through `point` and the z axis at `centre`, from `point` forward."""
    radial = point - centre
    normal = np.array([-radial[1], radial[0], 0]) / np.hypot(radial[0], radial[1])
    height = (template - centre) @ normal
    found, weights = [], []
    for index in np.flatnonzero(allowed & (np.ptp(np.sign(height[faces]), axis=1) > 0)):
        ends = []
        for first, last in ((0, 1), (1, 2), (2, 0)):
            h0, h1 = height[faces[index][[first, last]]]
            if (h0 > 0) != (h1 > 0):
                end = np.zeros(3)
                end[first], end[last] = h1 / (h1 - h0), -h0 / (h1 - h0)
                ends.append(end)
        for share in np.linspace(0, 1, 4) if len(ends) == 2 else ():
            found.append(index)
            weights.append((1 - share) * ends[0] + share * ends[1])
    start = closest_on_surface(point[None], template, faces, allowed)
    index, weights = np.array([start.face_index[0], *found]), np.array([start.barycentric[0], *weights])
    places = np.einsum("nck,nc->nk", template[faces[index]], weights)
    ahead = ((places - centre) @ radial > 0) & (places[:, 2] >= places[0, 2])
    ahead[0] = True
    return index[ahead], weights[ahead]

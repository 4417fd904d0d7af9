"""The head's mesh: which of MakeHuman's quads it keeps, new eyeballs and teeth, and how offsets carry over."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from .source import BaseMesh
from .ties import first_largest

PARTS = ("skin", "eyes", "teeth", "tongue", "mouth_interior")
NECK_LOOP_START = 1522
"""Front mid-line vertex of the edge loop where the neck is cut, a little above the collar bones."""
SOCKET_RINGS = 5
"""Rings of the eye socket that stay behind the lids, so that no gap beside the eyeball shows the inside of the head."""

EYE_RINGS = np.radians([6, 12, 17, 22, 26, 29.5, 33, 40, 52, 68, 90, 110])
"""Polar angles from the pupil; 17 degrees is the pupil's edge at 3.9 mm, 29.5 the iris' at 11.7 mm, as in adults."""
EYE_SECTORS = 20
EYE_UV_POWER = 0.65
"""Radius in the texture over polar angle to this power: the iris gets 43 % of the disc's radius."""
CORNEA_RISE = 0.035
"""How far the cornea stands out of the eyeball, in radii, at the pole."""
CORNEA_EDGE = np.radians(31)

TEETH_PER_ROW = 14
COLUMNS_PER_TOOTH = 3
TOOTH_BULGE = 0.0045
"""Decimetres that the middle of a tooth stands before its edges."""


@dataclass(frozen=True)
class HeadMesh:
    """Topology of the open head and the linear map that carries MakeHuman positions and offsets to its vertices."""

    faces: np.ndarray
    face_part: np.ndarray
    source_uv: np.ndarray
    """[F, 3, 2] MakeHuman's texture coordinates of each corner (made up for eyes and teeth)."""
    mirror: np.ndarray
    """[V] the vertex on the other side; an involution"""
    rows: sp.csr_matrix
    """[V, 19158] weights of MakeHuman's vertices (eyes: the mean of the helper eye, i.e. its centre)"""
    eye_offsets: np.ndarray
    """[V, 3] unit offsets from the eyeball's centre, zero elsewhere; left then right eye"""
    eyes: tuple[np.ndarray, np.ndarray]
    """Vertices of left and right eyeball"""
    helper_eyes: tuple[np.ndarray, np.ndarray]
    teeth: tuple[np.ndarray, np.ndarray]
    """Vertices of upper and lower teeth"""
    tooth_shape: np.ndarray
    """[V, 2] (bulge outwards in decimetres, 0; incisal scallop in decimetres upwards)"""
    tongue: np.ndarray
    source_vertex: np.ndarray
    """[V] MakeHuman's index of the vertices taken over as they are, else -1"""


def build_mesh(base: BaseMesh) -> HeadMesh:
    """Select, cut, replace eyes and teeth, triangulate mirror-symmetrically."""
    uv_corner = base.uv[base.uv_quads]
    kept = _above_neck(base) & (base.groups == "body")
    kept &= ~_deep_socket(base, uv_corner)
    interior = kept & _is_mouth_interior(uv_corner)
    tongue = base.groups == "helper-tongue"
    quads = np.concatenate([base.quads[kept], base.quads[tongue]])
    quad_uv = np.concatenate([uv_corner[kept], uv_corner[tongue]])
    quad_part = np.concatenate([np.where(interior[kept], 4, 0), np.full(tongue.sum(), 3)])

    source_vertex = np.unique(quads)
    number = np.full(len(base.vertices), -1)
    number[source_vertex] = np.arange(len(source_vertex))
    mirror = number[base.mirror[source_vertex]]
    rows = sp.csr_matrix(
        (np.ones(len(source_vertex)), (np.arange(len(source_vertex)), source_vertex)),
        (len(source_vertex), len(base.vertices)),
    )
    faces, corner_uv, parts = _triangulate(base.vertices[source_vertex], number[quads], quad_uv, quad_part, mirror)
    pieces = _Pieces(rows, mirror, faces, corner_uv, parts)
    tongue_vertices = number[np.unique(base.quads[tongue])]

    teeth = []
    shape_parts = [np.zeros((len(source_vertex), 2))]
    for name in ("helper-upper-teeth", "helper-lower-teeth"):
        tooth_rows, tooth_quads, tooth_uv, shape = _teeth(base, name)
        tooth_faces, tooth_corner_uv, tooth_parts = _triangulate(
            tooth_rows @ base.vertices,
            tooth_quads,
            tooth_uv[tooth_quads],
            np.full(len(tooth_quads), 2),
            _grid_mirror(shape),
        )
        teeth.append(pieces.add(tooth_rows, _grid_mirror(shape), tooth_faces, tooth_corner_uv, tooth_parts))
        shape_parts.append(np.stack([shape["bulge"], shape["scallop"]], 1))

    helpers = (base.group("helper-l-eye"), base.group("helper-r-eye"))
    directions, eye_faces, eye_uv = _eyeball()
    left, right = _eye_numbers(pieces.count, len(directions))
    for side, helper in enumerate(helpers):
        centre = sp.csr_matrix(np.tile(indicator(helper, len(base.vertices)), (len(directions), 1)))
        flipped = eye_faces[:, ::-1] if side else eye_faces
        flipped_uv = eye_uv[:, ::-1] if side else eye_uv
        pieces.add(centre, np.arange(len(directions)), flipped, flipped_uv, np.full(len(eye_faces), 1))
    pieces.mirror[left], pieces.mirror[right] = right, left

    total = pieces.count
    eye_offsets = np.zeros((total, 3))
    eye_offsets[left], eye_offsets[right] = directions, directions * [-1, 1, 1]
    tooth_shape = np.zeros((total, 2))
    known = np.concatenate(shape_parts)
    tooth_shape[: len(known)] = known
    sources = np.full(total, -1)
    sources[: len(source_vertex)] = source_vertex
    return HeadMesh(
        pieces.faces, pieces.parts, pieces.uv, pieces.mirror, sp.csr_matrix(pieces.rows), eye_offsets, (left, right),
        helpers, (teeth[0], teeth[1]), tooth_shape, tongue_vertices, sources,
    )  # fmt: skip


class _Pieces:
    """Grows the mesh piece by piece."""

    def __init__(self, rows, mirror, faces, uv, parts):
        self.rows, self.mirror, self.faces, self.uv, self.parts = rows, mirror, faces, uv, parts

    @property
    def count(self) -> int:
        return len(self.mirror)

    def add(self, rows, mirror, faces, uv, parts) -> np.ndarray:
        start = self.count
        self.rows = sp.vstack([self.rows, rows])
        self.mirror = np.concatenate([self.mirror, mirror + start])
        self.faces = np.concatenate([self.faces, faces + start])
        self.uv = np.concatenate([self.uv, uv])
        self.parts = np.concatenate([self.parts, parts])
        return np.arange(start, self.count)


def indicator(vertices: np.ndarray, size: int) -> np.ndarray:
    row = np.zeros(size)
    row[vertices] = 1 / len(vertices)
    return row


def _eye_numbers(start: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    return start + np.arange(size), start + size + np.arange(size)


def edge_loops(base: BaseMesh, starts: tuple[int, ...]) -> list[list[int]]:
    """Edge loops of the body from mid-line vertices over the left side to where they meet the mid-line again."""
    neighbours, edge_quads = defaultdict(set), defaultdict(set)
    for index in np.flatnonzero(base.groups == "body"):
        quad = base.quads[index]
        for a, b in zip(quad, np.roll(quad, -1), strict=True):
            neighbours[a].add(b)
            neighbours[b].add(a)
            edge_quads[frozenset((a, b))].add(index)
    loops = []
    for start in starts:
        path = [start, max(neighbours[start], key=lambda n: base.vertices[n, 0])]
        while base.mirror[path[-1]] != path[-1]:
            before, here = path[-2], path[-1]
            beside = edge_quads[frozenset((before, here))]
            path.append(next(n for n in neighbours[here] if not beside & edge_quads[frozenset((here, n))]))
        loops.append(path)
    return loops


def _above_neck(base: BaseMesh) -> np.ndarray:
    """Quads on the head's side of the closed edge loop through NECK_LOOP_START."""
    body = np.flatnonzero(base.groups == "body")
    edge_quads = defaultdict(list)
    for index in body:
        for edge in zip(base.quads[index], np.roll(base.quads[index], -1), strict=True):
            edge_quads[frozenset(edge)].append(index)
    (left,) = edge_loops(base, (NECK_LOOP_START,))
    path = [*left, *base.mirror[left][::-1]]
    fence = {frozenset(edge) for edge in itertools.pairwise(path)}
    above = np.zeros(len(base.quads), bool)
    crown = body[first_largest(base.vertices[base.quads[body]][:, :, 1].mean(1))]
    stack = [crown]
    above[crown] = True
    while stack:
        quad = base.quads[stack.pop()]
        for a, b in zip(quad, np.roll(quad, -1), strict=True):
            edge = frozenset((a, b))
            for other in edge_quads[edge]:
                if edge not in fence and not above[other]:
                    above[other] = True
                    stack.append(other)
    return above


def _is_mouth_interior(uv_corner: np.ndarray) -> np.ndarray:
    """MakeHuman unwraps the inside of the mouth as its own island at the lower right."""
    centre = uv_corner.mean(1)
    return (centre[:, 0] > 0.7576) & (centre[:, 1] < 0.1365)


def _deep_socket(base: BaseMesh, uv_corner: np.ndarray) -> np.ndarray:
    """The back of the eye sockets (their own two islands), all but SOCKET_RINGS rings behind the lids."""
    centre = uv_corner.mean(1)
    socket = (centre[:, 0] < 0.152) & (centre[:, 1] > 0.547) & (centre[:, 1] < 0.633) & (base.groups == "body")
    face = np.unique(base.quads[(base.groups == "body") & ~socket])
    near = np.zeros(len(base.vertices), bool)
    near[face] = True
    reached = np.zeros(len(base.quads), bool)
    for _ in range(SOCKET_RINGS):
        ring = socket & near[base.quads].any(1)
        reached |= ring
        near[np.unique(base.quads[ring])] = True
    return socket & ~reached


def _triangulate(vertices, quads, uv, parts, mirror):
    """Two triangles per quad along the shorter diagonal; the mirrored quad gets the mirrored diagonal."""
    first = np.linalg.norm(vertices[quads[:, 0]] - vertices[quads[:, 2]], axis=1)
    second = np.linalg.norm(vertices[quads[:, 1]] - vertices[quads[:, 3]], axis=1)
    wanted = np.where(first[:, None] <= second[:, None], quads[:, [0, 2]], quads[:, [1, 3]])
    number = {frozenset(quad): index for index, quad in enumerate(quads)}
    for index, quad in enumerate(quads):
        other = number[frozenset(mirror[quad])]
        if other > index:
            wanted[other] = mirror[wanted[index]]
    split_02 = (np.sort(wanted, 1) == np.sort(quads[:, [0, 2]], 1)).all(1)
    order = np.where(split_02[:, None, None], [[0, 1, 2], [0, 2, 3]], [[0, 1, 3], [1, 2, 3]])
    pick = np.arange(len(quads))[:, None, None]
    return quads[pick, order].reshape(-1, 3), uv[pick, order].reshape(-1, 3, 2), np.repeat(parts, 2)


def _eyeball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sphere open at the back, pole to +z, with a slight cornea: unit offsets, faces, corner uv.

    uv: a disc in [-1, 1], the pole in the middle, the iris enlarged.
    """
    turn = 2 * np.pi * np.arange(EYE_SECTORS) / EYE_SECTORS
    polar = np.concatenate([[0.0], np.repeat(EYE_RINGS, EYE_SECTORS)])
    around = np.concatenate([[0.0], np.tile(turn, len(EYE_RINGS))])
    rise = 1 + CORNEA_RISE * np.clip(1 - (polar / CORNEA_EDGE) ** 2, 0, None)
    plane = np.stack([np.cos(around), np.sin(around)], 1)
    offsets = np.concatenate([plane * np.sin(polar)[:, None], np.cos(polar)[:, None]], 1) * rise[:, None]
    uv = plane * ((polar / EYE_RINGS[-1]) ** EYE_UV_POWER)[:, None]
    faces = [[0, 1 + k, 1 + (k + 1) % EYE_SECTORS] for k in range(EYE_SECTORS)]
    for ring in range(len(EYE_RINGS) - 1):
        inner, outer = 1 + ring * EYE_SECTORS, 1 + (ring + 1) * EYE_SECTORS
        for k in range(EYE_SECTORS):
            j = (k + 1) % EYE_SECTORS
            faces += [[inner + k, outer + k, outer + j], [inner + k, outer + j, inner + j]]
    return offsets, np.array(faces), uv[np.array(faces)]


def _teeth(base: BaseMesh, name: str):
    """One row of teeth: MakeHuman's strip of 17 x 4 vertices resampled so that each tooth has its own columns.

    Rows from the gum over the front to the incisal edge and up the back. Returns MakeHuman's vertices' weights, quads,
    uv in [0, 1]^2 and the grid: column, row, side, and the two shape amounts of each vertex.
    """
    grid = _strip_grid(base, name)
    front = base.vertices[grid[:, 1]]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(front, axis=0), axis=1))])
    columns = TEETH_PER_ROW * COLUMNS_PER_TOOTH + 1
    place = np.interp(np.linspace(0, along[-1], columns), along, np.arange(len(along)))
    # gum top, gum, two at the gum line, two of the crown, near the edge, edge, back of the edge, back
    levels = np.array([0.0, 0.45, 0.85, 1.0, 1.25, 1.6, 1.85, 2.0, 2.2, 3.0])
    entries = []
    for level in levels:
        for column in place:
            weights = np.zeros(len(base.vertices))
            for c, wc in _linear(column, grid.shape[0]):
                for r, wr in _linear(level, grid.shape[1]):
                    weights[grid[c, r]] += wc * wr
            entries.append(sp.csr_matrix(weights))
    index = np.arange(len(levels) * columns).reshape(len(levels), columns)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    quads = np.stack([a, b, c, d], -1).reshape(-1, 4)
    if name == "helper-lower-teeth":
        quads = quads[:, ::-1]
    within = np.abs(((np.arange(columns) % COLUMNS_PER_TOOTH) / COLUMNS_PER_TOOTH) - 0.5) * 2
    crown = np.array([0, 0, 0.3, 0.6, 1, 1, 0.9, 0.5, 0, 0])
    at_edge = np.array([0, 0, 0, 0, 0, 0, 0.3, 1, 0.8, 0])
    upwards = 1 if name == "helper-upper-teeth" else -1
    u, v = np.meshgrid(np.linspace(0, 1, columns), levels / levels[-1])
    grid_shape = {
        "columns": columns,
        "levels": len(levels),
        "bulge": np.outer(crown, TOOTH_BULGE * (0.5 - within**4)).ravel(),
        "scallop": upwards * np.outer(at_edge, 0.006 * within**4).ravel(),
    }
    uv = np.stack([u, 1 - v], -1).reshape(-1, 2)
    return sp.vstack(entries).tocsr(), quads, uv, grid_shape


def _grid_mirror(shape) -> np.ndarray:
    index = np.arange(shape["levels"] * shape["columns"]).reshape(shape["levels"], shape["columns"])
    return index[:, ::-1].ravel()


def _linear(position: float, size: int):
    low = min(int(position), size - 2)
    return [(low, 1 - (position - low)), (low + 1, position - low)]


def _strip_grid(base: BaseMesh, name: str) -> np.ndarray:
    """Vertices of a strip of quads as [columns, rows], columns from the right side to the left, rows from the gum."""
    quads = base.quads[base.groups == name]
    vertices = np.unique(quads)
    edges = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])
    graph = sp.coo_matrix((np.ones(len(edges)), edges.T), (len(base.vertices),) * 2)
    corners = vertices[np.bincount(quads.ravel(), minlength=len(base.vertices))[vertices] == 1]
    right = corners[base.vertices[corners, 0] < 0]
    gum, back = right[np.argsort(base.vertices[right, 0])]  # the front of the strip lies further out than its back
    from_gum, from_back = csgraph.shortest_path(graph, directed=False, unweighted=True, indices=[gum, back])
    last_row = from_gum[back]
    from_gum, from_back = from_gum[vertices], from_back[vertices]
    column = ((from_gum + from_back - last_row) / 2).astype(int)
    row = ((from_gum - from_back + last_row) / 2).astype(int)
    grid = np.zeros((column.max() + 1, row.max() + 1), int)
    grid[column, row] = vertices
    return grid

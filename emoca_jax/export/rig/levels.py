"""Levels of detail: the head's own triangles, and fewer of them over the same vertices.

Half-edge collapses (a vertex moves into a neighbour and is gone) in the order of quadric errors (Garland and Heckbert,
SIGGRAPH 1997), the worst over all expressions. Vertices of a coarser level are vertices of the head, so texture
coordinates, skin weights and morph targets stay exactly what they are. Libraries that simplify place new vertices
(fast-simplification, pymeshlab) or see one pose of the mesh only (meshoptimizer).
"""

from __future__ import annotations

import functools
import hashlib
import heapq
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from emoca_jax.flame.head import FaceHead

LEVELS = (0.5, 0.2)
"""Share of the head's triangles that the second and the third level have."""
STRETCH = 2.0
"""Standard deviations to which a head's directions are tried where they are no units."""
SHORT_EDGES = 1e-3
"""Share of an edge's squared length that is added to its error: flat places keep even triangles."""
HIDDEN = {"tongue": 0.1, "mouth_interior": 0.1}
"""What an error counts in parts that are seldom seen. Elsewhere every triangle of the head counts the same, so that
lids and lips, where it has many small ones, keep theirs."""
LEAST_COSINE = 0.2
"""No triangle may turn further than by this in one collapse, in any expression."""
SIDES = [[0, 1], [1, 2], [2, 0]]
"""Corners at the ends of a triangle's sides."""
MILLIMETRES = 1000.0


class Triangles(NamedTuple):
    """Triangles over a head's vertices, as `FaceHead` keeps them."""

    faces: Int[np.ndarray, "faces 3"]
    uv_faces: Int[np.ndarray, "faces 3"]
    face_part: Int[np.ndarray, "faces"]


def all_triangles(head: FaceHead) -> Triangles:
    """All triangles of the head."""
    return Triangles(np.asarray(head.faces), np.asarray(head.uv_faces), np.asarray(head.face_part))


def coarser_triangles(head: FaceHead) -> list[Triangles]:
    """The head with ever fewer triangles: a surface for each of `LEVELS`.

    Vertices at open borders, seams of the texture and borders of parts stay, so a share may not be reached.
    Pure: the same head gives the same triangles, after seconds the first time.
    """
    return _coarser(_Key(head))


class _Key:
    """A head as what its levels depend on, so that the next face of the same head need not wait."""

    def __init__(self, head: FaceHead):
        self.head = head
        arrays = (head.template, head.expression_dirs, head.faces, head.uv_faces, head.face_part)
        self.digest = hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays)).digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.digest == other.digest


@functools.lru_cache(maxsize=2)
def _coarser(key: _Key) -> list[Triangles]:
    mesh = _Collapsing(key.head)
    levels = []
    for share in LEVELS:
        mesh.reduce(round(share * len(key.head.faces)))
        levels.append(mesh.triangles())
    return levels


def fixed_vertices(triangles: Triangles, vertices: int) -> Bool[np.ndarray, "vertices"]:
    """Vertices that no level may lose: at open borders, at seams of the texture, between parts."""
    fixed = np.zeros(vertices, bool)
    ends = triangles.faces[:, SIDES].reshape(-1, 2)
    order = np.argsort(ends, axis=1)
    edges = np.take_along_axis(ends, order, 1)
    unique, number, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    fixed[unique[count != 2]] = True
    # Edges whose two faces disagree about an end of them: the last vertex of a cut has one texture coordinate only.
    for labels in (triangles.uv_faces, np.repeat(triangles.face_part[:, None], 3, axis=1)):
        told = np.take_along_axis(labels[:, SIDES].reshape(-1, 2), order, 1)
        versions = np.unique(np.concatenate([number.reshape(-1, 1), told], axis=1), axis=0)
        fixed[unique[np.bincount(versions[:, 0]) > 1]] = True
    return fixed


class _Collapsing:
    """A mesh that loses its cheapest edge, over and over."""

    def __init__(self, head: FaceHead):
        start = all_triangles(head)
        self.faces, self.uv_faces, self.part = start.faces.copy(), start.uv_faces.copy(), start.face_part
        self.uv = np.asarray(head.uv, float)
        rest = MILLIMETRES * np.asarray(head.template, float)
        reach = MILLIMETRES * (1.0 if head.bounded_expression else STRETCH)
        shapes = rest + reach * np.moveaxis(np.asarray(head.expression_dirs, float), -1, 0)
        self.points = np.concatenate([rest[None], shapes])
        """[expressions, V, 3], the first at rest; millimetres."""
        self.alive = np.ones(len(self.faces), bool)
        self.around: list[set[int]] = [set() for _ in rest]
        for face, corners in enumerate(self.faces.tolist()):
            for vertex in corners:
                self.around[vertex].add(face)
        self.fixed = fixed_vertices(start, len(rest))
        self._first_errors(np.array([HIDDEN.get(name, 1.0) for name in head.part_names])[self.part])

    def triangles(self) -> Triangles:
        return Triangles(self.faces[self.alive], self.uv_faces[self.alive], self.part[self.alive])

    def reduce(self, faces: int) -> None:
        """Collapse until so many faces are left, or no vertex can go."""
        left = int(self.alive.sum())
        while left > faces and self.queue:
            _, gone, kept, age = heapq.heappop(self.queue)
            if age != self.age[gone] + self.age[kept] or not self._may_collapse(gone, kept):
                continue
            left -= self._collapse(gone, kept)

    def _first_errors(self, weight: np.ndarray) -> None:
        corners = self.points[:, self.faces]
        cross = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
        twice = np.linalg.norm(cross, axis=-1, keepdims=True)
        normal = cross / np.maximum(twice, 1e-12)
        plane = np.concatenate([normal, -(normal * corners[:, :, 0]).sum(-1, keepdims=True)], -1)
        outer = weight[:, None, None] * plane[..., :, None] * plane[..., None, :]
        self.quadric = np.zeros((self.points.shape[1], len(self.points), 4, 4))
        for corner in range(3):
            np.add.at(self.quadric, self.faces[:, corner], outer.swapaxes(0, 1) / 3)
        self.age = np.zeros(self.points.shape[1], int)
        edges = np.unique(np.sort(self.faces[:, SIDES].reshape(-1, 2), axis=1), axis=0)
        both = np.concatenate([edges, edges[:, ::-1]])
        self.queue: list[tuple[float, int, int, int]] = []
        for some in np.array_split(both[~self.fixed[both[:, 0]]], 16):
            self._enqueue(some[:, 0], some[:, 1])

    def _enqueue(self, gone: np.ndarray, kept: np.ndarray) -> None:
        """Error of putting each vertex of `gone` where `kept` is: the worst over all expressions."""
        place = np.concatenate([self.points[:, kept], np.ones((len(self.points), len(kept), 1))], -1).swapaxes(0, 1)
        errors = np.einsum("npi,npij,npj->np", place, self.quadric[gone] + self.quadric[kept], place).max(1)
        length = ((self.points[0, gone] - self.points[0, kept]) ** 2).sum(-1)
        errors = errors + SHORT_EDGES * length
        ages = self.age[gone] + self.age[kept]
        for entry in zip(errors.tolist(), gone.tolist(), kept.tolist(), ages.tolist(), strict=True):
            heapq.heappush(self.queue, entry)

    def _neighbours(self, vertex: int) -> set[int]:
        found = {int(corner) for face in self.around[vertex] for corner in self.faces[face]}
        return found - {vertex}

    def _may_collapse(self, gone: int, kept: int) -> bool:
        """The surface stays one without folds: neither edges with three faces nor triangles that turn over."""
        shared = self.around[gone] & self.around[kept]
        if len(shared) != 2 or len(self._neighbours(gone) & self._neighbours(kept)) != 2:
            return False
        turned = sorted(self.around[gone] - shared)
        if not turned:
            return False
        faces, moved = self.faces[turned], np.where(self.faces[turned] == gone, kept, self.faces[turned])
        before, after = _crosses(self.points, faces), _crosses(self.points, moved)
        lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
        if ((before * after).sum(-1) <= LEAST_COSINE * lengths)[0].any() or ((before * after).sum(-1) < 0).any():
            return False
        uv_faces = self.uv_faces[turned]
        (uv_gone,), uv_kept = np.unique(uv_faces[faces == gone]), self._uv_of(kept, shared)
        flat = np.concatenate([self.uv, np.zeros((len(self.uv), 1))], -1)[None]
        areas = [
            _crosses(flat, corners)[..., 2] for corners in (uv_faces, np.where(uv_faces == uv_gone, uv_kept, uv_faces))
        ]
        return bool((areas[0] * areas[1] > 0).all())

    def _uv_of(self, vertex: int, faces: set[int]) -> int:
        """The texture coordinate that a vertex has in a face of these (one and the same on one side of any seam)."""
        face = min(faces)
        return int(self.uv_faces[face][self.faces[face] == vertex][0])

    def _collapse(self, gone: int, kept: int) -> int:
        """Move `gone` into `kept`; returns how many faces have vanished."""
        shared = self.around[gone] & self.around[kept]
        uv_kept = self._uv_of(kept, shared)
        for face in shared:
            self.alive[face] = False
            for vertex in self.faces[face].tolist():
                self.around[vertex].discard(face)
        for face in self.around[gone]:
            corner = self.faces[face] == gone
            self.faces[face][corner], self.uv_faces[face][corner] = kept, uv_kept
            self.around[kept].add(face)
        self.around[gone] = set()
        self.quadric[kept] += self.quadric[gone]
        # Errors of all edges around are new; what waits in the queue is too old then.
        self.age[gone] += 1
        self.age[kept] += 1
        ring = np.array(sorted(self._neighbours(kept)), int)
        one, other = np.concatenate([ring, np.full(len(ring), kept)]), np.concatenate([np.full(len(ring), kept), ring])
        free = ~self.fixed[one]
        if free.any():
            self._enqueue(one[free], other[free])
        return len(shared)


def _crosses(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = points[:, faces]
    return np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])

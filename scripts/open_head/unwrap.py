"""Unwraps the skin: Tutte's embedding first, then the least symmetric Dirichlet distortion of a face-enlarging metric.

Both steps keep every triangle's orientation, so no part of the skin ever lies over another.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import factorized

from .ties import first_largest

ITERATIONS = 400
HISTORY = 12
ARMIJO = 1e-4
STEP_SHARE = 0.8
"""How much of the way to the first triangle that would turn over one step may go (Smith and Schaefer 2015)."""


def unwrap(vertices: np.ndarray, faces: np.ndarray, mirror: np.ndarray, scale: np.ndarray):
    """Plane layout of the head's skin, cut along the back of the head from the neck's edge to the crown.

    vertices [V, 3] in the world frame with eyes and mouth open, faces [F, 3] of the skin alone, mirror [V], scale [F]:
    how much larger than life (in length) each face should be. Returns chart faces [F, 3] and positions
    [C, 2] (x to the subject's left, y up).
    """
    chart, origin, partner = _cut_back(vertices, faces, mirror)
    boundary, *holes = outline(chart)
    size, real = len(origin), len(chart)
    chart, places = _fill(chart, vertices[origin], holes)
    partner = np.concatenate([partner, _filled_partner(partner, holes, size)])
    edges = vertices[origin[np.roll(boundary, -1)]] - vertices[origin[boundary]]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(edges, axis=1))])
    own = partner[boundary] == boundary
    front = first_largest(np.where(own, vertices[origin[boundary], 2], -np.inf))
    angle = 2 * np.pi * (along[:-1] - along[front]) / along[-1] - np.pi / 2
    plane = tutte(chart, boundary, np.stack([np.cos(angle), np.sin(angle)], 1), len(places))
    scale = np.concatenate([scale, np.full(len(chart) - real, np.median(scale))])
    rest = flat_triangles(places, chart) * scale[:, None, None]
    energy = Distortion(chart, rest)
    # Start at the scale that the rest shape asks for.
    plane = plane / np.sqrt(np.linalg.det(energy.jacobian(plane)) @ energy.area)
    plane = relax(_symmetric(plane, partner), energy, partner)
    return chart[:real], plane[:size]


def _fill(chart: np.ndarray, places: np.ndarray, holes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Fans over the eye openings and the mouth, so that their two edges cannot slide over each other."""
    faces, centres = [chart], []
    for number, hole in enumerate(holes):
        centre = len(places) + number
        faces.append(np.stack([np.roll(hole, -1), hole, np.full(len(hole), centre)], 1))
        centres.append(places[hole].mean(0))
    return np.concatenate(faces), np.concatenate([places, np.array(centres)])


def _filled_partner(partner: np.ndarray, holes: list[np.ndarray], size: int) -> np.ndarray:
    """Mirror image of each fan's centre."""
    image = [next(k for k, other in enumerate(holes) if np.isin(partner[hole], other).all()) for hole in holes]
    return size + np.array(image)


def _cut_back(vertices: np.ndarray, faces: np.ndarray, mirror: np.ndarray):
    """Chart faces, each chart vertex's original and its mirror image; mid-line vertices at the back become two."""
    used = np.unique(faces)
    middle = used[mirror[used] == used]
    crown = middle[first_largest(vertices[middle, 1])]
    behind = middle[(vertices[middle, 2] < vertices[crown, 2]) & _reached(faces, middle, crown, vertices)[middle]]
    number = np.full(len(mirror), -1)
    number[used] = np.arange(len(used))
    twin = number.copy()
    twin[behind] = len(used) + np.arange(len(behind))
    right = vertices[faces].mean(1)[:, 0] < 0
    chart = np.where(right[:, None], twin[faces], number[faces])
    partner = np.concatenate([number[mirror[used]], number[behind]])
    partner[number[behind]] = twin[behind]
    return chart, np.concatenate([used, behind]), partner


def _reached(faces: np.ndarray, middle: np.ndarray, start: int, vertices: np.ndarray) -> np.ndarray:
    """Mask over vertices: the mid-line ones that a walk along the mid-line from `start` backwards meets."""
    on_line = np.zeros(len(vertices), bool)
    on_line[middle] = True
    edges = np.concatenate([faces[:, [k, (k + 1) % 3]] for k in range(3)])
    edges = edges[on_line[edges].all(1)]
    neighbours = defaultdict(set)
    for a, b in edges.tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    met = np.zeros(len(vertices), bool)
    stack = [n for n in neighbours[start] if vertices[n, 2] < vertices[start, 2]]
    while stack:
        here = stack.pop()
        if not met[here] and here != start:
            met[here] = True
            stack.extend(neighbours[here])
    return met


def outline(faces: np.ndarray) -> list[np.ndarray]:
    """Closed boundary loops, the longest first, in the direction of the faces' edges."""
    edges = np.concatenate([faces[:, [k, (k + 1) % 3]] for k in range(3)])
    known = {tuple(edge) for edge in edges.tolist()}
    following = defaultdict(list)
    for a, b in known:
        if (b, a) not in known:
            following[a].append(b)
    loops = []
    while following:
        start = next(iter(following))
        loop = [start]
        while True:
            successors = following[loop[-1]]
            step = successors.pop()
            if not successors:
                del following[loop[-1]]
            if step == start:
                break
            loop.append(step)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def tutte(faces: np.ndarray, boundary: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Every inner vertex at the mean of its neighbours, the boundary at the given places on a convex curve."""
    edges = np.concatenate([faces[:, [k, (k + 1) % 3]] for k in range(3)])
    adjacency = sp.coo_matrix((np.ones(len(edges)), edges.T), (count, count)).tocsr()
    adjacency = ((adjacency + adjacency.T) > 0).astype(float)
    laplacian = sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    inner = np.setdiff1d(np.arange(count), boundary)
    solve = factorized(laplacian[inner][:, inner].tocsc())
    plane = np.zeros((count, 2))
    plane[boundary] = places
    pull = -laplacian[inner][:, boundary] @ places
    plane[inner] = np.stack([solve(pull[:, k]) for k in range(2)], 1)
    return plane


class Distortion:
    """Symmetric Dirichlet energy of a plane layout against rest triangles: sum of area (|J|^2 + |J^-1|^2)."""

    def __init__(self, faces: np.ndarray, rest: np.ndarray):
        """rest: [F, 2, 2] the two edge vectors of each triangle laid flat, as columns."""
        self.faces, self.count = faces, int(faces.max()) + 1
        self.area = np.abs(np.linalg.det(rest)) / 2
        self.area = self.area / self.area.sum()
        self.inverse = np.linalg.inv(rest)

    def jacobian(self, plane: np.ndarray) -> np.ndarray:
        corners = plane[self.faces]
        edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], -1)
        return edges @ self.inverse

    def value_and_slope(self, plane: np.ndarray) -> tuple[float, np.ndarray]:
        j = self.jacobian(plane)
        determinant = np.linalg.det(j)
        if (determinant <= 0).any():
            return np.inf, np.zeros_like(plane)
        size = (j**2).sum((1, 2))
        value = float((self.area * size * (1 + determinant**-2)).sum())
        cofactor = np.stack([np.stack([j[:, 1, 1], -j[:, 1, 0]], -1), np.stack([-j[:, 0, 1], j[:, 0, 0]], -1)], 1)
        by_j = 2 * j * (1 + determinant**-2)[:, None, None] - 2 * (size * determinant**-3)[:, None, None] * cofactor
        by_edges = self.area[:, None, None] * by_j @ self.inverse.transpose(0, 2, 1)
        slope = np.zeros_like(plane)
        for k in range(2):
            np.add.at(slope, self.faces[:, k + 1], by_edges[..., k])
            np.add.at(slope, self.faces[:, 0], -by_edges[..., k])
        return value, slope

    def longest_step(self, plane: np.ndarray, move: np.ndarray) -> float:
        """How far `plane + t move` can go before a triangle collapses."""
        c, d = plane[self.faces], move[self.faces]
        e1, e2, f1, f2 = c[:, 1] - c[:, 0], c[:, 2] - c[:, 0], d[:, 1] - d[:, 0], d[:, 2] - d[:, 0]
        constant, quadratic = _cross(e1, e2), _cross(f1, f2)
        linear = _cross(e1, f2) + _cross(f1, e2)
        with np.errstate(divide="ignore", invalid="ignore"):
            root = np.sqrt(linear**2 - 4 * quadratic * constant)
            roots = np.stack(
                [(-linear - root) / (2 * quadratic), (-linear + root) / (2 * quadratic), -constant / linear]
            )
        roots = roots[np.isfinite(roots) & (roots > 0)]
        return float(roots.min()) if len(roots) else np.inf

    def metric(self) -> sp.csc_matrix:
        """Laplacian of the rest triangles: the measure of a step, so that large scales move as fast as small."""
        corner_slopes = np.stack([-self.inverse[:, 0] - self.inverse[:, 1], self.inverse[:, 0], self.inverse[:, 1]], 1)
        products = self.area[:, None, None] * corner_slopes @ corner_slopes.transpose(0, 2, 1)
        rows = np.repeat(self.faces, 3, axis=1).ravel()
        columns = np.tile(self.faces, (1, 3)).ravel()
        return sp.csc_matrix((products.ravel(), (rows, columns)), (self.count, self.count))


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def relax(plane: np.ndarray, energy: Distortion, mirror: np.ndarray) -> np.ndarray:
    """Minimise by L-BFGS with the Laplacian as first metric, never past the first collapse; stays mirror-symmetric."""
    solve = factorized(4 * energy.metric() + 1e-6 * sp.identity(energy.count, format="csc"))
    steps: list[tuple[np.ndarray, np.ndarray, float]] = []
    value, slope = energy.value_and_slope(plane)
    for _ in range(ITERATIONS):
        move = _symmetric(-_two_loop(slope, steps, solve), mirror)
        length = min(1.0, STEP_SHARE * energy.longest_step(plane, move))
        while True:
            candidate, (new_value, new_slope) = plane + length * move, (np.inf, slope)
            new_value, new_slope = energy.value_and_slope(candidate)
            if new_value <= value + ARMIJO * length * (slope * move).sum() or length < 1e-12:
                break
            length /= 2
        change, difference = candidate - plane, new_slope - slope
        bend = float((change * difference).sum())
        if bend > 1e-14:
            steps = [*steps[-(HISTORY - 1) :], (change, difference, 1 / bend)]
        converged = value - new_value < 1e-7 * value
        plane, value, slope = candidate, new_value, new_slope
        if converged:
            break
    return plane


def _two_loop(slope, steps, solve) -> np.ndarray:
    q, shares = slope.copy(), []
    for change, difference, rho in reversed(steps):
        share = rho * (change * q).sum()
        q = q - share * difference
        shares.append(share)
    q = np.stack([solve(q[:, k]) for k in range(2)], 1)
    for (change, difference, rho), share in zip(steps, reversed(shares), strict=True):
        q = q + change * (share - rho * (difference * q).sum())
    return q


def _symmetric(plane: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return (plane + plane[mirror] * [-1, 1]) / 2


def flat_triangles(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F, 2, 2] both edges from the first corner of each triangle laid flat, counter-clockwise, as columns."""
    first, second = vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    length = np.linalg.norm(first, axis=1)
    along = (first * second).sum(1) / length
    height = np.linalg.norm(np.cross(first, second), axis=1) / length
    return np.stack([np.stack([length, along], -1), np.stack([np.zeros_like(length), height], -1)], 1)

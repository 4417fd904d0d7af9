"""A crowd of random heads, aligned: what the identity directions are learnt from."""

from __future__ import annotations

import numpy as np

from emoca_jax.similarity import align_similarity

from . import eyeballs, identities
from .identities import AVERAGE, Targets
from .lips import Lips, seal
from .mesh import HeadMesh
from .source import BaseMesh, Source

FIELD_ANCHORS = 110
FIELDS = ((0.1, 0.008), (0.16, 0.014), (0.3, 0.016))
"""Length and deviation (decimetres) of the smooth random displacements that add what the modeller's targets lack."""
FIELD_ASYMMETRY = 0.6
"""Share of their deviation that their antisymmetric part keeps: faces are more alike left and right than not."""
DENSITY_SHARE = 1.0
"""Weight of every vertex beside its area: the modeller put vertices where detail matters."""
FACE_CENTRE, FACE_REACH = (0.0, -0.33, 0.05), (0.6, 0.8, 0.6)
"""Where the face is, relative to the point between the eyes: identity is aligned there and learnt best there."""


def average_head(base: BaseMesh, mesh: HeadMesh, targets: Targets, lips: Lips, radius: float) -> np.ndarray:
    """The average adult and, below it, its three joints [V + 3, 3], the point between the eyes at the origin."""
    offsets = targets.blend([identities.macro(AVERAGE)])[0]
    vertices = _head(base, mesh, targets, offsets, lips, radius)
    vertices[:-3] = eyeballs.place(vertices[:-3], mesh, eyeballs.clearance(vertices[:-3], mesh))
    between = (eyeballs.sphere(vertices, mesh, mesh.eyes[0])[0] + eyeballs.sphere(vertices, mesh, mesh.eyes[1])[0]) / 2
    return vertices - between * [0, 1, 1]


def face_weight(vertices: np.ndarray) -> np.ndarray:
    """[V] 1 in the middle of the face, 0 on skull and neck."""
    far = np.linalg.norm((vertices - FACE_CENTRE) / FACE_REACH, axis=1)
    return np.clip(1.6 - far, 0, 1)


def random_people(
    source: Source, base: BaseMesh, mesh: HeadMesh, targets: Targets, lips: Lips, average: np.ndarray, radius: float,
    count: int, seed: int,
) -> np.ndarray:  # fmt: skip
    """[N, V + 3, 3] heads and joints, each aligned to the average by the similarity that fits the face best.

    Alignment takes out overall size, which a weak-perspective camera cannot see.
    """
    random = np.random.default_rng(seed)
    chosen = identities.modifiers(source)
    mixtures = []
    for _ in range(count):
        details = identities.details(chosen, identities.random_details(chosen, random))
        mixtures.append(identities.macro(identities.random_person(random)) | details)
    weight = face_weight(average)
    weight[len(average) - 3 :] = 0
    bumps = _bumps(mesh, average, weight, count, random)
    clearance = eyeballs.clearance(average[:-3], mesh)
    people = np.empty((count, *average.shape), np.float32)
    for start in range(0, count, 100):
        stop = min(start + 100, count)
        offsets = targets.blend(mixtures[start:stop])
        offsets[..., :3] += bumps[start:stop]
        for row in range(start, stop):
            head = _head(base, mesh, targets, offsets[row - start], lips, radius)
            head = align_similarity(head, average, weight=weight).apply(head)
            head[:-3] = eyeballs.even_openings(seal(head[:-3], lips), average[:-3], mesh)
            head[:-3] = eyeballs.place(head[:-3], mesh, clearance)
            people[row] = head
    return people


def _head(base, mesh, targets, offsets, lips, radius) -> np.ndarray:
    rest = targets.rows @ base.vertices
    count = len(rest) - 3
    vertices = seal(identities.assemble(mesh, rest[:count], offsets[:count], radius), lips)
    return np.concatenate([vertices, rest[count:] + offsets[count:, :3]])


def _bumps(mesh: HeadMesh, average: np.ndarray, weight: np.ndarray, count: int, random) -> np.ndarray:
    """Smooth random displacements of the face; eyeballs move as one, teeth and tongue follow their surroundings."""
    places = average.copy()
    for eye in mesh.eyes:
        places[eye] = average[eye].mean(0)
    skin = np.unique(mesh.faces[mesh.face_part == 0])
    anchors = identities.farthest_points(average[skin[weight[skin] > 0.3]], FIELD_ANCHORS)
    partner = np.concatenate([mesh.mirror, len(mesh.mirror) + np.arange(3)])
    total = np.zeros((count, *average.shape), np.float32)
    for length, sigma in FIELDS:
        field = identities.smooth_fields(places, anchors, length, count, random)
        mirrored = field[:, partner] * np.array([-1, 1, 1], np.float32)
        total += (
            sigma * ((field + mirrored) + FIELD_ASYMMETRY * (field - mirrored)) / np.sqrt(2 + 2 * FIELD_ASYMMETRY**2)
        )
    return total


def learn(people: np.ndarray, mesh: HeadMesh, average: np.ndarray, count: int):
    """Mean [V, 3], directions [V, 3, count], their symmetry and the share of variance kept, the face counting most."""
    heads = people[:, : len(mesh.mirror)]
    mean = heads.mean(0, dtype=np.float64)
    mean = (mean + mean[mesh.mirror] * [-1, 1, 1]) / 2
    weight = (_vertex_area(mesh, average[: len(mean)]) + DENSITY_SHARE) * (0.05 + face_weight(mean))
    return mean, *identities.symmetric_pca(heads, mean.astype(np.float32), mesh.mirror, weight, count)


def _vertex_area(mesh: HeadMesh, vertices: np.ndarray) -> np.ndarray:
    """Area around each vertex over the mean of all."""
    a, b, c = (vertices[mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    total = np.zeros(len(vertices))
    for k in range(3):
        np.add.at(total, mesh.faces[:, k], area)
    return total / total.mean()

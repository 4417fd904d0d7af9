"""The head cut into meshes, and what every expression does to them: plain arrays, whatever the format."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.export.names import unit_names
from emoca_jax.export.rig.levels import Triangles
from emoca_jax.export.rig.naming import Naming
from emoca_jax.export.rig.skeleton import EYES
from emoca_jax.flame.head import FaceHead

SMALLEST_SHIFT = 1e-6
"""Metres: a vertex that a unit moves less than a micron is left out of its morph target."""
SMALLEST_TURN = 2e-3
"""The same for unit normals: about a tenth of a degree."""
SAME_WAY = 0.9
"""Cosine (26 degrees) down to which a vertex of a coarser surface keeps the normal that the head has there."""
SILENCE = "viseme_sil"
"""The viseme that moves nothing."""

_normals = jax.jit(render.vertex_normals)


class Part(NamedTuple):
    """A mesh of its own; corners of triangles that differ in uv are vertices of their own."""

    name: str
    part: str
    """Which of the head's parts it is, or is a piece of."""
    vertex: Int[np.ndarray, "corners"]
    """Of the head."""
    uv: Int[np.ndarray, "corners"]
    faces: Int[np.ndarray, "faces 3"]
    """Into the two arrays above."""


class Morphs(NamedTuple):
    """Morph targets over the head's vertices, and how far the photo has each on."""

    names: list[str]
    weights: list[float]
    shifts: Float[np.ndarray, "targets vertices 3"]
    """Metres."""
    turns: Float[np.ndarray, "targets vertices 3"]
    """Difference of unit normals."""
    shifted: Bool[np.ndarray, "targets vertices"]
    """Which vertices a target moves so that anybody could see it."""
    turned: Bool[np.ndarray, "targets vertices"]
    """Of which the normals turn."""
    normals: Float[np.ndarray, "vertices 3"]
    """At rest."""


def parts_of(head: FaceHead, triangles: Triangles, naming: Naming) -> list[Part]:
    """A mesh per part of the triangles, in the head's order; eyes one by one where the naming has both."""
    left = np.asarray(head.skin_weights)[triangles.faces[:, 0], EYES[0]] > 0.5
    parts = []
    for number in np.unique(triangles.face_part):
        part, of_part = head.part_names[number], triangles.face_part == number
        pieces = {naming.meshes.get(part, part): of_part}
        if part == "eyes" and naming.eyeballs is not None:
            pieces = dict(zip(naming.eyeballs, (of_part & left, of_part & ~left), strict=True))
        parts += [Part(name, part, *_split_seams(triangles, chosen)) for name, chosen in pieces.items()]
    return parts


def morphs_of(
    head: FaceHead,
    codes: Codes,
    neutral: Float[np.ndarray, "vertices 3"],
    rotations: Float[np.ndarray, "joints 3"],
    triangles: Triangles,
) -> Morphs:
    """The head's units as the photo has them, its visemes switched off, and the pose's correctives where it has any.

    Correctives, which no file format knows, become one more target for the photo's jaw and eyes. Normals are the whole
    head's, so that coarse skin looks smooth, but the coarser surface's own where it has lost a fold (between teeth).
    """
    shifts = [np.moveaxis(np.asarray(head.expression_dirs, np.float32), -1, 0)]
    names, weights = unit_names(head), [float(weight) for weight in codes.expression]
    if flame.has_visemes(head):
        shifts.append(np.tensordot(np.asarray(flame.viseme_codes(head)), shifts[0], axes=1))
        names, weights = [*names, *flame.VISEMES], [*weights, *(0.0 for _ in flame.VISEMES)]
    corrective = _pose_corrective(head, rotations)
    if corrective is not None:
        shifts.append(corrective[None])
        names, weights = [*names, "photo_pose_corrective"], [*weights, 1.0]
    moved = np.concatenate(shifts)
    points = np.concatenate([neutral[None], neutral + moved]).astype(np.float32)
    normals = _unit_normals(points, np.asarray(head.faces))
    if len(triangles.faces) < len(head.faces):
        own = _unit_normals(points, triangles.faces)
        normals = np.where(np.sum(own[0] * normals[0], -1)[:, None] < SAME_WAY, own, normals)
    turns = normals[1:] - normals[:1]
    shifted, turned = _largest(moved) > SMALLEST_SHIFT, _largest(turns) > SMALLEST_TURN
    return Morphs(names, weights, moved, turns, shifted, turned, normals[0])


def targets_of(morphs: Morphs, part: Part) -> list[int]:
    """Numbers of the targets that move a mesh; where visemes do, silence is among them, so that none is missing."""
    kept = set(np.flatnonzero(morphs.shifted[:, part.vertex].any(axis=1)).tolist())
    if any(morphs.names[number] in flame.VISEMES for number in kept):
        kept.add(morphs.names.index(SILENCE))
    return sorted(kept)


def _split_seams(
    triangles: Triangles, chosen: Bool[np.ndarray, "faces"]
) -> tuple[Int[np.ndarray, "corners"], Int[np.ndarray, "corners"], Int[np.ndarray, "chosen 3"]]:
    """Every (vertex, uv) pair in use once, and the faces that index those pairs."""
    pairs = np.stack([triangles.faces[chosen], triangles.uv_faces[chosen]], -1).reshape(-1, 2)
    pairs, corners = np.unique(pairs, axis=0, return_inverse=True)
    return pairs[:, 0], pairs[:, 1], corners.reshape(-1, 3)


def _unit_normals(
    points: Float[np.ndarray, "shapes vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "shapes vertices 3"]:
    """Straight ahead where a vertex has no area around it: files want a unit vector all the same."""
    normals = np.asarray(_normals(points, faces))
    return np.where(np.linalg.norm(normals, axis=-1, keepdims=True) > 0.5, normals, np.array([0, 0, 1], np.float32))


def _largest(vectors: Float[np.ndarray, "targets vertices 3"]) -> Float[np.ndarray, "targets vertices"]:
    x, y, z = np.moveaxis(np.abs(vectors), -1, 0)  # a fifth of the time of max(axis=-1)
    return np.maximum(np.maximum(x, y), z)


def _pose_corrective(
    head: FaceHead, rotations: Float[np.ndarray, "joints 3"]
) -> Float[np.ndarray, "vertices 3"] | None:
    if not head.pose_dirs.shape[-1] or not np.any(rotations):
        return None
    bend = np.asarray(flame.rotation_matrix(jnp.asarray(rotations[1:], jnp.float32))) - np.eye(3)
    return (np.asarray(head.pose_dirs) @ bend.reshape(-1)).astype(np.float32)

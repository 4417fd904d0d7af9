"""Five joints in FLAME's order, from MakeHuman's rig: where they lie and what they move."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from .mesh import EYE_RINGS, EYE_SECTORS, HeadMesh
from .source import MAKEHUMAN, BaseMesh, Source

JOINTS = ("global", "neck", "jaw", "left_eye", "right_eye")
NECK_BLEND = {"neck01": 0.0, "neck02": 1 / 3, "neck03": 2 / 3}
"""Share of the head's turn that each of MakeHuman's three neck bones takes part in."""
REGRESSOR_CANDIDATES, REGRESSOR_SEED = 400, 5


def skin_weights(source: Source, base: BaseMesh, mesh: HeadMesh) -> np.ndarray:
    """[V, 5], rows sum to 1: the rig's bones collapsed onto the five joints."""
    bones = source.json(MAKEHUMAN + "rigs/standard/rig.default.json")
    bones = bones.get("bones", bones)
    weights = source.json(MAKEHUMAN + "rigs/standard/weights.default.json")["weights"]
    dense = np.zeros((len(base.vertices), len(JOINTS)))
    for bone, entries in weights.items():
        if not entries:
            continue
        rows, values = np.array([e[0] for e in entries], int), np.array([e[1] for e in entries])
        dense[rows] += values[:, None] * _joint_shares(bone, bones)
    collapsed = mesh.rows @ dense
    for joint, vertices in zip((3, 4), mesh.eyes, strict=True):
        collapsed[vertices] = np.eye(5)[joint]
    for joint, vertices in zip((1, 2), mesh.teeth, strict=True):
        collapsed[vertices] = np.eye(5)[joint]
    swapped = collapsed[mesh.mirror][:, [0, 1, 2, 4, 3]]
    collapsed = (collapsed + swapped) / 2
    return collapsed / collapsed.sum(1, keepdims=True)


def _joint_shares(bone: str, bones: dict) -> np.ndarray:
    name: str | None = bone
    while name:
        if name in NECK_BLEND:
            return np.array([1 - NECK_BLEND[name], NECK_BLEND[name], 0, 0, 0])
        if name in ("head", "jaw"):
            return np.eye(5)[1 if name == "head" else 2]
        name = bones[name]["parent"] if name in bones else None
    return np.eye(5)[0]


def joint_regressor(mesh: HeadMesh, people: np.ndarray, joints: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Sparse [5, V], rows sum to 1, from examples: heads [N, V, 3] and their joints [N, 3, 3].

    Non-negative least squares over vertices that no expression moves (`still`); eyes are the mean of the eyeball's
    equator. Symmetric: mirrored vertices weigh the same.
    """
    regressor = np.zeros((len(JOINTS), len(mesh.mirror)))
    candidates = np.random.default_rng(REGRESSOR_SEED).choice(
        still, min(REGRESSOR_CANDIDATES, len(still)), replace=False
    )
    candidates = np.unique(np.concatenate([candidates, mesh.mirror[candidates]]))
    half = candidates[candidates <= mesh.mirror[candidates]]
    both = (people[:, half] + people[:, mesh.mirror[half]])[:, :, 1:] / 2
    sum_row = 1e3 * np.ones((1, len(half)))
    for row in range(3):
        system = np.concatenate([both.transpose(0, 2, 1).reshape(-1, len(half)), sum_row])
        wanted = np.concatenate([joints[:, row, 1:].ravel(), [1e3]])
        found, _ = nnls(system, wanted, maxiter=20 * len(half))
        np.add.at(regressor[row], half, found / 2)
        np.add.at(regressor[row], mesh.mirror[half], found / 2)
    ring = int(np.argmin(np.abs(EYE_RINGS - np.pi / 2)))
    equator = 1 + ring * EYE_SECTORS + np.arange(EYE_SECTORS)
    for row, vertices in zip((3, 4), mesh.eyes, strict=True):
        regressor[row, vertices[equator]] = 1
    return regressor / regressor.sum(1, keepdims=True)

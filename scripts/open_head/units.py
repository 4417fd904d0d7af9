"""The 52 ARKit face units on the open head: mirrored exactly, gaze as a turn of the eyeballs."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from emoca_jax.emotion.units import ARKIT_UNITS

from .eyeballs import lift_lids, sphere
from .identities import carry
from .mesh import HeadMesh
from .source import FACE_UNITS, BaseMesh, Source

UNITS = ARKIT_UNITS

GAZE = {"Up": (-1, 0), "Down": (1, 0), "In": (0, -1), "Out": (0, 1)}
"""Turn of the left eye about x (down is positive) and about y (outwards is positive)."""
GAZE_DEGREES = {"Up": 20.0, "Down": 25.0, "In": 28.0, "Out": 28.0}
"""Full gaze, as ARKit's units reach; MakeHuman's own turn the eyeball only 11 to 23 degrees."""

GAIN = {"browInnerUp": 1.4, "browOuterUp": 1.35, "eyeLookUp": 1.5, "eyeBlink": 0.87}
"""By a unit's name without its side. MakeHuman's raised brows stop at 6 mm where photos of surprise ask for more; its
gaze up turns the eye less than ours; with the eyeballs fitted to the lids a blink closes every eye with less."""

SMOOTH_CHEEK = ("mouthSmileLeft", "mouthSmileRight")
"""Units whose cheek carries a pinched crease beside the corner of the mouth."""
SMOOTH_BROW = ("browOuterUpLeft", "browOuterUpRight", "browInnerUp")
"""Units that raise a few vertices of the brow to a point."""
BROW = (0.14, 0.26)
"""Decimetres above the eyes at which the brow's smoothing begins and is full."""
SMOOTHINGS = 25
SMOOTH_BELOW = -0.2
"""Decimetres from the eyes down: lids keep their shape."""
CHEEK = (0.22, 0.34)
"""Decimetres from the mid-line at which the cheek begins and is full."""
LIP_DISTANCE = (0.06, 0.2)
"""Decimetres from the lips' edge at which smoothing begins and is full."""


def face_units(source: Source, base: BaseMesh, mesh: HeadMesh, rest: np.ndarray) -> np.ndarray:
    """Offsets [V, 3, 52] in decimetres at full activation, `rest` being the neutral head [V, 3]."""
    raw = {unit: carry(mesh, base, source.target(f"{FACE_UNITS}{unit}.target", len(base.vertices))) for unit in UNITS}
    offsets = {unit: carried[:, :3] for unit, carried in raw.items()}
    units = np.stack([_symmetrised(offsets, unit, mesh) for unit in UNITS], axis=-1)
    for k, unit in enumerate(UNITS):
        units[..., k] *= GAIN.get(unit.removesuffix("Left").removesuffix("Right"), 1.0)
        for vertices in mesh.eyes:
            units[vertices, :, k] = 0
        if unit.startswith("eyeLook"):
            side = 0 if unit.endswith("Left") else 1
            vertices = mesh.eyes[side]
            units[vertices, :, k] = _turn(unit, side, mesh.eye_offsets[vertices]) * sphere(rest, mesh, vertices)[1]
    for names, share in ((SMOOTH_CHEEK, _cheek(mesh, rest)), (SMOOTH_BROW, _brow(mesh, rest))):
        for unit in names:
            units[..., UNITS.index(unit)] = _smoothed(units[..., UNITS.index(unit)], mesh, share)
    return lift_lids(units, rest, mesh)


def _cheek(mesh: HeadMesh, rest: np.ndarray) -> np.ndarray:
    """[V, 1] 1 on the cheeks below the lids, 0 near the lips, the mid-line and everything that is not skin."""
    lips = np.intersect1d(mesh.faces[mesh.face_part == 4], mesh.faces[mesh.face_part == 0])
    gap = np.linalg.norm(rest[:, None] - rest[None, lips], axis=-1).min(1)
    share = _ramp(gap, LIP_DISTANCE) * _ramp(np.abs(rest[:, 0]), CHEEK) * (rest[:, 1] < SMOOTH_BELOW)
    return (share * (mesh.source_vertex >= 0))[:, None]


def _brow(mesh: HeadMesh, rest: np.ndarray) -> np.ndarray:
    """[V, 1] 1 on brows and forehead, 0 from the lids down."""
    return (_ramp(rest[:, 1], BROW) * (mesh.source_vertex >= 0))[:, None]


def _ramp(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)


def _smoothed(move: np.ndarray, mesh: HeadMesh, share: np.ndarray) -> np.ndarray:
    """The offsets [V, 3] averaged over neighbouring skin again and again, by the given share of each vertex."""
    skin = mesh.faces[mesh.face_part == 0]
    edges = np.concatenate([skin[:, [k, (k + 1) % 3]] for k in range(3)])
    count = len(move)
    adjacency = sp.coo_matrix((np.ones(len(edges)), edges.T), (count, count)).tocsr()
    adjacency = ((adjacency + adjacency.T) > 0) * 1.0
    degree = np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1)
    smooth = move
    for _ in range(SMOOTHINGS):
        smooth = smooth + share * ((adjacency @ smooth) / degree[:, None] - smooth)
    return smooth


def partner(unit: str) -> str:
    """The unit of the other side; a symmetric unit is its own partner."""
    if unit.endswith("Left"):
        return unit.removesuffix("Left") + "Right"
    if unit.endswith("Right"):
        return unit.removesuffix("Right") + "Left"
    return unit


def _symmetrised(offsets: dict[str, np.ndarray], unit: str, mesh: HeadMesh) -> np.ndarray:
    return (offsets[unit] + offsets[partner(unit)][mesh.mirror] * [-1, 1, 1]) / 2


def _turn(unit: str, side: int, arms: np.ndarray) -> np.ndarray:
    """Offsets that turn an eyeball: a rotation, so that at full activation it is exactly as round as before."""
    kind = unit.removeprefix("eyeLook").removesuffix("Left").removesuffix("Right")
    about_x, about_y = GAZE[kind]
    angle = np.radians(GAZE_DEGREES[kind])
    sign_y = 1 if side == 0 else -1
    c, s = np.cos(angle), np.sin(angle)
    if about_x:
        s *= about_x
        rotation = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    else:
        s *= about_y * sign_y
        rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return arms @ rotation.T - arms

"""The 52 ARKit face units on the open head: mirrored exactly, gaze as a turn of the eyeballs."""

from __future__ import annotations

import numpy as np

from .identities import carry
from .mesh import HeadMesh
from .source import FACE_UNITS, BaseMesh, Source

UNITS = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip

GAZE = {"Up": (-1, 0), "Down": (1, 0), "In": (0, -1), "Out": (0, 1)}
"""Turn of the left eye about x (down is positive) and about y (outwards is positive)."""
GAZE_DEGREES = {"Up": 25.0, "Down": 30.0, "In": 30.0, "Out": 30.0}
"""Full gaze, as ARKit's units reach; MakeHuman's own turn the eyeball only 11 to 23 degrees."""


GAIN = {"browInnerUp": 1.4, "browOuterUpLeft": 1.4, "browOuterUpRight": 1.4}
"""MakeHuman's raised brows stop at 6 mm; photos of surprise ask for more."""


def face_units(source: Source, base: BaseMesh, mesh: HeadMesh, rest: np.ndarray, radius: float) -> np.ndarray:
    """Offsets [V, 3, 52] in decimetres at full activation, `rest` being the neutral head [V, 3]."""
    raw = {unit: carry(mesh, base, source.target(f"{FACE_UNITS}{unit}.target", len(base.vertices))) for unit in UNITS}
    offsets = {unit: carried[:, :3] for unit, carried in raw.items()}
    units = np.stack([_symmetrised(offsets, unit, mesh) for unit in UNITS], axis=-1)
    for k, unit in enumerate(UNITS):
        units[..., k] *= GAIN.get(unit, 1.0)
        for vertices in mesh.eyes:
            units[vertices, :, k] = 0
        if unit.startswith("eyeLook"):
            side = 0 if unit.endswith("Left") else 1
            vertices = mesh.eyes[side]
            units[vertices, :, k] = _turn(unit, side, mesh.eye_offsets[vertices]) * radius
    return units


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

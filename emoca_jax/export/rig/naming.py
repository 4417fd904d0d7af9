"""What bones, meshes and materials are called, and whether bones rest along themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Naming(NamedTuple):
    """One house's names for the same head."""

    joints: tuple[str, ...]
    """In the head's order. FLAME's "global" turns everything from the neck up, its "neck" the head."""
    ends: Mapping[str, str]
    """Joint -> the leaf at its far end, which moves nothing and tells programs how long the bone is."""
    face: str | None
    """A bone at the head's place between the head and what is in the face, or None.

    Blender makes a bone as short as the way to its nearest child, and the jaw's pivot lies 1.5 cm before the head's.
    """
    meshes: Mapping[str, str]
    """Part -> mesh; a part that is not named keeps its own name."""
    materials: Mapping[str, str]
    eyeballs: tuple[str, str] | None
    """Names of a left and a right eye mesh, or None for one mesh with both."""
    pointing: bool
    """Whether every bone rests turned so that its +y runs along it, as Blender shows it; else none is turned."""
    skin: str | None
    """Name of the skeleton as a whole, or None for the file's own."""


FACE_ENDS = ("head_end", "jaw_end", "left_eye_end", "right_eye_end")

PLAIN = Naming(
    joints=("neck", "head", "jaw", "left_eye", "right_eye"),
    ends=dict(zip(("head", "jaw", "left_eye", "right_eye"), FACE_ENDS, strict=True)),
    face="face",
    meshes={},
    materials={},
    eyeballs=None,
    pointing=True,
    skin=None,
)
READY_PLAYER_ME = Naming(
    joints=("Neck", "Head", "Jaw", "LeftEye", "RightEye"),
    ends={"Head": "HeadTop_End"},
    face=None,
    meshes={
        "skin": "Wolf3D_Head",
        "teeth": "Wolf3D_Teeth",
        "tongue": "Wolf3D_Tongue",
        "mouth_interior": "Wolf3D_Mouth",
    },
    materials={
        "skin": "Wolf3D_Skin",
        "eyes": "Wolf3D_Eye",
        "teeth": "Wolf3D_Teeth",
        "tongue": "Wolf3D_Tongue",
        "mouth_interior": "Wolf3D_Mouth",
    },
    eyeballs=("EyeLeft", "EyeRight"),
    pointing=False,
    skin="Armature",
)
"""As the documentation of Ready Player Me lists meshes, materials and bones (docs.readyplayer.me, avatar types and
"Check: parent name"). It knows no jaw, tongue and inside of the mouth as parts of their own: those names are ours. No
bone rests turned, as avatar code gives the eyes rotations that count from straight ahead."""

NAMINGS = {"default": PLAIN, "rpm": READY_PLAYER_ME}
"""By the word that commands and `save` take (`files.face_formats.NAME_STYLES`)."""

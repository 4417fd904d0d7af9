"""Numbers out: all codes as .npz, and what people ask for first as .json."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from emoca_jax import flame
from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.export.names import unit_names
from emoca_jax.faces import ReconstructedFace
from emoca_jax.files.version import package_version
from emoca_jax.files.whole import MARK

FORMAT_VERSION = 1
"""Of both files; counts up when a name or a meaning changes."""

_rotation_matrix = jax.jit(flame.rotation_matrix)


def codes_npz(result: ReconstructedFace) -> bytes:
    """The codes under their own names (shape, expression, ..., detail where there is one), and `crop`.

    crop [3, 3] maps (x, y, 1) of the crop's plane, [-1, 1]^2 with x right and y down, to pixels of the upright original
    file, centre of the first pixel at (0.5, 0.5). `displacement` [256, 256], metres, row 0 at v = 1, goes with a detail
    code. With them go `landmarks` [478, 3] and `box` [4] in the same pixels.
    Reads with `numpy.load(..., allow_pickle=False)`; units as in `Codes`.
    """
    codes = {name: value for name, value in vars(result.codes).items() if value is not None}
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in codes.items()}
    scale = result.photo_scale.astype(np.float32)
    arrays |= {
        "crop": (np.diag([*scale, 1.0]) @ result.crop).astype(np.float32),
        "landmarks": (result.landmarks * [*scale, scale.mean()]).astype(np.float32),
        "box": (result.box * np.tile(scale, 2)).astype(np.float32),
        "format_version": np.int32(FORMAT_VERSION),
    }
    if result.detail_model is not None and (detail := result.reconstruction.detail) is not None:
        arrays["displacement"] = detail.displacement
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.comment = f"{MARK} {package_version()}".encode()
    return packed.getvalue()


def photo_summary(result: PhotoFace) -> dict[str, Any]:
    """Which face of which photo a .json speaks of; the box in pixels of the file."""
    return {
        "source": result.source_name if result.source else None,
        "face": result.face,
        "box": [round(value, 1) for value in (result.box * np.tile(result.photo_scale, 2)).tolist()],
        "detection_score": round(result.score, 4),
    }


def summary(result: ReconstructedFace) -> dict[str, Any]:
    """What the .json holds: plain Python numbers, texts and lists."""
    whole, neck = np.asarray(_rotation_matrix(result.codes.pose))
    names = unit_names(result.head)
    weights = np.asarray(result.codes.expression).tolist()
    return {
        "format_version": FORMAT_VERSION,
        **photo_summary(result),
        "expression": {name: round(weight, 4) for name, weight in zip(names, weights, strict=True)},
        **({"visemes": flame.VISEMES} if flame.has_visemes(result.head) else {}),
        "head_pose_degrees": head_angles(whole @ neck),
        "emotion": result.emotion.label,
        "valence": round(result.emotion.valence, 4),
        "arousal": round(result.emotion.arousal, 4),
        "expression_probabilities": {
            "photo": {name: round(value, 4) for name, value in result.emotion.photo.items()},
            "rendering": {name: round(value, 4) for name, value in result.emotion.rendering.items()},
        },
        "read_by": {"classes": result.emotion.classes_by, "valence_arousal": result.emotion.affect_by},
        "model": {"name": result.model, "official": result.official},
        "fit": {
            "landmark_error_percent_of_face_width": round(result.fit_error, 4),
            "visible_landmarks": int(result.landmark_visible.sum()),
        },
        "seconds": round(result.seconds, 3),
        "versions": {"emoca_jax": package_version(), "jax": jax.__version__, "head": result.head.name},
        "units": {
            "box": "x0, y0, x1, y1 in pixels of the upright original",
            "head_pose_degrees": (
                "R = Ry(yaw) Rx(pitch) Rz(roll); yaw > 0 faces the subject's left, pitch > 0 looks down, "
                "roll > 0 raises the subject's left ear"
            ),
            "expression": (
                "activation of each unit, 0 to 1" if result.head.bounded_expression else "standard deviations"
            ),
            "visemes": "activation of each unit that makes the mouth shape; what the .glb's targets of that name do",
            "valence": "-1 unpleasant to 1 pleasant; a trained network may answer beyond",
            "arousal": "-1 calm to 1 excited; a trained network may answer beyond",
        },
    }


def summary_json(result: ReconstructedFace) -> bytes:
    """`summary` as indented JSON; a NaN anywhere is an error here rather than in the reader."""
    return (json.dumps(summary(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def head_angles(rotation: Float[np.ndarray, "3 3"]) -> dict[str, float]:
    """Yaw, pitch and roll in degrees of a world rotation: R = Ry(yaw) Rx(pitch) Rz(roll).

    Yaw > 0 faces the subject's left (+x), pitch > 0 looks down, roll > 0 raises the subject's left ear.
    """
    # The third column is R z, the direction faced; the second row holds cos(pitch) (sin, cos)(roll).
    facing = rotation[:, 2]
    yaw = np.arctan2(facing[0], facing[2])
    pitch = np.arctan2(-facing[1], np.hypot(facing[0], facing[2]))
    roll = np.arctan2(rotation[1, 0], rotation[1, 1])
    degrees = {"yaw": yaw, "pitch": pitch, "roll": roll}
    return {name: round(float(np.degrees(angle)), 2) for name, angle in degrees.items()}

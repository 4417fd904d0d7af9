"""FLAME's files, or the copies that an EMOCA checkpoint carries, as the arrays of a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emoca_jax.convert.kinds import FLAME_FACES, FLAME_UVS, FLAME_VERTICES
from emoca_jax.convert.readers.pieces import Pieces, shape_of, single, skipped, take, whole
from emoca_jax.convert.readers.translate import Row
from emoca_jax.errors import InputError

SHAPES, EXPRESSIONS = 100, 50
"""Directions that DECA and EMOCA use: the first of 300 for identity, the first of 100 for expression."""
FIRST_EXPRESSION = 300
"""Where expression begins in `shapedirs`."""
JOINTS, CORRECTIVES = 5, 36
"""Global, neck, jaw, two eyes; nine correctives (R - I) for each but the first."""
PARENTS = (-1, 0, 1, 1, 1)
CONTOUR_ROWS, CONTOUR_POINTS, STATIC_POINTS, FULL_POINTS = 79, 17, 51, 68

STATIC_FIELDS: dict[str, Any] = {
    "parents": PARENTS,
    "joint_names": ("global", "neck", "jaw", "left_eye", "right_eye"),
    "expression_names": (),
    "part_names": ("skin",),
    "name": "FLAME",
    "bounded_expression": False,
}
"""What a head file says of FLAME beside its arrays."""

MODEL_EXTRAS = {
    "J": "rest joints, regressed from the template",
    "bs_style": "name of the skinning rule",
    "bs_type": "name of the skinning rule",
}
BUFFER_EXTRAS = {
    "eye_pose": "zero pose",
    "neck_pose": "zero pose",
    "neck_kin_chain": "follows from the parents",
    "parents": "the same in every FLAME",
}


def flame_model(content: Mapping[str, Any], place: str) -> Pieces:
    """`generic_model.pkl` of any release: float64 to float32, identity and expression directions apart.

    Errors: InputError naming key and shapes where an array is missing or does not fit, or the skeleton is another.
    """
    dirs = take(content, "shapedirs", (FLAME_VERTICES, 3, None), place)
    if dirs.shape[2] < FIRST_EXPRESSION + EXPRESSIONS:
        raise InputError(
            f"{place}: 'shapedirs' has {dirs.shape[2]} directions, expected at least {FIRST_EXPRESSION + EXPRESSIONS} "
            f"(identity up to {FIRST_EXPRESSION}, then expression): take FLAME 2020 or a later release with both."
        )
    tree = take(content, "kintree_table", (2, JOINTS), place)
    # The root's parent is stored as the largest unsigned number.
    parents = (-1, *(int(parent) for parent in tree[0, 1:]))
    if parents != PARENTS:
        raise InputError(f"{place}: 'kintree_table' has parents {parents}, expected {PARENTS}: this is not FLAME.")
    arrays = {
        "template": single(take(content, "v_template", (FLAME_VERTICES, 3), place)),
        "shape_dirs": single(dirs[:, :, :SHAPES]),
        "expression_dirs": single(dirs[:, :, FIRST_EXPRESSION : FIRST_EXPRESSION + EXPRESSIONS]),
        "pose_dirs": _pose_dirs(content, place),
        "joint_regressor": single(take(content, "J_regressor", (JOINTS, FLAME_VERTICES), place)),
        "skin_weights": single(take(content, "weights", (FLAME_VERTICES, JOINTS), place)),
        "faces": whole(take(content, "f", (FLAME_FACES, 3), place)),
    }
    notes = {
        "shapedirs": (
            "head/shape_dirs, head/expression_dirs",
            f"columns 0-{SHAPES - 1} and {FIRST_EXPRESSION}-{FIRST_EXPRESSION + EXPRESSIONS - 1} of {dirs.shape[2]}",
        ),
        "v_template": ("head/template", ""),
        "posedirs": ("head/pose_dirs", ""),
        "J_regressor": ("head/joint_regressor", "sparse -> dense"),
        "weights": ("head/skin_weights", ""),
        "f": ("head/faces", ""),
        "kintree_table": ("head/parents", "checked"),
    }
    rows = [Row(key, target, shape_of(content[key]), note) for key, (target, note) in notes.items() if key in content]
    return Pieces(arrays, rows + skipped(content, set(notes), MODEL_EXTRAS))


def _pose_dirs(content: Mapping[str, Any], place: str) -> np.ndarray:
    """[V, 3, 36], or no column where the file has no correctives; releases and tools store them in two layouts."""
    if "posedirs" not in content:
        return np.zeros((FLAME_VERTICES, 3, 0), np.float32)
    if np.ndim(content["posedirs"]) == 2:
        return unfold_pose_dirs(take(content, "posedirs", (CORRECTIVES, 3 * FLAME_VERTICES), place))
    return single(take(content, "posedirs", (FLAME_VERTICES, 3, CORRECTIVES), place))


def unfold_pose_dirs(flat: np.ndarray) -> np.ndarray:
    """Correctives as the PyTorch layer keeps them, [36, V * 3], to [V, 3, 36]."""
    return single(flat.reshape(CORRECTIVES, FLAME_VERTICES, 3).transpose(1, 2, 0))


def landmark_embedding(content: Mapping[str, Any], place: str) -> Pieces:
    """`landmark_embedding.npy`: 51 static, 79 x 17 contour and 68 full points."""
    full = {
        key: np.reshape(content[key], np.shape(content[key])[-dimensions:])
        for key, dimensions in (("full_lmk_faces_idx", 1), ("full_lmk_bary_coords", 2))
        if key in content
    }
    return _take_all(
        {**content, **full},
        {
            "static_lmk_faces_idx": ("landmarks_static.face_index", (STATIC_POINTS,)),
            "static_lmk_bary_coords": ("landmarks_static.barycentric", (STATIC_POINTS, 3)),
            "dynamic_lmk_faces_idx": ("landmarks_contour.face_index", (CONTOUR_ROWS, CONTOUR_POINTS)),
            "dynamic_lmk_bary_coords": ("landmarks_contour.barycentric", (CONTOUR_ROWS, CONTOUR_POINTS, 3)),
            "full_lmk_faces_idx": ("landmarks_full.face_index", (FULL_POINTS,)),
            "full_lmk_bary_coords": ("landmarks_full.barycentric", (FULL_POINTS, 3)),
        },
        {},
        place,
    )


def mediapipe_embedding(content: Mapping[str, Any], place: str) -> Pieces:
    """`mediapipe_landmark_embedding.npz`: 105 points and which of MediaPipe's 478 they are."""
    points = take(content, "lmk_face_idx", (None,), place).shape[0]
    return _take_all(
        content,
        {
            "lmk_face_idx": ("landmarks_mediapipe.face_index", (points,)),
            "lmk_b_coords": ("landmarks_mediapipe.barycentric", (points, 3)),
            "landmark_indices": ("mediapipe_index", (points,)),
        },
        {},
        place,
    )


def checkpoint_head(state: Mapping[str, Any], place: str) -> Pieces:
    """The head that an EMOCA checkpoint carries: buffers `deca.flame.*` and the uv layout of `deca.render.*`.

    MediaPipe's points are there in v2 checkpoints, but not which of the 478 they are, so they are left out.
    """
    prefix = "deca.flame."
    table = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    dirs = take(table, "shapedirs", (FLAME_VERTICES, 3, SHAPES + EXPRESSIONS), f"{place} ({prefix}*)")
    flat = take(table, "posedirs", (CORRECTIVES, 3 * FLAME_VERTICES), f"{place} ({prefix}*)")
    arrays = {
        "shape_dirs": single(dirs[:, :, :SHAPES]),
        "expression_dirs": single(dirs[:, :, SHAPES:]),
        "pose_dirs": unfold_pose_dirs(flat),
    }
    rows = [
        Row(prefix + "shapedirs", "head/shape_dirs, head/expression_dirs", dirs.shape, ""),
        Row(prefix + "posedirs", "head/pose_dirs", flat.shape, ""),
    ]
    full = {
        key: np.reshape(table[key], np.shape(table[key])[-dimensions:])
        for key, dimensions in (("full_lmk_faces_idx", 1), ("full_lmk_bary_coords", 2))
        if key in table
    }
    rest = {key: value for key, value in {**table, **full}.items() if key not in ("shapedirs", "posedirs")}
    wanted = {
        "v_template": ("template", (FLAME_VERTICES, 3)),
        "J_regressor": ("joint_regressor", (JOINTS, FLAME_VERTICES)),
        "lbs_weights": ("skin_weights", (FLAME_VERTICES, JOINTS)),
        "faces_tensor": ("faces", (FLAME_FACES, 3)),
        "lmk_faces_idx": ("landmarks_static.face_index", (STATIC_POINTS,)),
        "lmk_bary_coords": ("landmarks_static.barycentric", (STATIC_POINTS, 3)),
        "dynamic_lmk_faces_idx": ("landmarks_contour.face_index", (CONTOUR_ROWS, CONTOUR_POINTS)),
        "dynamic_lmk_bary_coords": ("landmarks_contour.barycentric", (CONTOUR_ROWS, CONTOUR_POINTS, 3)),
        "full_lmk_faces_idx": ("landmarks_full.face_index", (FULL_POINTS,)),
        "full_lmk_bary_coords": ("landmarks_full.barycentric", (FULL_POINTS, 3)),
    }
    extras = BUFFER_EXTRAS | {
        key: "which of MediaPipe's 478 these are is in mediapipe_landmark_embedding.npz only"
        for key in ("lmk_faces_idx_mediapipe", "lmk_bary_coords_mediapipe")
    }
    buffers = _take_all(rest, wanted, extras, f"{place} ({prefix}*)")
    layout = _take_all(
        {key: state[key][0] for key in ("deca.render.raw_uvcoords", "deca.render.uvfaces") if key in state},
        {
            "deca.render.raw_uvcoords": ("uv", (FLAME_UVS, 2)),
            "deca.render.uvfaces": ("uv_faces", (FLAME_FACES, 3)),
        },
        {},
        place,
    )
    rows += [row._replace(source=prefix + row.source) for row in buffers.rows] + layout.rows
    return Pieces(arrays | buffers.arrays | layout.arrays, rows)


def _take_all(
    content: Mapping[str, Any],
    wanted: Mapping[str, tuple[str, tuple[int, ...]]],
    extras: Mapping[str, str],
    place: str,
) -> Pieces:
    """Arrays as they are, under the head's names; integer or float32 as the source has them."""
    arrays, rows = {}, []
    for key, (name, shape) in wanted.items():
        array = take(content, key, shape, place)
        arrays[name] = single(array) if array.dtype.kind == "f" else whole(array)
        rows.append(Row(key, f"head/{name}", shape, ""))
    return Pieces(arrays, rows + skipped(content, set(wanted), extras))

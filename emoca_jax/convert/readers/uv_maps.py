"""The uv layout of the head template, masks, fixed displacement and dense template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emoca_jax.convert.kinds import FLAME_FACES, FLAME_UVS
from emoca_jax.convert.readers.pieces import Pieces, shape_of, single, take, whole
from emoca_jax.convert.readers.translate import Row
from emoca_jax.errors import InputError

SIDE = 256
"""Texels a side of DECA's uv maps."""


def head_template(data: bytes, place: str) -> Pieces:
    """Layout of `head_template.obj`: uv [5118, 2] with v up, uv_faces and faces [9976, 3], counted from 0.

    The vertices are left out: they stand at body height and are not FLAME's template.
    Errors: InputError where the file does not read as triangles with uv.
    """
    lines = [line.split() for line in data.splitlines()]
    try:
        uv = np.array([line[1:3] for line in lines if line and line[0] == b"vt"], np.float64)
        corners = np.array([[c.split(b"/")[:2] for c in line[1:]] for line in lines if line and line[0] == b"f"], int)
    except (ValueError, IndexError) as error:
        raise InputError(f"{place} cannot be read as triangles with uv ({error}): take the official file.") from error
    if uv.shape != (FLAME_UVS, 2) or corners.shape != (FLAME_FACES, 3, 2):
        raise InputError(
            f"{place} has uv of shape {uv.shape} and faces of shape {corners.shape}, expected {(FLAME_UVS, 2)} and "
            f"{(FLAME_FACES, 3, 2)}: take the official head_template.obj."
        )
    arrays = {"uv": single(uv), "uv_faces": whole(corners[..., 1] - 1), "faces": whole(corners[..., 0] - 1)}
    rows = [
        Row("v", None, (sum(bool(line) and line[0] == b"v" for line in lines), 3), "stands at body height"),
        Row("vt", "head/uv", uv.shape, ""),
        Row("f", "head/uv_faces, head/faces", corners.shape, "counted from 0"),
    ]
    return Pieces(arrays, rows)


def mask(values: np.ndarray, name: str) -> Pieces:
    """Grey values 0-255 of a mask to [256, 256] in [0, 1] by nearest neighbour."""
    kept = np.arange(SIDE) * len(values) // SIDE
    shrunk = single(values[kept][:, kept] / np.float32(255))
    return Pieces({name: shrunk}, [Row("first channel", f"maps/{name}", values.shape, "/ 255")])


def fixed_displacement(array: np.ndarray, place: str) -> Pieces:
    """`fixed_displacement_256.npy`: metres along the normal, [256, 256]."""
    array = take({"array": array}, "array", (SIDE, SIDE), place)
    return Pieces({"fixed_displacement": single(array)}, [Row("array", "maps/fixed_displacement", array.shape, "")])


def dense_template(content: Mapping[str, Any], place: str) -> Pieces:
    """`texture_data_256.npy`: the dense mesh over the uv map, kept for other programs: ours makes its own."""
    arrays, rows = {}, []
    for key, value in content.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            rows.append(Row(str(key), None, shape_of(value), "no numbers"))
            continue
        target = f"dense_template/{key}"
        arrays[target] = single(array) if array.dtype.kind == "f" else whole(array)
        rows.append(Row(str(key), f"maps/{target}", array.shape, ""))
    return Pieces(arrays, rows)


def checkpoint_maps(state: Mapping[str, Any], place: str) -> Pieces:
    """Buffers of an EMOCA checkpoint: `deca.uv_face_eye_mask` (already in [0, 1]) and `deca.fixed_uv_dis`."""
    arrays, rows = {}, []
    for key, name in (("deca.uv_face_eye_mask", "face_eye_mask"), ("deca.fixed_uv_dis", "fixed_displacement")):
        if key in state:
            flat = np.reshape(state[key], np.shape(state[key])[-2:])
            arrays[name] = single(take({key: flat}, key, (SIDE, SIDE), place))
            rows.append(Row(key, f"maps/{name}", shape_of(state[key]), ""))
    return Pieces(arrays, rows)

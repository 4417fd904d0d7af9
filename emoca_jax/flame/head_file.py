"""Head files: `<name>.safetensors` or `.npz` holds the arrays, `<name>.json` beside it names, scales and provenance."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from emoca_jax import render
from emoca_jax.errors import InputError, checked_path
from emoca_jax.files.regular import LARGEST_DESCRIPTION, read_regular
from emoca_jax.files.whole import write_file
from emoca_jax.flame.head import AlbedoModel, FaceHead, LandmarkEmbedding, LandmarkLag
from emoca_jax.flame.head_arrays import (
    ALBEDO_SHAPES,
    ARRAY_SHAPES,
    LAG_SHAPES,
    TURN_SHAPES,
    check_arrays,
    check_head_arrays,
)
from emoca_jax.safe_files.array_files import npz_of_bytes

FORMAT_VERSION = 1
OPEN_HEAD = "open"
HEAD_FILE_NAMES = ("head.safetensors", "head.npz")
"""What a folder calls its head, in the order they are looked for; `emoca convert` writes the first."""
SAFETENSORS = ".safetensors"

TUPLE_FIELDS = ("parents", "joint_names", "expression_names", "part_names")
STATIC_FIELDS = (*TUPLE_FIELDS, "name", "bounded_expression")


def load_head(source: str | Path = OPEN_HEAD) -> FaceHead:
    """Read a head: "open" for the one that ships with the package, else a head file or the folder that holds it.

    A folder that `emoca convert` made will do, too. All float arrays come back as float32, whatever they were stored
    as. Errors: InputError, naming the array and the shape expected and found, where the file is missing, damaged,
    incomplete or holds numbers that are not finite.
    """
    if source == OPEN_HEAD:
        folder = resources.files("emoca_jax") / "assets"
        return _parse(_read(folder / "open_head.npz"), _read(folder / "open_head.json"), "the open head")
    path = Path(checked_path("source", source))
    if os.path.isdir(path):
        path = next(
            (path / name for name in HEAD_FILE_NAMES if os.path.lexists(path / name)), path / HEAD_FILE_NAMES[0]
        )
    description = _read(path.with_suffix(".json"), most=LARGEST_DESCRIPTION)
    head = _parse(_read(path), description, str(path))
    beside = json.loads(description).get("albedo_file")
    if beside is None:
        return head
    name = Path(str(beside)).name
    if not name:
        raise InputError(f"The .json beside {path} names no albedo_file ({beside!r}): write or convert the head again.")
    return head.replace(albedo=load_albedo(path.with_name(name)))


def load_albedo(path: str | Path) -> AlbedoModel:
    """An albedo model kept in a file of its own: safetensors with `mean` [H, W, 3] and `basis` [H, W, 3, K].

    Errors: InputError where it is missing, damaged or of other shapes.
    """
    arrays = {f"albedo.{name}": _unpack(a, None) for name, a in _read_arrays(_read(Path(path)), str(path)).items()}
    check_arrays(arrays, ALBEDO_SHAPES, {}, str(path))
    on_device = jax.device_put(arrays)
    return AlbedoModel(on_device["albedo.mean"], on_device["albedo.basis"])


def save_head(
    head: FaceHead,
    path: str | Path,
    *,
    storage: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write `path` (.safetensors or .npz) and the .json beside it; readers never see half a file.

    storage: array name to "float16", "uint8" (for values in [0, 1], steps of 1/255) or "int8" (symmetric, one scale per
    index of the last axis, zeros stay zero); everything else is kept as float32 or the smallest integer type.
    provenance: anything json can hold, kept under that key.
    Errors: InputError where the target folder cannot be written.
    """
    static = {field: getattr(head, field) for field in STATIC_FIELDS}
    names = head.albedo.names if head.albedo else ()
    save_head_arrays(_flatten(head), static, path, albedo_names=names, storage=storage, provenance=provenance)


def save_head_arrays(
    arrays: Mapping[str, Any],
    static: Mapping[str, Any],
    path: str | Path,
    *,
    albedo_names: tuple[str, ...] = (),
    albedo_file: str | None = None,
    storage: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """`save_head` for arrays by name (`ARRAY_SHAPES`) and `STATIC_FIELDS`; the arrays may still be incomplete.

    albedo_file: name of a file beside the head that holds its albedo model (`load_albedo`).
    """
    path = Path(path)
    packed, scales = {}, {}
    for name, value in arrays.items():
        packed[name], scale = _pack(np.asarray(value), (storage or {}).get(name), name)
        if scale is not None:
            scales[name] = scale
    data = _file_bytes(packed, path)
    description = {
        "format": FORMAT_VERSION,
        "kind": "emoca_jax head",
        "units": "metres, radians, RGB in [0, 1]",
        **{field: static[field] for field in STATIC_FIELDS},
        "albedo_names": albedo_names,
        **({"albedo_file": albedo_file} if albedo_file else {}),
        "scales": scales,
        "sha256": hashlib.sha256(data).hexdigest(),
        "provenance": dict(provenance or {}),
    }
    # The json first: a reader that comes between the two sees a wrong checksum, never a silent mixture.
    write_file(path.with_suffix(".json"), json.dumps(description, indent=1).encode())
    write_file(path, data)


def _file_bytes(arrays: dict[str, np.ndarray], path: Path) -> bytes:
    if path.suffix == SAFETENSORS:
        return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    packed = io.BytesIO()
    # The annotations of NumPy take an array by name for the option allow_pickle, which NumPy before 2.2 stores.
    np.savez_compressed(packed, **arrays)  # pyright: ignore[reportArgumentType]
    return packed.getvalue()


def _flatten(head: FaceHead) -> dict[str, Any]:
    optional = [ALBEDO_SHAPES] * (head.albedo is not None)
    if head.landmark_lag is not None:
        optional += [LAG_SHAPES] + [TURN_SHAPES] * (head.landmark_lag.turn is not None)
    return {name: _attribute(head, name) for group in (ARRAY_SHAPES, *optional) for name in group}


def _attribute(head: FaceHead, dotted: str) -> Any:
    value: Any = head
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def _pack(array: np.ndarray, kind: str | None, name: str) -> tuple[np.ndarray, float | list[float] | None]:
    if np.issubdtype(array.dtype, np.integer):
        return array.astype(np.min_scalar_type(int(array.max(initial=0)))), None
    if kind is None or kind == "float16":
        return array.astype(kind or np.float32), None
    if kind == "uint8":
        return np.round(np.clip(array, 0, 1) * 255).astype(np.uint8), 1 / 255
    if kind == "int8":
        largest = np.abs(array).max(axis=tuple(range(array.ndim - 1)), initial=0.0)
        scale = np.where(largest > 0, largest, 1.0) / 127
        return np.round(array / scale).astype(np.int8), scale.astype(float).tolist()
    raise InputError(f"Head array {name!r} cannot be stored as {kind!r}: choose float16, uint8 or int8.")


def _read(path: Any, *, most: int | None = None) -> bytes:
    try:
        return read_regular(path, most=most)
    except InputError as error:
        reason = str(error.__cause__.strerror if isinstance(error.__cause__, OSError) else error)
        raise InputError(
            f"The head file {path} cannot be read ({reason}): give the .safetensors or .npz of a head, the folder that "
            f"holds {' or '.join(HEAD_FILE_NAMES)}, or {OPEN_HEAD!r}."
        ) from error


def _parse(data: bytes, description: bytes, place: str) -> FaceHead:
    try:
        meta = json.loads(description)
        if meta["kind"] != "emoca_jax head" or meta["format"] != FORMAT_VERSION:
            raise InputError(
                f"The description beside {place} is of kind {meta['kind']!r:.80}, format {meta['format']!r:.80}; this "
                f"version reads emoca_jax head, format {FORMAT_VERSION}: convert the head again."
            )
        static = {key: tuple(meta[key]) if key in TUPLE_FIELDS else meta[key] for key in STATIC_FIELDS}
        albedo_names, scales, checksum = tuple(meta["albedo_names"]), meta["scales"], meta["sha256"]
        _check_static(static, albedo_names, scales)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"The .json beside {place} is damaged ({error}): write or convert the head again.") from error
    arrays = _read_arrays(data, place)
    if hashlib.sha256(data).hexdigest() != checksum:
        raise InputError(f"{place} and the .json beside it do not belong together: write or convert the head again.")
    try:
        arrays = {name: _unpack(array, scales.get(name)) for name, array in arrays.items()}
    except (ValueError, TypeError) as error:
        raise InputError(f"The scales beside {place} do not fit ({error}): write or convert the head again.") from error
    check_head_arrays(arrays, static, albedo_names, place)
    return _assemble(arrays, static, albedo_names)


def _read_arrays(data: bytes, place: str) -> dict[str, np.ndarray]:
    """What is in a safetensors or npz file, told by its first bytes."""
    try:
        if not data.startswith(b"PK"):
            return safetensors.numpy.load(data)
        return dict(npz_of_bytes(data, place))
    # safetensors asks NumPy for kinds of numbers that it may not have.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise InputError(f"{place} is damaged or no head file ({error}): write or convert it again.") from error


def _unpack(array: np.ndarray, scale: Any) -> np.ndarray:
    if scale is not None:
        factor = np.asarray(scale, np.float32)
        if factor.shape not in ((), array.shape[-1:]):
            raise ValueError(f"{factor.shape} to {array.shape}")
        return array.astype(np.float32) * factor
    if array.dtype.kind not in "iuf":
        return array  # `check_arrays` says of what kind it is
    return array.astype(np.float32 if np.issubdtype(array.dtype, np.floating) else np.int32)


def _check_static(static: Mapping[str, Any], albedo_names: tuple[Any, ...], scales: Any) -> None:
    """What the .json says, by kind. Errors: ValueError."""
    parents = static["parents"]
    if not all(isinstance(joint, int) for joint in parents) or any(
        not -1 <= parent < joint or (parent < 0) != (joint == 0) for joint, parent in enumerate(parents)
    ):
        raise ValueError("its joints form no tree whose first is the root")
    names = [*albedo_names, static["name"], *(text for field in TUPLE_FIELDS[1:] for text in static[field])]
    if not all(isinstance(name, str) for name in names) or len(static["joint_names"]) != len(parents):
        raise ValueError("its names are none, or not one for each joint")
    if not isinstance(static["bounded_expression"], bool) or not isinstance(scales, dict):
        raise ValueError("bounded_expression or scales is of the wrong kind")


def _assemble(arrays: dict[str, np.ndarray], static: dict[str, Any], albedo_names: tuple[str, ...]) -> FaceHead:
    on_device = jax.device_put(arrays)
    embeddings = {
        name: LandmarkEmbedding(on_device[f"{name}.face_index"], on_device[f"{name}.barycentric"])
        for name in ("landmarks_static", "landmarks_contour", "landmarks_full", "landmarks_mediapipe")
    }
    albedo = None
    if "albedo.mean" in on_device:
        albedo = AlbedoModel(on_device["albedo.mean"], on_device["albedo.basis"], albedo_names)
    lag = None
    if "landmark_lag.offset" in on_device:
        lag = LandmarkLag(
            on_device["landmark_lag.offset"], on_device["landmark_lag.expression"], on_device.get("landmark_lag.turn")
        )
    plain = {name: on_device[name] for name in ARRAY_SHAPES if "." not in name}
    # In NumPy: on the device the sort would be a program to compile at every start.
    edges = jax.device_put(render.mesh_edges(arrays["faces"]))
    return FaceHead(**plain, **embeddings, landmark_lag=lag, albedo=albedo, mesh_edges=edges, **static)

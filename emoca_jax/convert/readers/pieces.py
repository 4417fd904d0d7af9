"""Arrays taken out of one official file, with the account of every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from emoca_jax.convert.readers.translate import Row
from emoca_jax.errors import InputError


class Pieces(NamedTuple):
    """Arrays under our names, and one row for each key of the source."""

    arrays: dict[str, np.ndarray]
    rows: list[Row]


def take(content: Mapping[str, Any], key: str, shape: tuple[int | None, ...], place: str) -> np.ndarray:
    """The array under `key`, dense; None in `shape` stands for any size.

    Errors: InputError naming the file, the key, and the shapes expected and found.
    """
    text = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
    if key not in content:
        raise InputError(f"{place} lacks {key!r} of shape {text}: take the official file again.")
    value = content[key]
    try:
        array = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: {key!r} is no array ({error}): take the official file again.") from error
    fits = array.ndim == len(shape) and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in "fiu":
        raise InputError(
            f"{place}: {key!r} has shape {array.shape} and type {array.dtype}, expected numbers of shape {text}: take "
            "the official file again."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{place}: {key!r} holds NaN or infinity: take the official file again.")
    return array


def single(array: np.ndarray) -> np.ndarray:
    """The array as contiguous float32."""
    return np.ascontiguousarray(array, np.float32)


def whole(array: np.ndarray) -> np.ndarray:
    """The array as contiguous int32; indices of FLAME are far below its limit."""
    return np.ascontiguousarray(array, np.int32)


def shape_of(value: Any) -> tuple[int, ...]:
    """Shape for the report, () for what is no array."""
    return tuple(getattr(value, "shape", ()))


def skipped(content: Mapping[str, Any], used: set[str], reasons: Mapping[str, str]) -> list[Row]:
    """Rows for the keys of `content` that are not used: the reason, or "unknown"."""
    return [
        Row(str(key), None, shape_of(value), reasons.get(str(key), "unknown"))
        for key, value in content.items()
        if key not in used
    ]

"""Which arrays a head has, of what shapes, and what may be in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Shaped

from emoca_jax.errors import InputError
from emoca_jax.flame.head import TURN_KNOTS

# Letters bind to a number at first sight and must agree afterwards; digits are fixed.
ARRAY_SHAPES = {
    "template": ("V", 3),
    "shape_dirs": ("V", 3, "S"),
    "expression_dirs": ("V", 3, "E"),
    "pose_dirs": ("V", 3, "C"),
    "joint_regressor": ("J", "V"),
    "skin_weights": ("V", "J"),
    "faces": ("F", 3),
    "uv": ("T", 2),
    "uv_faces": ("F", 3),
    "face_part": ("F",),
    "landmarks_static.face_index": (51,),
    "landmarks_static.barycentric": (51, 3),
    "landmarks_contour.face_index": (79, 17),
    "landmarks_contour.barycentric": (79, 17, 3),
    "landmarks_full.face_index": (68,),
    "landmarks_full.barycentric": (68, 3),
    "landmarks_mediapipe.face_index": ("P",),
    "landmarks_mediapipe.barycentric": ("P", 3),
    "mediapipe_index": ("P",),
}
ALBEDO_SHAPES = {"albedo.mean": ("H", "W", 3), "albedo.basis": ("H", "W", 3, "K")}
LAG_SHAPES = {"landmark_lag.offset": ("L", 3), "landmark_lag.expression": ("L", 3, "E")}
TURN_SHAPES = {"landmark_lag.turn": (len(TURN_KNOTS), "L", 3)}
OPTIONAL_SHAPES = (ALBEDO_SHAPES, LAG_SHAPES, TURN_SHAPES)
"""Groups of arrays that a head has altogether or not at all."""
# What an array's integers point into; numbers are fixed limits.
INDEX_LIMITS: dict[str, str | int] = {
    "faces": "V",
    "uv_faces": "T",
    "landmarks_static.face_index": "F",
    "landmarks_contour.face_index": "F",
    "landmarks_full.face_index": "F",
    "landmarks_mediapipe.face_index": "F",
    "mediapipe_index": 478,
    "face_part": "part_names",
}
LARGEST = 1e6
"""Of any number in a head: metres, weights, shares of colour, by far."""
SHARES = {
    "skin_weights": 0.05,
    "joint_regressor": 0.5,
    "landmarks_static.barycentric": 0.05,
    "landmarks_contour.barycentric": 0.05,
    "landmarks_full.barycentric": 0.05,
    "landmarks_mediapipe.barycentric": 0.05,
}
"""Arrays whose last axis holds shares of a whole -> how far from 1 their sum may be: weights may have been rounded to 8
bits each; nobody promises what regressors that were fitted sum to, but a joint moves with the head."""


def check_head_arrays(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    static: Mapping[str, Any],
    albedo_names: tuple[str, ...],
    place: str,
) -> None:
    """Every array there, of agreeing shape, finite, pointing inside what it points into; else InputError."""
    expected = dict(ARRAY_SHAPES)
    for group in OPTIONAL_SHAPES:
        expected |= group if any(name in arrays for name in group) else {}
    sizes: dict[str, int] = {"J": len(static["parents"]), "part_names": len(static["part_names"])}
    if static["expression_names"]:
        sizes["E"] = len(static["expression_names"])
    if albedo_names:
        sizes["K"] = len(albedo_names)
    check_arrays(arrays, expected, sizes, place)
    for name, target in INDEX_LIMITS.items():
        limit = target if isinstance(target, int) else sizes[target]
        if arrays[name].size and not 0 <= arrays[name].min() <= arrays[name].max() < limit:
            raise InputError(f"{place}: array {name!r} points outside 0..{limit - 1}: write or convert the head again.")
    for name, uneven in SHARES.items():
        shares = arrays[name]
        if shares.size and np.abs(shares.sum(-1) - 1).max() > uneven:
            raise InputError(f"{place}: shares in array {name!r} do not sum to 1: write or convert the head again.")
    if (arrays["skin_weights"] < 0).any():
        raise InputError(f"{place}: array 'skin_weights' holds negative shares: write or convert the head again.")


def check_arrays(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    expected: Mapping[str, tuple[str | int, ...]],
    sizes: dict[str, int],
    place: str,
) -> None:
    """Shapes against their letters, and numbers; `sizes` holds the letters already bound and receives the others.

    Errors: InputError where one is missing or of another shape, or holds what it should not.
    """
    for name, symbols in expected.items():
        wanted = tuple(sizes.get(symbol, symbol) if isinstance(symbol, str) else symbol for symbol in symbols)
        text = "(" + ", ".join("any" if isinstance(size, str) else str(size) for size in wanted) + ")"
        if name not in arrays:
            raise InputError(f"{place} lacks the array {name!r} of shape {text}: write or convert the head again.")
        array = arrays[name]
        if array.ndim != len(symbols) or any(
            isinstance(size, int) and size != found for size, found in zip(wanted, array.shape, strict=True)
        ):
            raise InputError(
                f"{place}: array {name!r} has shape {array.shape}, expected {text}: write or convert the head again."
            )
        sizes.update((s, found) for s, found in zip(symbols, array.shape, strict=True) if isinstance(s, str))
        if name in INDEX_LIMITS and array.dtype.kind not in "iu":
            raise InputError(f"{place}: array {name!r} should hold whole numbers: write or convert the head again.")
        if name not in INDEX_LIMITS and array.dtype.kind != "f":
            raise InputError(
                f"{place}: array {name!r} should hold floats, not {array.dtype}: write or convert it again."
            )
        if not np.isfinite(array).all():
            raise InputError(f"{place}: array {name!r} holds NaN or infinity: write or convert the head again.")
        if array.size and np.abs(array).max() > LARGEST and name not in INDEX_LIMITS:
            raise InputError(f"{place}: array {name!r} holds absurd numbers: write or convert the head again.")

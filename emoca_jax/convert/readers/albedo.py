"""Linear albedo models in FLAME's uv layout, from BFM's and FLAME's files or an EMOCA checkpoint's copy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from emoca_jax.convert.readers.pieces import Pieces, single, skipped, take
from emoca_jax.convert.readers.translate import Row
from emoca_jax.errors import InputError

COMPONENTS = 50
"""Of the 199 or 200; what E_flame predicts."""
SIDE = 256
"""Texels a side; the official code shrinks its 512 by nearest neighbour."""
FLAME_TEXTURE_WHITE = 255.0
"""FLAME's texture space counts to 255, BFM's albedo to 1."""


def bfm_albedo(content: Mapping[str, Any], place: str) -> Pieces:
    """`FLAME_albedo_from_BFM.npz`: mean MU and components PC, BGR in [0, 1]."""
    return _albedo(content, "MU", "PC", 1.0, "albedo_bfm", {}, place)


def flame_texture(content: Mapping[str, Any], place: str) -> Pieces:
    """`FLAME_texture.npz`: `mean` and `tex_dir`, BGR counted to 255."""
    extras = {key: "uv layout, taken from head_template.obj" for key in ("vt", "ft")}
    return _albedo(content, "mean", "tex_dir", FLAME_TEXTURE_WHITE, "albedo_flame", extras, place)


def checkpoint_albedo(state: Mapping[str, Any], part: str, place: str) -> Pieces:
    """Buffers `deca.flametex.*`: already in [0, 1] and cut to the components in use."""
    prefix = "deca.flametex."
    table = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    pieces = _albedo(table, "texture_mean", "texture_basis", 1.0, part, {}, f"{place} ({prefix}*)")
    return pieces._replace(rows=[row._replace(source=prefix + row.source) for row in pieces.rows])


def _albedo(
    content: Mapping[str, Any], mean_key: str, basis_key: str, white: float, part: str, extras: dict, place: str
) -> Pieces:
    """Mean [256, 256, 3] and basis [256, 256, 3, 50], RGB, row 0 at v = 1.

    Source: `F.interpolate(..., mode="nearest")` takes row floor(i * size / 256) of a size x size texture.
    """
    arrays, rows = {}, []
    for name, key, components in (("mean", mean_key, 1), ("basis", basis_key, COMPONENTS)):
        if key not in content:
            raise InputError(f"{place} lacks {key!r}: take the official file again.")
        source = content[key]
        shape = np.shape(source)
        columns = shape[-1] if name == "basis" and shape else 1
        side = math.isqrt(math.prod(shape) // (3 * columns)) if columns else 0
        if side < SIDE or math.prod(shape) != side * side * 3 * columns or columns < components:
            raise InputError(
                f"{place}: {key!r} has shape {shape}, expected {SIDE * 2} x {SIDE * 2} x 3"
                + (f" x at least {components}" if name == "basis" else "")
                + ": take the official file again."
            )
        kept = np.arange(SIDE) * side // SIDE
        # Cut before rows are copied: BFM's file is 1.3 GB on disk.
        texels = np.reshape(source, (side, side, 3, columns))[:, :, ::-1, :components][kept][:, kept]
        array = single(take({key: texels / white if white != 1 else texels}, key, (SIDE, SIDE, 3, components), place))
        arrays[name] = array[..., 0] if name == "mean" else array
        note = f"{side} -> {SIDE} by nearest neighbour, BGR -> RGB" + (f", / {white:g}" if white != 1 else "")
        if components < columns:
            note += f", first {components} of {columns} components"
        rows.append(Row(key, f"{part}/{name}", tuple(shape), note))
    return Pieces(arrays, rows + skipped(content, {mean_key, basis_key}, extras))

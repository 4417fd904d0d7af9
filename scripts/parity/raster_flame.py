"""A whole head rasterised by pytorch3d's rules, and the constant uv lookup."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from emoca_jax import render
from parity.assets import Assets
from parity.golden import Comparison, Golden, Tolerance
from parity.pixel_distance import signed_squared_distance

FLIPPED = 0.0005
"""Part of the pixels whose face may differ at shared edges (reference README)."""
INDEX = Tolerance(outliers=FLIPPED)
PIXEL = Tolerance(absolute=1e-4, outliers=FLIPPED)


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("flame_trans_verts")
    vertices, head = golden["flame_trans_verts"], assets.head
    size = golden["flame_pix_to_face"].shape
    got = render.rasterize(jnp.asarray(vertices), jnp.asarray(head.faces), size, official=True)
    yield from _fragments(golden, "flame", got)
    empty = np.asarray(got.face_index) < 0
    yield from golden.check("flame_zbuf", np.where(empty, -1, got.depth), PIXEL)
    distance = signed_squared_distance(vertices, np.asarray(head.faces), np.asarray(got.face_index))
    yield from golden.check("flame_dists", np.where(empty, -1, distance), PIXEL)
    size = golden["uv_pix_to_face"].shape
    sheet = render.rasterize_uv(jnp.asarray(head.uv), jnp.asarray(head.uv_faces), size, official=True)
    yield from _fragments(golden, "uv", sheet)


def _fragments(golden: Golden, name: str, got: render.Fragments) -> Iterator[Comparison]:
    index = np.asarray(got.face_index)
    yield from golden.check(f"{name}_pix_to_face", index, INDEX)
    barycentric = np.where((index < 0)[..., None], -1, got.barycentric)
    yield from golden.check(f"{name}_bary", np.moveaxis(barycentric, -1, 0), PIXEL)

"""Lashes as a line of shade along the rims of the lids, which moves with them.

The photo's own stay where its eye was when a lid moves, so they are kept off the skin (`openings.clear_of_openings`);
without any an eye looks peeled. From the front a row of lashes is a dark line at the root, wider above than below.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from emoca_jax import render
from emoca_jax.flame.head import FaceHead

UPPER, LOWER = (0.0024, 0.7), (0.0014, 0.35)
"""Metres from the rim over which the line fades out, and how much of the light it takes at the rim: by eye, between
bare lids and lids with make-up."""
INNER_END = 0.25
"""Share of an eye's width, from the inner corner on, along which lashes begin."""
PIXELS = 512
MARGIN = 1.2
"""Pixels a side of the view of both eyes in which rims are found, and how much wider it is than both eyeballs."""
TIE = 1e-6
"""Metres: what rounding alone tells apart."""
POINTS, BEND = 64, 4
"""Points of a rim, and degree of the polynomial that it is."""


def lash_map(
    head: FaceHead, position: Float[np.ndarray, "size size 3"], skin: Float[np.ndarray, "size size"]
) -> Float[np.ndarray, "size size"]:
    """How much of the light lashes take at each texel; nothing for a head whose eyes are no part of their own.

    position: of each texel on the template. skin: 1 on skin.
    """
    shade = np.zeros(skin.shape, np.float32)
    if "eyes" not in head.part_names:
        return shade
    place, is_eye, is_skin = _seen_from_the_front(head)
    for side in (1, -1):
        beside = place[_around(is_eye & (side * place[..., 0] > 0)) & is_skin]
        if not len(beside):
            continue
        for rim, (width, most) in zip(_lines(beside), (UPPER, LOWER), strict=True):
            near = (skin > 0) & (np.abs(position - rim.mean(0)) < np.ptp(rim, axis=0) + width).all(-1)
            away, nearest = KDTree(rim).query(position[near])
            thinner = np.clip(nearest / (INNER_END * POINTS), 0, 1)
            shade[near] = np.maximum(shade[near], most * thinner * np.clip(1 - away / width, 0, 1))
    return shade


def _seen_from_the_front(
    head: FaceHead,
) -> tuple[Float[np.ndarray, "side side 3"], Bool[np.ndarray, "side side"], Bool[np.ndarray, "side side"]]:
    """What of the template lies at each pixel around the eyes, where that is an eyeball, and where something else."""
    part = np.asarray(head.face_part) == head.part_names.index("eyes")
    vertices, faces = np.asarray(head.template), np.asarray(head.faces)
    eyes = vertices[np.unique(faces[part])]
    low, high = eyes.min(0), eyes.max(0)
    scale = 2 / (MARGIN * (high - low)[:2].max())
    plane = (vertices - (low + high) / 2) * np.float32(scale) * np.array([1, -1, -1], np.float32)
    fragments = render.rasterize(jnp.asarray(plane), head.faces, (PIXELS, PIXELS))
    seen = np.asarray(fragments.face_index)
    place = np.asarray(render.interpolate(fragments, head.template, head.faces))
    return place, (seen >= 0) & part[seen], (seen >= 0) & ~part[seen]


def _around(area: Bool[np.ndarray, "side side"]) -> Bool[np.ndarray, "side side"]:
    """Pixels of an area and those beside it."""
    return functools.reduce(np.logical_or, (np.roll(area, step, axis) for axis in (0, 1) for step in (1, -1)), area)


def _lines(beside: Float[np.ndarray, "pixels 3"]) -> list[Float[np.ndarray, "points 3"]]:
    """Rims of the upper and the lower lid, from the inner corner to the outer one, of skin beside an eye's opening.

    Smooth curves: where a fold of skin hangs over a rim, it is under the fold.
    """
    from_middle = np.abs(beside[:, 0])
    # Corners are edges of the grid: several pixels that only rounding tells apart.
    inner, outer = (beside[np.flatnonzero(far <= far.min() + TIE)[0]] for far in (from_middle, -from_middle))
    along = (from_middle - abs(inner[0])) / (abs(outer[0]) - abs(inner[0]))
    is_upper = beside[:, 1] > inner[1] + along * (outer[1] - inner[1])
    even = np.linspace(0, 1, POINTS)
    return [
        np.stack([np.polyval(np.polyfit(along[own], beside[own, axis], BEND), even) for axis in range(3)], axis=1)
        for own in (is_upper, ~is_upper)
    ]

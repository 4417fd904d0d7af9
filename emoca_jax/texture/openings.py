"""Eyes and mouth of the photo and those of the fitted head: brought to lie over each other, and kept off the skin.

A fit is off by a few tenths of a per cent of the face's width, and lips and lids are as thin as that: without care the
photo's teeth are painted on lips, and its lashes and eyeballs on lids, where they stay when these move.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from emoca_jax import render
from emoca_jax.flame.head import FaceHead
from emoca_jax.mediapipe_points import (
    ALL_POINTS,
    FACE_OVAL,
    LEFT_EYE_RING,
    LEFT_IRIS,
    LIP_RINGS,
    RIGHT_EYE_RING,
    RIGHT_IRIS,
)
from emoca_jax.products import precise_einsum

FIELD_CELLS = 64
"""Cells across the crop in which the shift from head to photo is computed; between them it is interpolated."""
REACH = 0.03
"""Standard deviation, in face widths, over which a landmark shifts what is around it: half the height of lips."""
ALONE = 0.3
"""Weight of no shift at all beside landmarks, so that the shift fades where there are none."""
MASK_CELLS = 256
"""Cells across the crop in which the distance to eyes and mouth is computed."""
LASHES = (0.008, 0.03)
"""Distance to the opening of an eye, in face widths (140 mm), up to which nothing is taken for skin, and from which
everything is: lashes, their shadow and the wet rim of a lid are within 4 mm."""
LIP_LINE = (0.003, 0.011)
"""The same for the opening between the lips: teeth and the dark line, by the error of a fit (median .4 %)."""
PALE, DARK = (0.12, 0.28), 0.03
"""How much smaller than the lips' the logarithm of red over green may be, and from where it is no lip: lips have .3 to
.8, teeth .05 to .15. And what is added to both."""
BARE_LIPS = 0.45
"""That logarithm of lips without paint, above which both limits grow with it: red lipstick, 1, shines as .4."""


class OpeningRows(struct.PyTreeNode):
    """Rows of `head.landmarks_mediapipe` around the openings of the face; made once per head."""

    eyes: Int[Array, "2 ring"]
    """Right, left."""
    lips: Int[Array, "lip_ring"]
    """The line where lips part."""
    mouth: Int[Array, "lip_ring"]
    """The outer line of the lips, point beside point."""
    inner: Float[Array, "points"]
    """1 for points that are glued to the face, 0 on its outline, which wanders over the skin as the head turns."""


class ShownPoints(struct.PyTreeNode):
    """Where the photo shows what the head's landmarks are glued to, in the crop's plane."""

    fitted: Float[Array, "points 2"]
    """Of the decoded head."""
    shown: Float[Array, "points 2"]
    """In the photo."""
    trust: Float[Array, "points"]
    """0 for points that are turned away, to 1."""
    irises: Float[Array, "2 5 2"]
    """Centre and four points around it of the photo's right and left iris."""
    width: Float[Array, ""]
    """Of the face."""


def opening_rows(head: FaceHead) -> OpeningRows | None:
    """None for a head that lacks some of the points, or whose eyes and skin are one part."""
    if "eyes" not in head.part_names:
        return None
    index = np.asarray(head.mediapipe_index)
    row = {int(point): number for number, point in enumerate(index)}
    outlines = (_outline(ring) for ring in (RIGHT_EYE_RING, LEFT_EYE_RING, LIP_RINGS[-1], LIP_RINGS[0]))
    rings = [[row.get(point, -1) for point in outline] for outline in outlines]
    if any(-1 in ring for ring in rings):
        return None
    return OpeningRows(
        eyes=jax.device_put(np.array(rings[:2], np.int32)),
        lips=jax.device_put(np.array(rings[2], np.int32)),
        mouth=jax.device_put(np.array(rings[3], np.int32)),
        inner=jax.device_put((~np.isin(index, FACE_OVAL)).astype(np.float32)),
    )


def _outline(ring: tuple[int, ...]) -> tuple[int, ...]:
    """A ring of lids or lips, listed as corner, one line, corner, the other line in the same direction, as a walk."""
    half = len(ring) // 2 + 1
    return (*ring[:half], *reversed(ring[half:]))


def shown_points(
    fitted: Float[Array, "points 2"],
    found_at: Float[Array, "points 2"],
    index: Int[Array, "points"],
    trust: Float[Array, "points"],
    landmarks: Float[Array, "478 3"],
    width: Float[Array, ""],
) -> ShownPoints:
    """Landmarks of the photo as places on it.

    fitted: points of the decoded head. found_at: where the landmark network would find these, its lag included. index:
    which of the 478 each is. landmarks: detected, in the same plane.
    """
    irises = jnp.array([RIGHT_IRIS, LEFT_IRIS])
    assert landmarks.shape[0] == ALL_POINTS
    return ShownPoints(fitted, fitted + landmarks[index, :2] - found_at, trust, landmarks[irises, :2], width)


def shifted(
    place: Float[Array, "rows columns 3"], points: ShownPoints, rows: OpeningRows
) -> Float[Array, "rows columns 3"]:
    """Places in the photo of what the decoded head has at `place`: shifted as the landmarks around are."""
    centre = (2 * jnp.arange(FIELD_CELLS) + 1) / FIELD_CELLS - 1
    apart = jnp.square((centre[None, :, None] - points.fitted.T[:, None]) / (REACH * points.width))
    near = jnp.exp(-apart / 2)  # [2, cells, points]
    trust = points.trust * rows.inner
    shift = (points.shown - points.fitted) * trust[:, None]
    mass = precise_einsum("xp,yp,p->yx", near[0], near[1], trust)
    field = precise_einsum("xp,yp,pc->yxc", near[0], near[1], shift) / (mass + ALONE)[..., None]
    moved = render.sample_image(field, place[..., :2])
    return jnp.concatenate([place[..., :2] + moved, place[..., 2:]], axis=-1)


def clear_of_openings(
    place: Float[Array, "size size 3"], image: Float[Array, "side side 3"], points: ShownPoints, rows: OpeningRows
) -> Float[Array, "size size"]:
    """1 where a place in the photo is skin, 0 on and close to the photo's eyes, between its lips, and on teeth that
    landmarks take for lips."""
    centre = (2 * jnp.arange(MASK_CELLS) + 1) / MASK_CELLS - 1
    grid = jnp.stack(jnp.meshgrid(centre, centre), axis=-1)
    clear = jnp.ones((MASK_CELLS, MASK_CELLS))
    for ring, limits in ((rows.eyes[0], LASHES), (rows.eyes[1], LASHES), (rows.lips, LIP_LINE)):
        away = distance_outside(grid, points.shown[ring]) / points.width
        clear = clear * jnp.clip((away - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0)
    clear = clear * (1 - _teeth_on_lips(grid, image, points, rows))
    return render.sample_image(clear[..., None], place[..., :2])[..., 0]


def _teeth_on_lips(
    grid: Float[Array, "rows columns 2"], image: Float[Array, "side side 3"], points: ShownPoints, rows: OpeningRows
) -> Float[Array, "rows columns"]:
    """1 where a place within the lips' outline is much less red than lips are: teeth, or a highlight."""

    def redness(places: Float[Array, "*places 2"]) -> Array:
        colour = render.sample_image(image, places)
        return jnp.log((colour[..., 0] + DARK) / (colour[..., 1] + DARK))

    usual = jnp.median(redness((points.shown[rows.lips] + points.shown[rows.mouth]) / 2))
    within = distance_outside(grid, points.shown[rows.mouth]) < LIP_LINE[0] * points.width
    less = (usual - redness(grid)) / jnp.maximum(usual / BARE_LIPS, 1.0)
    pale = jnp.clip((less - PALE[0]) / (PALE[1] - PALE[0]), 0.0, 1.0)
    return jnp.where(within, pale, 0.0)


def distance_outside(places: Float[Array, "*places 2"], outline: Float[Array, "corners 2"]) -> Float[Array, "*places"]:
    """Distance to a closed outline, negative inside it (even-odd rule)."""
    start, end = outline, jnp.roll(outline, -1, axis=0)
    x, y = places[..., 0, None], places[..., 1, None]

    def flat(values: Float[Array, "corners"]) -> Array:
        return values.reshape(*(1,) * (places.ndim - 1), -1)

    ax, ay = flat(start[:, 0]), flat(start[:, 1])
    dx, dy = flat(end[:, 0] - start[:, 0]), flat(end[:, 1] - start[:, 1])
    along = jnp.clip(((x - ax) * dx + (y - ay) * dy) / jnp.maximum(dx**2 + dy**2, 1e-12), 0.0, 1.0)
    distance = jnp.min(jnp.hypot(x - ax - along * dx, y - ay - along * dy), axis=-1)
    spans = (ay > y) != (ay + dy > y)
    crossing = ax + (y - ay) / jnp.where(dy == 0, 1.0, dy) * dx
    inside = jnp.sum(spans & (x < crossing), axis=-1) % 2 == 1
    return jnp.where(inside, -distance, distance)

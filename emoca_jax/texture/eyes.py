"""Eyeballs in the photo's colours: the model's clean eye, iris and white tinted by what the photo shows of them.

The photo's own pixels would bring lashes, lids, reflections and the direction of its gaze onto eyes that are to move.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from emoca_jax import render
from emoca_jax.flame.head import FaceHead
from emoca_jax.texture.openings import OpeningRows, ShownPoints, distance_outside

IRIS_POLAR, PUPIL_POLAR, SOFT = np.radians(29.5), np.radians(13.5), np.radians(3.0)
"""Angle from the pupil's middle to the rims of iris and pupil, as the open head's eyes are painted, and how soft they
are: 11.7 mm of an eyeball of 24 mm."""
ANGLES, RINGS = 48, 6
IRIS_RINGS, WHITE_RINGS = (0.6, 0.88), (1.2, 1.9)
"""In radii of the iris: between pupil and the dark ring around the iris, and beside it."""
BRIGHTER_THAN = 0.6
"""Share of the samples that an eye's colour is brighter than: lashes, pupils and shadows outnumber highlights."""
INSIDE = 0.18
"""Radii that a sample lies within the lids: their shadow and lashes are darker than the eye."""
IN_SIGHT = 0.3
"""Mean trust of the points around an eye from which it is looked at: .44 in the frontal view, as lids face up and down;
.36 for the farther eye of a head turned by 34 degrees, .22 by 46, where the network guesses it behind the nose."""
FEWEST = 0.08
"""Share of the samples that must be within the lids for an eye to tell its colours: 23 of both eyes' 576."""
IRIS_RANGE, WHITE_RANGE = (-1.0, 0.9), (-0.6, -0.05)
"""Log ratios to the model's eye that are believed: from black to pale blue irises, and whites in the shade of lids."""
TINT_KEPT = 0.5
"""Of the white's tint: most of it is the light's."""


class EyeMaps(struct.PyTreeNode):
    """Where iris and white are in a texture; made once per head."""

    iris: Float[Array, "size size"]
    white: Float[Array, "size size"]


def eye_maps(
    head: FaceHead, position: Float[np.ndarray, "size size 3"], eyes: Float[np.ndarray, "size size"]
) -> EyeMaps:
    """position: of each texel on the template, eyes: 1 on eyeballs. Pupils look along z there."""
    polar = np.full(eyes.shape, np.pi)
    vertices = np.asarray(head.template, np.float64)
    part = head.part_names.index("eyes") if "eyes" in head.part_names else -1
    of_eyes = np.unique(np.asarray(head.faces)[np.asarray(head.face_part) == part])
    for side in (1, -1):
        ball = vertices[of_eyes[side * vertices[of_eyes, 0] > 0]]
        if not len(ball):
            continue
        # |v|^2 = 2 v c + (r^2 - |c|^2): the sphere through the eyeball.
        centre = np.linalg.lstsq(np.c_[2 * ball, np.ones(len(ball))], (ball**2).sum(1), rcond=None)[0][:3]
        arm = position - centre
        angle = np.arctan2(np.hypot(arm[..., 0], arm[..., 1]), arm[..., 2])
        polar = np.where((eyes > 0) & (side * position[..., 0] > 0), angle, polar)
    inside = _step(polar, IRIS_POLAR)
    iris = inside * (1 - _step(polar, PUPIL_POLAR))
    return EyeMaps(*(jax.device_put((eyes * share).astype(np.float32)) for share in (iris, 1 - inside)))


def _step(polar: np.ndarray, rim: float) -> np.ndarray:
    """1 inside a rim, 0 outside."""
    return np.clip((rim + SOFT / 2 - polar) / SOFT, 0, 1)


def eye_ratio(
    maps: EyeMaps,
    model: Float[Array, "size size 3"],
    floor: float,
    shading: Float[Array, "3"],
    image: Float[Array, "side side 3"],
    points: ShownPoints,
    rows: OpeningRows,
) -> Float[Array, "size size 3"]:
    """Log ratio of the person's eyes to the model's at each texel, 0 off the eyes.

    model: its albedo. floor: added to both before the logarithm. shading: of the photo's eyes.
    """
    iris = _colour(image, points, rows, IRIS_RINGS)
    white = _colour(image, points, rows, WHITE_RINGS)
    total = jnp.zeros_like(model)
    for area, (colour, share), limits, tint in (
        (maps.iris, iris, IRIS_RANGE, 1.0),
        (maps.white, white, WHITE_RANGE, TINT_KEPT),
    ):
        usual = jnp.sum(area[..., None] * model, (0, 1)) / jnp.maximum(jnp.sum(area), 1e-3)
        ratio = jnp.log((colour / shading + floor) / (usual + floor))
        brightness = jnp.mean(ratio)
        ratio = jnp.clip(brightness, *limits) + tint * (ratio - brightness)
        total = total + area[..., None] * jnp.where(share > FEWEST, ratio, 0.0)[None, None]
    return total


def _colour(
    image: Float[Array, "side side 3"], points: ShownPoints, rows: OpeningRows, rings: tuple[float, float]
) -> tuple[Float[Array, "3"], Float[Array, ""]]:
    """Usual colour on rings around both irises where no lid covers them, and what share of the samples that is."""
    turn = jnp.linspace(0.0, 2 * jnp.pi, ANGLES, endpoint=False)
    radii = jnp.linspace(*rings, RINGS)
    star = radii[:, None, None] * jnp.stack([jnp.cos(turn), jnp.sin(turn)], -1)[None]
    colours, kept = [], []
    for eye in range(2):
        centre, around = points.irises[eye, 0], points.irises[eye, 1:]
        # Opposite points of the rim: an iris that looks aside is an ellipse.
        axes = jnp.stack([around[0] - around[2], around[1] - around[3]]) / 2
        radius = jnp.mean(jnp.linalg.norm(axes, axis=-1))
        place = (centre[None, None] + star[..., :1] * axes[None, :1] + star[..., 1:] * axes[None, 1:]).reshape(-1, 2)
        colours.append(render.sample_image(image, place[None])[0])
        in_sight = jnp.mean(points.trust[rows.eyes[eye]]) > IN_SIGHT
        kept.append((distance_outside(place, points.shown[rows.eyes[eye]]) < -INSIDE * radius) & in_sight)
    inside = jnp.concatenate(kept)
    seen = jnp.where(inside[:, None], jnp.concatenate(colours), jnp.nan)
    return jnp.nan_to_num(jnp.nanquantile(seen, BRIGHTER_THAN, axis=0)), jnp.mean(inside.astype(jnp.float32))

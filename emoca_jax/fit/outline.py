"""The outline of a turned face against what is behind it: where the photo's person ends, the head is to end.

Only where skin ends: a mask of the person tells neither hair from skin nor a hand, so colours are asked, too. Only on
heads that are turned: from the front a near lens shows less of the cheeks than the fit's camera, which knows no
distance. The search along normals is that of active shape models (Cootes et al. 1995); its numbers were found by trial
on the drawn people and the photos of docs/open-head.md.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float
from scipy.spatial import KDTree

from emoca_jax import render
from emoca_jax.codes import Codes
from emoca_jax.fit.identity_prior import NEAR, points_of_template
from emoca_jax.flame.head import FaceHead
from emoca_jax.flame.rotations import rotation_matrix, yaw_degrees
from emoca_jax.flame.subset import mixed_head
from emoca_jax.mediapipe_points import OPEN_SKIN
from emoca_jax.model import pose
from emoca_jax.products import precise_einsum

POINTS = 192
"""Of the outline's pixels that are asked, spread at random; of a crop of 224 about half lie on the face."""
REACH, STEPS = 0.1, 41
"""Widths of the face to either side, along the outline's normal, within which the person's edge is looked for."""
TURNED_FROM, TURNED_FULL = 15.0, 30.0
"""Degrees to either side from which the outline counts, and in full."""
SHARPNESS = ((-0.04, 0.9, 1.0), (-0.02, 0.9, 1.0), (0.02, 0.0, 0.1), (0.04, 0.0, 0.1))
"""Distance from the edge in widths of the face, outwards, and the probability of a person that must be found there."""
SKIN_BESIDE, SKIN_DEEPER = (-0.015, -0.025), (-0.06, -0.08)
"""Where the colours just inside the edge, and deeper in the face, are taken."""
ALIKE, USUAL = 0.45, 0.9
"""Most that the first deviates from the second, and the second from the face's usual one, as logarithms."""
TINT = 2.5
"""How much more a deviation of tint counts than one of brightness, which shadows explain as well."""
DARK = 0.04
"""Added before the logarithm: what noise is in the dark."""
DOUBTED = 0.03
"""Widths of the face from the edge at which a point counts half: the farther, the likelier it is another one's."""
HALF_PIXEL = 0.5
"""The centre of an outline's pixel lies so far inside the outline, on average."""


class Outline(struct.PyTreeNode):
    """Where points of a head's outline belong."""

    points: FaceHead
    """A head whose vertices are the points, and one for each joint."""
    target: Float[Array, "points 2"]
    """On the person's edge, in the image plane."""
    normal: Float[Array, "points 2"]
    """Outwards, unit length."""
    weight: Float[Array, "points"]
    """0 where the edge was not found, or is not skin's."""


def outline_region(head: FaceHead) -> Float[np.ndarray, "vertices"]:
    """1 on the skin of the face, whose outline may be asked, 0 on ears, scalp, neck and all that is no skin."""
    faces, template = np.asarray(head.faces), np.asarray(head.template, np.float64)
    near = KDTree(points_of_template(head)).query(template)[0] < NEAR
    if "skin" in head.part_names:
        skin = np.asarray(head.face_part) == head.part_names.index("skin")
        near &= np.isin(np.arange(len(template)), faces[skin])
    return near.astype(np.float32)


def find_outline(
    head: FaceHead,
    region: Float[Array, "vertices"],
    codes: Codes,
    image: Float[Array, "size size 3"],
    person: Float[Array, "pixels pixels"],
    landmarks: Float[Array, "478 3"],
    width: Float[Array, ""],
) -> Outline:
    """Where the outline of a head fitted to a photo belongs; not differentiable.

    region: of `outline_region`. person: how likely each pixel of the image plane shows a person. landmarks: in that
    plane. width: of the face, in it.
    """
    size = image.shape[0]
    vertices = pose(head, codes).vertices
    shown = render.weak_perspective(vertices, codes.camera)
    fragments = render.rasterize(shown, head.faces, (size, size))
    face, inside, corners = _outline_pixels(fragments, region[head.faces])
    at = head.faces[face]
    place = precise_einsum("pc,pcx->px", corners, shown[at])[:, :2]
    outwards = precise_einsum("pc,pcx->px", corners, render.vertex_normals(vertices, head.faces)[at])
    # y is down in the image plane.
    normal = outwards[:, :2] * jnp.array([[1.0, -1.0]])
    normal = normal / jnp.maximum(jnp.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)

    away, found = _edge(person, place, normal, width)

    def beside(distance: float) -> Array:
        return place + (away + distance * width)[:, None] * normal

    for distance, least, most in SHARPNESS:
        there = render.sample_image(person[..., None], beside(distance))[:, 0]
        found = found & (there >= least) & (there <= most)
    near, deep = (
        jnp.mean(jnp.stack([_logarithm(image, beside(distance)) for distance in pair]), axis=0)
        for pair in (SKIN_BESIDE, SKIN_DEEPER)
    )
    usual = jnp.median(_logarithm(image, landmarks[jnp.array(OPEN_SKIN), :2]), axis=0)[None]
    found = found & (_deviation(near - deep) < ALIKE) & (_deviation(deep - usual) < USUAL)
    turned = jnp.abs(yaw_degrees(rotation_matrix(codes.pose[0])))
    share = jnp.clip((turned - TURNED_FROM) / (TURNED_FULL - TURNED_FROM), 0.0, 1.0)
    weight = jnp.where(inside & found, share / (1 + (away / (DOUBTED * width)) ** 2), 0.0)
    target = place + (away - HALF_PIXEL * 2 / size)[:, None] * normal
    return Outline(mixed_head(head, at, corners), target, normal, weight)


def outline_residuals(outline: Outline, codes: Codes) -> Float[Array, "points"]:
    """Distances of the points from their edges in the image plane, weighted to be summed up as squares.

    Differentiable to the codes.
    """
    count = outline.weight.shape[0]
    shown = render.weak_perspective(pose(outline.points, codes).vertices[:count], codes.camera)[:, :2]
    gap = jnp.sum((shown - outline.target) * outline.normal, axis=-1)
    return jnp.sqrt(outline.weight / count) * gap


def _outline_pixels(
    fragments: render.Fragments, region: Float[Array, "faces 3"]
) -> tuple[Array, Array, Float[Array, "points 3"]]:
    """Of pixels on the outline of the face, at random: face index, whether it is one at all, barycentrics."""
    covered = fragments.face_index >= 0
    around = jnp.pad(covered, 1, constant_values=True)
    whole = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    face = jnp.maximum(fragments.face_index, 0)
    of_face = jnp.sum(fragments.barycentric * region[face], axis=-1) > 0.5
    order = np.random.default_rng(0).uniform(1, 2, covered.shape).astype(np.float32)
    rank, chosen = jax.lax.top_k(jnp.where(covered & ~whole & of_face, order, 0.0).ravel(), POINTS)
    return face.ravel()[chosen], rank > 0, fragments.barycentric.reshape(-1, 3)[chosen]


def _edge(
    person: Float[Array, "pixels pixels"],
    place: Float[Array, "points 2"],
    normal: Float[Array, "points 2"],
    width: Float[Array, ""],
) -> tuple[Float[Array, "points"], Array]:
    """Distance outwards to the nearest place where a person ends, and whether there is one."""
    steps = width * jnp.linspace(-REACH, REACH, STEPS)
    where = place[:, None] + steps[None, :, None] * normal[:, None]
    there = render.sample_image(person[..., None], where)[..., 0]
    before, after = there[:, :-1], there[:, 1:]
    ends = (before >= 0.5) & (after < 0.5)
    share = (before - 0.5) / jnp.maximum(before - after, 1e-6)
    away = steps[None, :-1] + share * (steps[1] - steps[0])
    nearest = jnp.argmin(jnp.where(ends, jnp.abs(away), jnp.inf), axis=1)
    return jnp.take_along_axis(away, nearest[:, None], axis=1)[:, 0], jnp.any(ends, axis=1)


def _logarithm(image: Float[Array, "size size 3"], place: Float[Array, "points 2"]) -> Float[Array, "points 3"]:
    return jnp.log(render.sample_image(image, place) + DARK)


def _deviation(apart: Float[Array, "points 3"]) -> Float[Array, "points"]:
    brightness = jnp.mean(apart, axis=-1)
    return jnp.hypot(brightness, TINT * jnp.linalg.norm(apart - brightness[:, None], axis=-1))

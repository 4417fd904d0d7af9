"""What unwrapping a photo needs to know about a head's uv layout; made once per head."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from emoca_jax import flame, render
from emoca_jax.errors import checked_size
from emoca_jax.files.kept_programs import kept
from emoca_jax.flame.head import FaceHead
from emoca_jax.products import precise_einsum
from emoca_jax.texture.eyes import EyeMaps, eye_maps
from emoca_jax.texture.lashes import lash_map
from emoca_jax.texture.openings import OpeningRows, opening_rows

TEXTURE_SIZE = 512
MIRROR_NEIGHBOURS = 3
NORMAL_REACH = 0.01
"""Metres that turning a normal by 60 degrees counts in the search for a texel's mirror image: lips and nostrils have
surfaces back to back."""
OTHER_PART = 1.0
"""Metres that being of another part counts there: more than any head is wide."""
FOREHEAD = 0.35
"""Forehead above the brows as a share of the height from chin to brows; the hairline is there or above."""
REGION_FADE = 0.1
"""Width, in jaw widths, over which the face region fades out beyond its outline."""

BEARD_POINTS = (*range(4, 13), 35, 31)
"""Outline among the 68 landmarks, jaw and nostrils, of where a beard grows."""
CHIN_POINTS = (48, 54, *range(10, 5, -1))
"""Outline among them, corners of the mouth and jaw, of the chin, which no beard leaves out."""
MIDDLE_POINTS = (41, 27, 46, 35, 31)
"""Outline among them of the nose and the cheeks beside it: what covers these covers eyes or mouth as well."""
BROWS, EYES = (tuple(range(17, 22)), tuple(range(22, 27))), (tuple(range(36, 42)), tuple(range(42, 48)))
LIPS, NOSTRILS = (tuple(range(48, 60)),), (tuple(range(31, 36)),)
"""Outlines among them of what is not the colour of skin."""
REACH = 0.06
"""How far around an outline still belongs to it, in jaw widths (14 cm); it fades out over as much. Of brows, which are
lines here, and of what has the colour of skin."""
REACH_EYES, REACH_NOSTRILS, REACH_LIPS = 0.035, 0.035, 0.02
"""The same of what has a rim of its own, from which on it is skin: all counts up to half of the reach, nothing beyond
one and a half of it; of lips 1.4 and 4.2 mm, by the error of a fit."""


class TextureLayout(struct.PyTreeNode):
    """Maps over a square texture, row 0 at v = 1."""

    fragments: render.Fragments
    """The face and place in it of each texel."""
    mirror: Int[Array, "size size neighbours"]
    """Flat index of the texels nearest to this one's mirror image on the other side of the head."""
    mirror_weight: Float[Array, "size size neighbours"]
    """How much each counts; sums to 1."""
    nearest: Int[Array, "size size"]
    """Flat index of the nearest texel that belongs to the head, itself for those that do."""
    skin: Float[Array, "size size"]
    eyes: Float[Array, "size size"]
    teeth: Float[Array, "size size"]
    lining: Float[Array, "size size"]
    """Tongue and the inside of the mouth."""
    eye_maps: EyeMaps
    openings: OpeningRows | None
    lashes: Float[Array, "size size"]
    """How much of the light lashes take."""
    face: Float[Array, "size size"]
    """1 inside the face's outline (jaw to forehead), fading to 0 on ears, neck and scalp."""
    above_brows: Float[Array, "size size"]
    """1 on forehead and scalp, 0 from the brows down."""
    brows_eyes: Float[Array, "size size"]
    """1 on and around brows and eyes."""
    lips: Float[Array, "size size"]
    """1 on lips and a millimetre around."""
    nostrils: Float[Array, "size size"]
    """1 on and around them."""
    beard: Float[Array, "size size"]
    """1 from the nostrils to the jaw."""
    chin: Float[Array, "size size"]
    """1 below the mouth."""
    middle: Float[Array, "size size"]
    """1 on nose and cheeks beside it."""

    @property
    def features(self) -> Float[Array, "size size"]:
        """1 on brows, eyes, lips and nostrils: what is not the colour of skin."""
        return jnp.maximum(jnp.maximum(self.brows_eyes, self.nostrils), self.lips)


def texture_layout(head: FaceHead, *, size: int = TEXTURE_SIZE) -> TextureLayout:
    """The layout of a head's `size` x `size` texture. Takes about a second; keep it as long as the head.

    Errors: InputError for a size that is none.
    """
    checked_size("size", size, most=8192)
    fragments, surface, points = _on_template(head, size)
    face_index = np.asarray(fragments.face_index)
    covered = face_index >= 0
    position, normal = np.split(np.asarray(surface)[covered], 2, axis=-1)
    part = np.asarray(head.face_part)[face_index[covered]]

    def full(values: np.ndarray) -> np.ndarray:
        canvas = np.zeros((size, size, *values.shape[1:]), values.dtype)
        canvas[covered] = values
        return canvas

    def mask(*names: str) -> np.ndarray:
        return full(
            np.isin(part, [head.part_names.index(name) for name in names if name in head.part_names]).astype(np.float32)
        )

    def near(*groups: tuple[tuple[tuple[int, ...], ...], float]) -> Array:
        return jax.device_put(full(np.max([_near(np.asarray(points), position, *group) for group in groups], axis=0)))

    mirror, weight = _mirror(position, normal, part)
    nearest = np.empty((2, size, size), np.int32)
    distance_transform_edt(~covered, return_distances=False, return_indices=True, indices=nearest)
    face, above = _face_region(np.asarray(points), position)
    return TextureLayout(
        fragments=fragments,
        mirror=jax.device_put(full(np.flatnonzero(covered)[mirror].astype(np.int32))),
        mirror_weight=jax.device_put(full(weight)),
        nearest=jax.device_put(np.ravel_multi_index(tuple(nearest), (size, size)).astype(np.int32)),
        skin=jax.device_put(mask("skin")),
        eyes=jax.device_put(mask("eyes")),
        teeth=jax.device_put(mask("teeth")),
        lining=jax.device_put(mask("tongue", "mouth_interior")),
        eye_maps=eye_maps(head, full(position), mask("eyes")),
        openings=opening_rows(head),
        lashes=jax.device_put(lash_map(head, full(position), mask("skin"))),
        face=jax.device_put(full(face)),
        above_brows=jax.device_put(full(above)),
        brows_eyes=near((BROWS, REACH), (EYES, REACH_EYES)),
        lips=near((LIPS, REACH_LIPS)),
        nostrils=near((NOSTRILS, REACH_NOSTRILS)),
        beard=near(((BEARD_POINTS,), REACH)),
        chin=near(((CHIN_POINTS,), REACH)),
        middle=near(((MIDDLE_POINTS,), REACH)),
    )


@kept(static=("size",))
def _on_template(head: FaceHead, size: int) -> tuple[render.Fragments, Array, Array]:
    """Of the texture: fragments, position and normal at each texel in six channels. And the 68 landmarks."""
    fragments = render.rasterize_uv(head.uv, head.uv_faces, (size, size))
    channels = jnp.concatenate([head.template, render.vertex_normals(head.template, head.faces)], axis=-1)
    surface = render.interpolate(fragments, channels, head.faces)
    return fragments, surface, flame.landmarks68_fixed(head, head.template)


def _mirror(position: np.ndarray, normal: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest texels to each one's mirror image in x = 0, by place, direction and part, weighted by closeness."""
    key = np.concatenate([position, NORMAL_REACH * normal, OTHER_PART * part[:, None]], axis=1)
    image = key * np.array([-1, 1, 1, -1, 1, 1, 1])
    distance, index = KDTree(key).query(image, MIRROR_NEIGHBOURS, workers=-1)
    # A tenth of a millimetre keeps an exact hit finite.
    weight = 1 / (distance + 1e-4) ** 2
    return np.asarray(index), (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def _face_region(points: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each place belongs to the face, and whether it lies above the brows, both by the front view.

    points: the 68 landmarks of the template.
    """
    jaw, brows = points[:17], points[17:27]
    rise = FOREHEAD * (brows[:, 1].mean() - jaw[8, 1])
    outline = np.concatenate([jaw, brows[::-1] + np.array([0, rise, 0])])[:, :2]
    width = np.ptp(jaw[:, 0])
    outside = _distance_outside(position[:, :2], outline)
    # The back of the head lies behind the face in the front view: only what is before the ears counts.
    behind = np.maximum(jaw[[0, 16], 2].mean() - position[:, 2], 0)
    away = np.hypot(outside, behind) / (REGION_FADE * width)
    above = (position[:, 1] - brows[:, 1].mean()) / rise
    return np.exp(-(away**2)).astype(np.float32), np.clip(above * 4 - 1, 0, 1).astype(np.float32)


def _near(points: np.ndarray, position: np.ndarray, outlines: tuple[tuple[int, ...], ...], reach: float) -> np.ndarray:
    """1 inside outlines among the landmarks and around them, by the front view and before the ears."""
    jaw = points[:17]
    away = np.min([_distance_outside(position[:, :2], points[list(outline), :2]) for outline in outlines], axis=0)
    front = position[:, 2] > jaw[[0, 16], 2].mean()
    return (np.clip(1.5 - away / (reach * np.ptp(jaw[:, 0])), 0, 1) * front).astype(np.float32)


def _distance_outside(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Distance of points [N, 2] to a closed outline [M, 2], 0 for those inside it."""
    x, y = np.ascontiguousarray(points.T)
    inside, nearest = np.zeros(len(points), bool), np.full(len(points), np.inf)
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        along, right, up = end - start, x - start[0], y - start[1]
        share = np.clip((right * along[0] + up * along[1]) / (along @ along), 0, 1)
        nearest = np.minimum(nearest, (right - share * along[0]) ** 2 + (up - share * along[1]) ** 2)
        if along[1] != 0:
            inside ^= ((up < 0) != (y < end[1])) & (right < up / along[1] * along[0])
    return np.where(inside, 0.0, np.sqrt(nearest))


def mirrored(layout: TextureLayout, texture: Float[Array, "size size channels"]) -> Float[Array, "size size channels"]:
    """The texture of the other side at each texel."""
    flat = texture.reshape(-1, texture.shape[-1])
    return precise_einsum("hwn,hwnc->hwc", layout.mirror_weight, flat[layout.mirror])

"""Skin in uv space: brows, beard, lashes, blotches, and wrinkles that come and go with the expression.

The open head's albedo is smooth and its units move a few vertices; on real faces most of an emotion is seen in folds:
beside the nose, between the brows, on the forehead, around the eyes. Each fold is a line over landmarks, drawn dark
with a light rim, as strong as the units that make it.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from emoca_jax import flame
from emoca_jax.flame.head import FaceHead
from emoca_jax.mediapipe_points import LEFT_UPPER_LID, RIGHT_UPPER_LID

Point = tuple[int, int, float]
"""Between two landmarks: one, the other, share of the way."""


class Fold(NamedTuple):
    """One fold on the subject's right, and its mirror image on the left."""

    lines: tuple[tuple[Point, ...], ...]
    width: float
    """Texels of 256."""
    depth: float
    """Share of light it takes at full strength."""
    units: dict[str, float]
    """What makes it, by stem: Left folds by Left units; strengths add up."""
    at_rest: float
    """Part of it that stays at rest on old skin."""


def _p(one: int, other: int | None = None, share: float = 0.0) -> Point:
    return one, one if other is None else other, share


LOW_FOREHEAD = (9, 151), (107, 108), (66, 69), (105, 104), (63, 68)
HIGH_FOREHEAD = (151, 10), (108, 109), (69, 67), (104, 103)
"""From brows to the middle of the forehead, and from there to the hair, from the middle of the face outwards."""
PURSED = (37, 164), (39, 165), (40, 92), (181, 194), (91, 106)
"""From the outer line of the lips outwards."""

FOLDS = (
    # Forehead: three lines from the middle outwards, between brows and hairline.
    Fold(
        tuple(
            tuple(_p(a, b, share) for a, b in line)
            for share, line in ((0.55, LOW_FOREHEAD), (0.85, LOW_FOREHEAD), (0.3, HIGH_FOREHEAD))
        ),
        1.3, 0.2, {"browInnerUp": 0.6, "browOuterUp": 0.6}, 0.2,
    ),
    # Between the brows, upright.
    Fold(((_p(55, 8, 0.35), _p(107, 9, 0.35), _p(108, 151, 0.5)), (_p(55, 8, 0.8), _p(107, 9, 0.75))), 1.4, 0.36,
         {"browDown": 1.0, "noseSneer": 0.3}, 0.12),
    # From the wing of the nose to beside the corner of the mouth.
    Fold(((_p(129, 203, 0.15), _p(203, 206, 0.3), _p(206), _p(216), _p(212, 216, 0.45)),), 1.8, 0.42,
         {"mouthSmile": 0.8, "noseSneer": 0.55, "mouthUpperUp": 0.5, "cheekSquint": 0.25}, 0.3),
    # Across the root and along the sides of the nose.
    Fold(((_p(6), _p(122, 6, 0.3), _p(245, 122, 0.4)), (_p(197), _p(196, 197, 0.3), _p(188)),
          (_p(193, 245, 0.3), _p(188, 245, 0.4), _p(114, 188, 0.5)),
          (_p(196, 3, 0.5), _p(174, 198, 0.3), _p(217, 126, 0.5))),
         1.2, 0.42, {"noseSneer": 1.0}, 0.0),
    # Outside the eye.
    Fold(((_p(130, 156, 0.35), _p(156, 130, 0.05)), (_p(130, 143, 0.5), _p(143, 34, 0.6)),
          (_p(130, 111, 0.45), _p(111, 130, 0.05))), 1.0, 0.3, {"cheekSquint": 0.9, "eyeSquint": 0.4}, 0.15),
    # Under the lower lid.
    Fold(((_p(228), _p(229), _p(230), _p(231), _p(232), _p(233)),), 1.5, 0.25,
         {"cheekSquint": 0.8, "eyeSquint": 0.4, "mouthSmile": 0.2}, 0.35),
    # Beside the corner of the mouth.
    Fold(((_p(186, 216, 0.55), _p(57, 212, 0.5), _p(43, 202, 0.5)),), 1.5, 0.45,
         {"mouthDimple": 1.0, "mouthPress": 0.4}, 0.0),
    # From the corner of the mouth down.
    Fold(((_p(61, 57, 0.6), _p(43, 202, 0.45), _p(204, 202, 0.4), _p(210, 204, 0.5)),), 1.9, 0.2,
         {"mouthFrown": 0.9, "mouthStretch": 0.4}, 0.15),
    # Under the lower lip.
    Fold(((_p(18, 200, 0.35), _p(83, 201, 0.35), _p(182, 194, 0.5), _p(106, 182, 0.3)),), 2.0, 0.3,
         {"mouthShrugLower": 0.8, "mouthFrown": 0.3}, 0.2),
    # Upper lip pressed: creases around pursed lips.
    Fold(tuple((_p(a, b, 0.15), _p(a, b, 0.75)) for a, b in PURSED), 1.0, 0.25,
         {"mouthPucker": 0.8, "mouthPress": 0.15}, 0.05),
)  # fmt: skip


class SkinMaps(struct.PyTreeNode):
    """Maps [H, W] in uv space, row 0 at v = 1; made once per head by `skin_maps`."""

    brows: Float[Array, "rows columns"]
    beard: Float[Array, "rows columns"]
    scalp: Float[Array, "rows columns"]
    lips: Float[Array, "rows columns"]
    lashes: Float[Array, "rows columns"]
    skin: Float[Array, "rows columns"]
    folds: Float[Array, "folds rows columns"]
    """What each fold does to the light, right and left apart."""
    makers: Float[Array, "folds units"]
    at_rest: Float[Array, "folds"]
    noises: Float[Array, "rows columns 4"]
    """Three blotches, coarse to fine, and hairs."""
    freckles: Float[Array, "rows columns"]


def skin_maps(head: FaceHead) -> SkinMaps:
    """Made in NumPy, once per head; all masks from 0 to 1."""
    assert head.albedo is not None
    basis, names = np.asarray(head.albedo.basis), head.albedo.names
    size = basis.shape[0]

    def mask(name: str) -> np.ndarray:
        change = np.abs(basis[..., names.index(name)]).sum(-1)
        return np.clip(change / np.quantile(change[change > 0.3 * change.max()], 0.7), 0, 1)

    places = _landmark_texels(head, size)
    partner = _mirrored(head)
    folds, makers, at_rest = [], [], []
    for fold in FOLDS:
        for side in ("Right", "Left"):
            lines = [_curve(line, places, partner if side == "Left" else None) for line in fold.lines]
            folds.append(fold.depth * _crease(lines, fold.width, size))
            makers.append([
                max((s for stem, s in fold.units.items() if unit in (stem, stem + side)), default=0.0)
                for unit in head.expression_names
            ])  # fmt: skip
            at_rest.append(fold.at_rest)
    lashes = np.zeros((size, size))
    for lid, ends in ((RIGHT_UPPER_LID, (33, 133)), (LEFT_UPPER_LID, (263, 362))):
        line = np.stack([places[number] for number in (ends[0], *lid, ends[1])])
        lashes = np.maximum(lashes, np.exp(-((_distance([line], size) / 1.4) ** 2)))
    random = np.random.Generator(np.random.Philox(7))
    noises = [gaussian_filter(random.standard_normal((size, size)), s, mode="wrap") for s in (9.0, 3.0, 0.9)]
    hairs = gaussian_filter(random.standard_normal((size, size)), (1.2, 0.4), mode="wrap")
    spots = gaussian_filter((random.random((size, size)) > 0.985).astype(float), 0.7)
    skin = mask("melanin") > 0.15
    arrays: dict[str, Any] = {
        "brows": mask("brow_darkness"),
        "beard": mask("beard"),
        "scalp": mask("scalp_hair") * (1 - mask("ear_redness")),
        "lips": mask("lip_redness"),
        "lashes": lashes,
        "skin": skin,
        "folds": np.stack(folds),
        "makers": np.array(makers),
        "at_rest": np.array(at_rest),
        "noises": np.stack([noise / noise.std() for noise in (*noises, hairs)], -1),
        "freckles": spots / spots.max(),
    }
    return SkinMaps(**jax.device_put({name: np.asarray(array, np.float32) for name, array in arrays.items()}))


def _landmark_texels(head: FaceHead, size: int) -> np.ndarray:
    """Column and row of MediaPipe's points in the texture, by their number."""
    embedding = head.landmarks_mediapipe
    corners = np.asarray(head.uv)[np.asarray(head.uv_faces)[np.asarray(embedding.face_index)]]
    uv = np.einsum("pck,pc->pk", corners, np.asarray(embedding.barycentric))
    places = np.zeros((478, 2))
    places[np.asarray(head.mediapipe_index)] = np.stack([uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5], 1)
    return places


def _mirrored(head: FaceHead) -> np.ndarray:
    """The number of each point's partner on the other side."""
    points = np.asarray(flame.landmarks_mediapipe(head, jnp.asarray(head.template)), np.float64)
    nearest = np.asarray(KDTree(points).query(points * [-1, 1, 1])[1])
    partner = np.arange(478)
    index = np.asarray(head.mediapipe_index)
    partner[index] = index[nearest]
    return partner


def _curve(line: tuple[Point, ...], places: np.ndarray, partner: np.ndarray | None) -> np.ndarray:
    def at(number: int) -> np.ndarray:
        return places[number if partner is None else partner[number]]

    return np.stack([at(one) * (1 - share) + at(other) * share for one, other, share in line])


def _distance(lines: list[np.ndarray], size: int) -> np.ndarray:
    """Texels to the nearest of the polylines, [size, size]."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(float)
    best = np.full((size, size), np.inf)
    for line in lines:
        for start, end in itertools.pairwise(line):
            along = end - start
            share = np.clip(((grid - start) @ along) / max(along @ along, 1e-9), 0, 1)
            best = np.minimum(best, np.linalg.norm(grid - start - share[..., None] * along, axis=-1))
    return best


def _crease(lines: list[np.ndarray], width: float, size: int) -> np.ndarray:
    """Dark in the fold, light beside it."""
    far = _distance(lines, size)
    return gaussian_filter(
        -np.exp(-((far / width) ** 2)) + 0.3 * np.exp(-(((far - 2.2 * width) / (1.2 * width)) ** 2)), 0.5
    )


def texture(
    head: FaceHead, maps: SkinMaps, skin: Any, albedo: Array, expression: Array
) -> Float[Array, "rows columns 3"]:
    """The person's face as painted, wrinkles of the expression included; RGB."""
    assert head.albedo is not None
    colour = flame.albedo_map(head.albedo, albedo)
    shown = (0.35 + 0.65 * skin.age) * jnp.einsum("fu,u->f", maps.makers, expression)
    strength = jnp.clip(shown + maps.at_rest * skin.age**2, 0, 1.2)
    light = 1 + jnp.einsum("f,fhw->hw", strength, maps.folds)
    blotches = jnp.einsum("hwk,k->hw", maps.noises, skin.blotches * jnp.array([0.025, 0.018, 0.008, 0.0]))
    light = jnp.clip(light + maps.skin * blotches, 0.3, 1.4)
    colour = colour * light[..., None]
    colour = colour * (1 - 0.22 * skin.freckles * maps.skin * maps.freckles)[..., None]

    def cover(colour: Array, by: Array, share: Array) -> Array:
        return colour + share[..., None] * (by[None, None] - colour)

    hairs = jax.nn.sigmoid(2 * maps.noises[..., 3])
    colour = cover(colour, skin.lipstick[:3], skin.lipstick[3] * maps.lips)
    colour = cover(colour, skin.hair, skin.scalp * maps.scalp)
    colour = cover(colour, skin.hair, jnp.clip(skin.beard * maps.beard * (0.3 + 0.9 * hairs), 0, 0.92))
    colour = cover(colour, skin.hair, jnp.clip(skin.brows * maps.brows * (0.35 + 0.75 * hairs), 0, 0.92))
    return cover(colour, skin.hair * 0.3, 0.85 * skin.lashes * maps.lashes)

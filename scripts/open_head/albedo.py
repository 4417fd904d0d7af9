"""A linear albedo model painted in uv space: skin tone, lips, brows, lids, ears, cheeks, beard, hair, eyes, teeth."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree

from .colour import lab_to_srgb
from .source import MAKEHUMAN, Source
from .texels import Texels

SIZE = 256
MEDIUM_SKIN, MELANIN = np.array([56.0, 13.0, 17.5]), np.array([8.6, -0.3, 0.1])
"""CIELAB of the middle and one deviation to light. The individual typology angle atan((L - 50) / b) sorts skin into
very light (> 55 degrees), light, intermediate, tan (10 to 28), brown and dark (< -30; Chardon et al. 1991, Del Bino and
Bernerd 2013): the middle is 19 degrees, three deviations reach 61 and -49."""
HAIR = np.array([0.17, 0.12, 0.09])
"""Dark brown."""
HAIR_LINE_SOFT = 0.2
"""Decimetres, standard deviation, over which the hair line fades: a sharper one looks like the edge of a mask."""
STUBBLE = 0.25
"""Share of hair in the colour of a scalp."""
BLUR_SAMPLE, BLUR_REACH = 17, 2.5
"""Every how many texels are averaged, and over how many standard deviations."""
LIPS = np.array([-9.0, 11.0, -2.0])
"""What lips add to the skin around them, CIELAB."""
ENAMEL = np.array([77.0, 1.0, 13.0])
"""CIELAB of middling teeth (shade A1 to A2 of the VITA guide: L 76 to 79, a -1 to 1, b 13 to 17 in O'Brien et al. 1990)."""
GROOVE = 0.25
"""How much darker it is between two teeth."""
SHINES_THROUGH = 0.65
"""Power of the share of the sky: cheeks and lips let light through, and what faces a photo's viewer faces its light;
without it a tongue in an open mouth is black, where photos show it dark red."""
TEETH_SHINE_THROUGH = 0.35
"""The same of teeth, which also stand in front of all that is dark: in smiles it is the last two that are in shade."""
GUM, TONGUE, CAVITY = np.array([0.70, 0.41, 0.40]), np.array([0.70, 0.38, 0.37]), np.array([0.55, 0.27, 0.26])
SKY_DARKENING, SKY_FULL = 0.6, 0.55
"""How dark the deepest folds are painted, and from which share of the sky on skin is not darkened."""
HAIR_DEVIATION = 0.10 * (HAIR - lab_to_srgb(MEDIUM_SKIN))
"""One standard deviation of the share of hair, RGB."""
MASKS = ("lips", "eyelids", "ears", "face", "inside-mouth")
BROW_UPPER = {"left": (336, 296, 334, 293, 300), "right": (107, 66, 105, 63, 70)}
BROW_LOWER = {"left": (285, 295, 282, 283, 276), "right": (55, 65, 52, 53, 46)}
"""MediaPipe's brow points from the nose outwards; left and right are the subject's."""
IRIS_POLAR, PUPIL_POLAR, LIMBUS_SOFT = np.radians(29.5), np.radians(12.5), np.radians(2.2)


def masks(source: Source, texels: Texels) -> dict[str, np.ndarray]:
    """MakeHuman's painted masks in our layout, [S, S] in [0, 1], symmetric, zero off the skin and the mouth."""
    found = {}
    for name in MASKS:
        picture = (
            np.asarray(Image.open(BytesIO(source.read(f"{MAKEHUMAN}textures/mpfb_{name}.jpg"))).convert("L")) / 255
        )
        height, width = picture.shape
        u, v = texels.source_uv[..., 0], texels.source_uv[..., 1]
        values = map_coordinates(picture, [(1 - v) * height - 0.5, u * width - 0.5], order=1, mode="nearest")
        found[name] = np.where(np.isin(texels.part, (0, 4)), values, 0.0)
    return found


@dataclass(frozen=True)
class Brow:
    """Centre line and half thickness of one brow in the front view, decimetres, from the nose outwards."""

    line: np.ndarray
    half: np.ndarray


def brows(positions: np.ndarray) -> list[Brow]:
    """Both brows from the positions [468, 3] of MediaPipe's points."""
    found = []
    for side in ("left", "right"):
        upper, lower = positions[list(BROW_UPPER[side])][:, :2], positions[list(BROW_LOWER[side])][:, :2]
        found.append(Brow((upper + lower) / 2, np.linalg.norm(upper - lower, axis=1) / 2))
    return found


def brow_density(texels: Texels, found: list[Brow]) -> np.ndarray:
    """[S, S] hair cover in [0, 1]: thick near the nose, thin and tapered towards the temple, feathered, hair-like."""
    flat = texels.position[..., :2].reshape(-1, 2)
    density = np.zeros(len(flat))
    for brow in found:
        along, aside, half = _along(flat, brow)
        thickness = half * np.interp(along, [0, 0.15, 0.6, 1], [0.85, 1.0, 0.85, 0.4])
        profile = np.exp(-(np.abs(aside / np.maximum(thickness, 1e-3)) ** 2.2))
        ends = np.interp(along, [-0.06, 0.06, 0.85, 1.05], [0, 1, 0.8, 0])
        # Hairs lean outwards: stripes across the brow, some 0.8 mm apart.
        lean = np.sin(along * 62 + aside * 130) * 0.5 + np.sin(along * 41 - aside * 90 + 1.3) * 0.5
        density = np.maximum(density, profile * ends * (0.82 + 0.18 * lean))
    front = texels.position[..., 2].reshape(-1) > -0.35
    return np.where(front & (texels.part.reshape(-1) == 0), density, 0).reshape(texels.part.shape)


def _along(points: np.ndarray, brow: Brow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of the brow's length, signed distance above its line and half thickness at the nearest place on it."""
    fine = np.linspace(-0.08, 1.08, 120)
    knots = np.linspace(0, 1, len(brow.line))
    curve = np.stack([np.polyval(np.polyfit(knots, brow.line[:, k], 3), fine) for k in range(2)], 1)
    half = np.interp(fine, knots, brow.half)
    nearest = np.argmin(((points[:, None] - curve[None]) ** 2).sum(-1), 1)
    return fine[nearest], points[:, 1] - curve[nearest, 1], half[nearest]


def _blob(texels: Texels, centre: tuple[float, ...], radius: tuple[float, ...]) -> np.ndarray:
    """A soft ball around +-centre (both sides) on the skin."""
    p = np.concatenate([np.abs(texels.position[..., :1]), texels.position[..., 1:]], -1)
    far = (((p - np.array(centre)) / np.array(radius)) ** 2).sum(-1)
    return np.exp(-far) * (texels.part == 0)


def _smoothstep(values: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def paint(
    texels: Texels, painted: dict[str, np.ndarray], points: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Mean [S, S, 3], basis [S, S, 3, K] (one standard deviation each) and the components' names; RGB as stored.

    points: positions [468, 3] of MediaPipe's points, decimetres; None paints without what depends on them, as a first
    face for the landmark network.
    """
    if points is None:
        return _first_face(texels, painted)
    skin = (texels.part == 0).astype(float)
    lips, lids, ears = painted["lips"], painted["eyelids"], painted["ears"]
    eye_left, nose = points[[386, 374]].mean(0), points[1]
    cheek = _blob(texels, tuple(points[425] + [0.02, 0.06, -0.02]), (0.2, 0.18, 0.3))
    nose_tip = _blob(texels, tuple(nose), (0.13, 0.12, 0.18))
    under_eye = _blob(texels, tuple(eye_left - np.array([0, 0.13, 0])), (0.17, 0.06, 0.25))
    forehead = _blob(texels, (0.0, *points[151][1:]), (0.45, 0.25, 0.5))
    beard = _beard(texels, points) * (1 - lips)
    hair = scalp(texels, ears, points)
    brow = brow_density(texels, brows(points))

    lab = np.broadcast_to(MEDIUM_SKIN, (*skin.shape, 3)).copy()
    for amount, shift in (
        (cheek, (-1.5, 3.5, 0.5)), (nose_tip, (-1.0, 3.0, 0.0)), (under_eye, (-3.0, 1.5, -2.0)),
        (forehead, (1.0, -0.5, 1.0)), (ears, (-1.0, 4.0, -1.0)), (lids, (-4.0, 3.0, -1.0)), (beard, (-1.5, -0.8, -2.0)),
        (lips, LIPS),
    ):  # fmt: skip
        lab += amount[..., None] * np.array(shift)
    mean = lab_to_srgb(lab)
    mean += (hair * STUBBLE)[..., None] * (HAIR - mean)
    mean += (brow * 0.68)[..., None] * (HAIR - mean)

    def along(shift: np.ndarray | tuple[float, ...], amount: np.ndarray) -> np.ndarray:
        shift = np.asarray(shift, float)
        return amount[..., None] * (lab_to_srgb(lab + shift) - lab_to_srgb(lab - shift)) / 2

    bare = skin * (1 - 0.6 * brow)
    components = {
        "melanin": -along(MELANIN, bare),
        "redness": along((-0.8, 2.2, 0.4), bare),
        "yellowness": along((0.3, -0.3, 2.4), bare),
        "lip_redness": along((-1.0, 4.5, 1.0), lips),
        "lip_darkness": along((-5.0, 0.5, -0.5), lips),
        "cheek_redness": along((-1.2, 3.0, 0.4), cheek + 0.7 * nose_tip),
        "under_eye_darkness": along((-3.0, 1.0, -1.5), np.maximum(under_eye, 0.6 * lids)),
        "eyelid_darkness": along((-4.0, 2.0, -1.0), lids),
        "ear_redness": along((-0.5, 3.0, 0.0), ears),
        "forehead_lightness": along((2.5, -0.5, 0.5), forehead),
        "brow_darkness": brow[..., None] * np.array([-0.07, -0.06, -0.045]),
        "brow_redness": brow[..., None] * np.array([0.05, 0.015, -0.01]),
        "beard": along((-4.5, -0.8, -2.5), beard),
        "scalp_hair": hair[..., None] * HAIR_DEVIATION,
    }
    shade = folds_shade(texels)
    mean *= shade[..., None]
    components = {name: direction * shade[..., None] for name, direction in components.items()}
    iris_light, iris_blue = _eyes(texels, mean)
    components |= {"iris_lightness": iris_light, "iris_blueness": iris_blue}
    components["tooth_yellowness"] = paint_mouth(texels, mean, lips)
    return np.clip(mean, 0, 1), np.stack(list(components.values()), -1), tuple(components)


def _beard(texels: Texels, points: np.ndarray) -> np.ndarray:
    """Moustache, chin and jaw: below a line from the ears to the nostrils, above the throat."""
    p = texels.position
    ear_y, nose_y, chin_y = points[454, 1] - 0.12, points[2, 1] - 0.03, points[152, 1]
    across = np.clip(np.abs(p[..., 0]) / points[454, 0], 0, 1.2)
    line = np.interp(across, [0, 0.3, 0.55, 0.85, 1.1], [nose_y, nose_y - 0.06, nose_y - 0.22, nose_y - 0.1, ear_y])
    upper = 1 - _smoothstep(p[..., 1], line - 0.1, line + 0.02)
    lower = _smoothstep(p[..., 1], chin_y - 0.2, chin_y - 0.02)
    front = _smoothstep(p[..., 2], points[454, 2] - 0.15, points[454, 2] + 0.1)
    return upper * lower * front * (texels.part == 0)


def folds_shade(texels: Texels) -> np.ndarray:
    """What is left of the colour in folds that see little of the sky."""
    return np.where(texels.part == 0, 1 - SKY_DARKENING * (1 - _smoothstep(texels.sky, -0.1, SKY_FULL)), 1.0)


def scalp(texels: Texels, ears: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where head hair grows: above and behind the hair line, thinning out towards it."""
    p = texels.position
    top_y, ear_z = points[10, 1] + 0.25, points[454, 2]
    ahead = _smoothstep(p[..., 2], ear_z - 0.25, ear_z + 0.25)
    line = ahead * (top_y - 0.25 * (p[..., 0] / 0.6) ** 2) + (1 - ahead) * (points[454, 1] - 0.45)
    skin = texels.part == 0
    hair = np.zeros(skin.shape)
    hair[skin] = _blurred(p[skin], _smoothstep(p[..., 1], line - 0.08, line + 0.14)[skin], HAIR_LINE_SOFT)
    return hair * (1 - ears)


def _blurred(positions: np.ndarray, values: np.ndarray, width: float) -> np.ndarray:
    """Values [N] at positions [N, 3] averaged over a Gaussian of this standard deviation."""
    tree = KDTree(positions[::BLUR_SAMPLE])
    near = tree.sparse_distance_matrix(KDTree(positions), BLUR_REACH * width, output_type="coo_matrix")
    weight = np.exp(-((near.data / width) ** 2) / 2)
    total = np.bincount(near.col, weight * values[::BLUR_SAMPLE][near.row], len(values))
    return total / np.bincount(near.col, weight, len(values))


def _eyes(texels: Texels, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sclera, iris, limbus and pupil into the mean; directions of lighter and of bluer irises."""
    eye = texels.part == 1
    polar, turn = texels.eye_polar, texels.eye_turn
    inside = 1 - _smoothstep(polar, IRIS_POLAR - LIMBUS_SOFT / 2, IRIS_POLAR + LIMBUS_SOFT)
    pupil = 1 - _smoothstep(polar, PUPIL_POLAR - LIMBUS_SOFT / 2, PUPIL_POLAR + LIMBUS_SOFT / 2)
    ring = np.exp(-(((polar - IRIS_POLAR) / np.radians(3.2)) ** 2))
    fibres = 0.5 + 0.25 * np.sin(turn * 23 + 1.1 * np.sin(turn * 7)) + 0.25 * np.sin(turn * 37 + 2)
    share = np.clip((polar - PUPIL_POLAR) / (IRIS_POLAR - PUPIL_POLAR), 0, 1)
    iris = np.array([0.38, 0.25, 0.15]) * (1.15 - 0.45 * share + 0.25 * (fibres - 0.5))[..., None]
    sclera = np.array([0.85, 0.81, 0.785]) - _smoothstep(polar, 0.7, 1.5)[..., None] * np.array([0.06, 0.16, 0.16])
    colour = sclera + inside[..., None] * (iris - sclera)
    colour = colour * (1 - 0.55 * ring * inside)[..., None]
    colour += pupil[..., None] * (np.array([0.02, 0.018, 0.018]) - colour)
    mean[eye] = colour[eye]
    coloured = (inside * (1 - pupil) * (1 - 0.55 * ring) * eye)[..., None]
    return coloured * np.array([0.07, 0.06, 0.04]), coloured * np.array([-0.05, 0.02, 0.07])


def paint_mouth(texels: Texels, mean: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Teeth with gums, tongue and cavity into the mean, as dark as they lie deep; the direction of yellower teeth.

    lips [S, S]: MakeHuman's mask, which goes on over the inner side of the lips.
    """
    u, level = texels.source_uv[..., 0], (1 - texels.source_uv[..., 1]) * 3
    phase = np.abs(((u * 14) % 1) - 0.5) * 2
    gum_line = 0.88 + 0.16 * (1 - phase**2) * -1 + 0.12
    crown = _smoothstep(level, gum_line - 0.05, gum_line + 0.08)
    groove = (1 - GROOVE * _smoothstep(phase, 0.8, 1.0))[..., None]
    teeth = GUM + crown[..., None] * (lab_to_srgb(ENAMEL) * groove - GUM)
    inner_lip = lips[..., None] * (lab_to_srgb(MEDIUM_SKIN + LIPS) - CAVITY)
    for part, colour, power in (
        (2, teeth, TEETH_SHINE_THROUGH), (3, TONGUE, SHINES_THROUGH), (4, CAVITY + inner_lip, SHINES_THROUGH),
    ):  # fmt: skip
        painted = np.broadcast_to(colour, mean.shape)
        shaded = painted * _reached_by_light(texels.mouth_sky[..., None], painted, power)
        mean[texels.part == part] = shaded[texels.part == part]
    light = _reached_by_light(texels.mouth_sky[..., None], teeth, TEETH_SHINE_THROUGH)
    return (crown * (texels.part == 2))[..., None] * np.array([0.0, -0.02, -0.06]) * light


def _reached_by_light(sky: np.ndarray, colour: np.ndarray, power: float) -> np.ndarray:
    """Light on a wall of a cavity that sees this share of the sky, by all of its bounces.

    Every ray that does not come from the sky comes from another wall that is as bright: x = sky + colour (1 - sky) x.
    """
    sky = np.clip(sky, 0, 1) ** power
    return sky / (1 - colour.mean(axis=-1, keepdims=True) * (1 - sky))


def _first_face(texels: Texels, painted: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Skin, lips and eyes only."""
    lab = MEDIUM_SKIN + painted["lips"][..., None] * LIPS
    mean = lab_to_srgb(lab)
    _eyes(texels, mean)
    paint_mouth(texels, mean, painted["lips"])
    return np.clip(mean, 0, 1), np.zeros((*mean.shape, 1)), ("none",)

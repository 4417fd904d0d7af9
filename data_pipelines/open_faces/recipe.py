"""Everything that is random about one drawn face, as numbers: `recipe(names, seed, index)`.

Pure: each subject has its own stream of NumPy's Philox, keyed by seed, subject and index, so the same index gives the
same numbers in any batch and order, and a change to one subject leaves the others as they were. Eight faces in a row
are one person, who shows each class once; hair, skin and age are the person's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from flax import struct
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from data_pipelines.open_faces import scenery
from data_pipelines.open_faces.emotions import CLASSES, Shown, show
from data_pipelines.open_faces.hair import GlassesStyle, HairStyle, random_glasses, random_hair
from emoca_jax.arrays import AnyArray
from emoca_jax.codes import Codes
from emoca_jax.render.lighting import SH_BANDS

FACES_PER_PERSON = len(CLASSES)

PERSON, ORDER, EXPRESSION, POSE, LIGHT, LOOK, SCENE, CAMERA = range(8)
"""Streams of random numbers."""

SHAPE_SPREAD, SHAPE_MOST = 0.95, 2.5
"""Deviation of identity codes, of the population's; and where they end."""
MELANIN, TONE_MOST = 1.3, 2.6
"""Skin from very light to very dark, all about as often: wider than the albedo model's own deviation."""
FRONTAL_SHARE, FRONTAL, WIDEST = 0.72, (13.0, 9.0, 7.0), (60.0, 22.0, 20.0)
"""Degrees of yaw, pitch, roll: normal with these deviations for most faces, evenly up to the widest for the others."""
NECK = 3.0
FACE_CENTRE = (0.0, -0.028, 0.0)
"""Middle of the face, metres in the head's frame."""
FACE_HEIGHT = 0.155
"""From the mesh's uppermost forehead point to the chin of the average head, metres."""
MARGIN, CENTRE_SHIFT = (1.35, 2.3), 0.05
"""Side of the picture over the height of the face; deviation of the face's middle from the picture's, half sides."""
DISTANCE = (0.45, 3.0)
"""From the head's origin to the camera, metres, evenly in its inverse."""
SAD_NOD = 8.0
"""Degrees by which sad heads hang at most (head down is action unit 54, EFH's variants of sadness)."""


class Camera(struct.PyTreeNode):
    """What lens, sensor and file make of the picture."""

    blur: Float[AnyArray, "2"]
    """Deviation across and down, pixels of a picture 224 wide."""
    noise: Float[AnyArray, "2"]
    """Deviation of the read noise and of the shot noise of white."""
    noise_at: Int[AnyArray, "2"]
    balance: Float[AnyArray, "3"]
    gamma: Float[AnyArray, ""]
    contrast: Float[AnyArray, ""]
    saturation: Float[AnyArray, ""]
    vignette: Float[AnyArray, ""]
    quality: Int[AnyArray, ""]
    """Of the JPEG, 1 .. 95."""


class Skin(struct.PyTreeNode):
    """A person's skin beside the albedo code."""

    age: Float[AnyArray, ""]
    """Strength of the wrinkles, 0 .. 1, some of which stay at rest."""
    blotches: Float[AnyArray, "maps"]
    freckles: Float[AnyArray, ""]
    gloss: Float[AnyArray, ""]
    lashes: Float[AnyArray, ""]
    brows: Float[AnyArray, ""]
    beard: Float[AnyArray, ""]
    lipstick: Float[AnyArray, "4"]
    """Colour and cover."""
    hair: Float[AnyArray, "3"]
    """Colour of brows and beard."""
    scalp: Float[AnyArray, ""]
    """How much of the hair's colour the scalp under it takes."""


class Recipe(struct.PyTreeNode):
    """All numbers that a picture is drawn from; leaves are NumPy arrays."""

    codes: Codes
    distance: Float[AnyArray, ""]
    lamps: Float[AnyArray, "lamps 2 3"]
    """Direction towards each hard lamp and its colour."""
    skin: Skin
    hair: HairStyle
    glasses: GlassesStyle
    scene: scenery.Scene
    camera: Camera


class Face(NamedTuple):
    """One face before it is drawn."""

    recipe: Recipe
    shown: Shown
    person: int


def stream(seed: int, subject: int, index: int) -> np.random.Generator:
    """The random numbers of one subject of one face."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, subject, index])))


def label_and_person(seed: int, index: int) -> tuple[int, int]:
    """Class and person of a face, known without anything else of it."""
    person, turn = divmod(index, FACES_PER_PERSON)
    return int(stream(seed, ORDER, person).permutation(len(CLASSES))[turn]), person


def recipe(names: tuple[str, ...], shapes: int, tones: tuple[str, ...], seed: int, index: int) -> Face:
    """Face `index` of the dataset `seed`. names: the head's expression units; shapes: how many identity codes it has;
    tones: names of its albedo components."""
    label, person = label_and_person(seed, index)
    shown = show(label, names, stream(seed, EXPRESSION, index))
    shape, albedo, skin, hair = _person(shapes, tones, stream(seed, PERSON, person))
    pose, camera, distance = _pose(shown, stream(seed, POSE, index))
    light, lamps = _light(pose, stream(seed, LIGHT, index))
    look = stream(seed, LOOK, index)
    skin = skin.replace(gloss=_f(skin.gloss * look.uniform(0.4, 1.8)))
    codes = Codes(
        shape=shape,
        expression=_f(shown.units),
        pose=pose,
        jaw=_f(np.zeros(3)),
        eyes=_f(np.zeros((2, 3))),
        camera=camera,
        light=light,
        albedo=albedo,
    )
    drawn = Recipe(
        codes=codes, distance=distance, lamps=lamps, skin=skin, hair=hair, glasses=random_glasses(look),
        scene=scenery.random_scene(float(camera[0]), stream(seed, SCENE, index)),
        camera=_camera(stream(seed, CAMERA, index)),
    )  # fmt: skip
    return Face(drawn, shown, person)


def _f(value: Any) -> Any:
    return np.asarray(value, np.float32)


def _whole(value: Any) -> Any:
    return np.asarray(value, np.int32)


def _person(shapes: int, tones: tuple[str, ...], random: np.random.Generator) -> tuple[Any, Any, Skin, HairStyle]:
    shape = np.clip(SHAPE_SPREAD * random.standard_normal(shapes), -SHAPE_MOST, SHAPE_MOST)
    albedo = np.clip(random.standard_normal(len(tones)), -2, 2)
    melanin = np.clip(MELANIN * random.standard_normal(), -TONE_MOST, TONE_MOST)
    adult, bearded, painted = random.random() < 0.85, random.random() < 0.28, random.random() < 0.25
    hair = random_hair(float(melanin), random)
    # Half of what the albedo model allows: with coloured light on top, redder and yellower people look painted.
    for name in ("redness", "yellowness", "cheek_redness"):
        albedo[tones.index(name)] *= 0.5
    fixed = {
        "melanin": melanin,
        "brow_darkness": 0.5,
        "beard": random.uniform(0, 1.2) if bearded else -0.8,
        "scalp_hair": 0.0,
        # Dark skin comes with dark eyes.
        "iris_lightness": albedo[tones.index("iris_lightness")] - 0.7 - max(melanin, 0),
        "iris_blueness": albedo[tones.index("iris_blueness")] - max(1.5 * melanin, 0),
    }
    for name, value in fixed.items():
        albedo[tones.index(name)] = value
    lipstick = random.uniform((0.45, 0.05, 0.1), (0.8, 0.3, 0.35))
    skin = Skin(
        age=_f(random.uniform(0.35, 1.0) if adult else random.uniform(0.1, 0.35)),
        blotches=_f(random.uniform(0.3, 1.0) * random.standard_normal(4)),
        freckles=_f(max(random.uniform(-1.5, 1.0) - 0.4 * max(melanin, 0), 0)),
        gloss=_f(random.uniform(0.05, 0.3)),
        lashes=_f(random.uniform(0.3, 1.0)),
        brows=_f(random.uniform(0.35, 1.0)),
        beard=_f(random.uniform(0.2, 1.0) if bearded else 0.0),
        lipstick=_f([*lipstick, random.uniform(0.3, 0.8) if painted and not bearded else 0.0]),
        hair=_f(hair.colour * random.uniform(0.6, 1.0)),
        scalp=_f(random.uniform(0.5, 1.0) if hair.shown > 0 else random.uniform(0, 0.4)),
    )
    return _f(shape), _f(albedo), skin, hair


def _pose(shown: Shown, random: np.random.Generator) -> tuple[Any, Any, Any]:
    normal, even, frontal = random.standard_normal(3), random.uniform(-1, 1, 3), random.random() < FRONTAL_SHARE
    widest = np.array(WIDEST)
    yaw, pitch, roll = np.clip(normal * FRONTAL, -widest, widest) if frontal else even * widest
    if CLASSES[shown.label] == "sad":
        pitch += random.uniform(0, SAD_NOD)
    turn = Rotation.from_euler("zyx", [roll, yaw, pitch], degrees=True)
    neck = NECK * random.standard_normal(3)
    pose = np.stack([turn.as_rotvec(), np.radians(neck)])
    scale = 2 / (FACE_HEIGHT * random.uniform(*MARGIN))
    shift = CENTRE_SHIFT * np.clip(random.standard_normal(2), -2, 2) / scale
    middle = (turn * Rotation.from_rotvec(pose[1])).apply(FACE_CENTRE)
    near, far = DISTANCE
    distance = 1 / random.uniform(1 / far, 1 / near)
    return _f(pose), _f([scale, *(shift - middle[:2])]), _f(distance)


def _light(pose: np.ndarray, random: np.random.Generator) -> tuple[Any, Any]:
    """Soft light (harmonics) and two hard lamps, so bright together that white skin would be about white."""
    tint = np.exp(0.035 * random.standard_normal(3))
    light = np.zeros((9, 3))
    light[0] = tint
    side = random.standard_normal(3) + np.array([0, 0.5, 0.4])
    light[1:4] = (random.uniform(0, 0.45) * side / np.linalg.norm(side))[:, None] * np.exp(
        0.1 * random.standard_normal(3)
    )
    light[4:] = 0.07 * random.standard_normal((5, 1)) * np.exp(0.1 * random.standard_normal((5, 3)))
    # Coefficients of what the bands make of them, see SH_BANDS.
    light /= np.array(SH_BANDS)[:, None] / np.array([1, *[1] * 3, *[1] * 5])[:, None]
    directions = random.standard_normal((2, 3)) * (1, 0.6, 0.5) + (0, 0.5, 0.9)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hard = random.random() < 0.72
    strength = np.array([random.uniform(0.3, 1.6) if hard else 0.0, random.uniform(0.1, 0.6) * (random.random() < 0.3)])
    colours = strength[:, None] * np.exp(np.array([[0.1], [0.25]]) * random.standard_normal((2, 3)))
    level = np.exp(0.16 * random.standard_normal() - 0.1) / _brightness(light, directions, colours, pose)
    return _f(light * level), _f(np.stack([directions, colours * level], axis=1))


LIT = ((0, 0, 1), (0.5, 0, 0.87), (-0.5, 0, 0.87), (0, 0.5, 0.87), (0, -0.5, 0.87))
"""Normals of a face by which its light is measured."""


def _brightness(light: np.ndarray, directions: np.ndarray, colours: np.ndarray, pose: np.ndarray) -> float:
    normals = Rotation.from_rotvec(pose[0]).apply(np.array(LIT))
    x, y, z = normals.T
    bands = np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x**2 - y**2, 3 * z**2 - 1], 1) * SH_BANDS
    shading = bands @ light + np.maximum(normals @ directions.T, 0) @ colours
    return float(np.clip(shading, 0.05, None).mean())


def _camera(random: np.random.Generator) -> Camera:
    sharp, grey, coarse = random.random() < 0.6, random.random() < 0.08, random.random() < 0.25
    blur = random.uniform(0.35, 0.8, 2) if sharp else random.uniform(0.5, 1.6) * random.uniform(0.7, 1.3, 2)
    return Camera(
        blur=_f(blur),
        noise=_f([random.uniform(0, 0.018), random.uniform(0, 0.04)]),
        noise_at=_whole(random.integers(0, NOISE_TILE, 2)),
        balance=_f(np.exp(0.03 * random.standard_normal(3))),
        gamma=_f(np.exp(0.15 * random.standard_normal())),
        contrast=_f(random.uniform(0.85, 1.35)),
        saturation=_f(0.0 if grey else random.uniform(0.6, 1.25)),
        vignette=_f(random.uniform(0, 0.35) * (random.random() < 0.4)),
        quality=_whole(random.integers(25, 60) if coarse else random.integers(60, 96)),
    )


NOISE_TILE = 256

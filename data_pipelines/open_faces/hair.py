"""Hair, hats and glasses: one mesh of their own that moves with the skull and is drawn over the head by depth."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int
from scipy.spatial import KDTree

from emoca_jax import flame
from emoca_jax.arrays import AnyArray
from emoca_jax.flame.head import FaceHead

COLUMNS, ROWS = 60, 26
"""Of the shell of hair: around the head and from the crown down."""
CENTRE = np.array([0.0, 0.015, -0.055])
"""Of the skull, metres in the head's frame; the shell is star-shaped about it."""
LOWEST = -0.35
"""Elevation (radians) at which hair leaves the head and hangs."""
RAYS = 24
"""Elevations at which the radius of a head is measured."""
NEAREST = 6
EARS = 0.066
"""Beyond this |x| is an ear, which hair does not follow, metres."""
KNOTS = np.radians([0, 30, 55, 78, 100, 140, 180])
"""Azimuths, from the face backwards, at which a style says how far hair reaches."""

PIGMENTS = ((0.03, 0.025, 0.025), (0.09, 0.06, 0.045), (0.2, 0.12, 0.07), (0.38, 0.25, 0.13), (0.66, 0.5, 0.28),
            (0.42, 0.17, 0.07), (0.5, 0.49, 0.48), (0.82, 0.81, 0.8))  # fmt: skip
"""Black, dark brown, brown, light brown, blond, red, grey, white."""
ORDINARY, OF_DARK_SKIN = (0.2, 0.22, 0.2, 0.13, 0.11, 0.05, 0.06, 0.03), (0.55, 0.28, 0.06, 0, 0, 0, 0.08, 0.03)
STYLES: dict[str, tuple[float, tuple[float, ...], float]] = {
    "short": (0.3, (46, 43, 26, 4, 6, -22, -30), 0.016),
    "fringe": (0.14, (9, 9, 10, -2, -4, -24, -32), 0.02),
    "long": (0.24, (47, 44, 28, -20, -20, -20, -20), 0.018),
    "long fringe": (0.08, (9, 9, 8, -20, -20, -20, -20), 0.018),
    "receding": (0.08, (62, 66, 40, 6, 6, -22, -30), 0.01),
    "big": (0.06, (44, 41, 24, 0, -20, -20, -20), 0.045),
    "hat": (0.07, (27, 27, 24, 15, 8, -5, -10), 0.014),
    "none": (0.03, (60, 60, 60, 60, 60, 60, 60), 0.0),
}
"""Share of people; elevation in degrees to which hair reaches at the knots; thickness, metres."""

RING, ARM = 28, 6
"""Points around each rim and along each arm of glasses."""
RIM, LENS, SHELL = 0, 1, 2
"""Kinds of faces of the mesh."""


class HairStyle(struct.PyTreeNode):
    """Numbers of one hairstyle."""

    shown: Float[AnyArray, ""]
    ends: Float[AnyArray, "columns"]
    """Elevation, radians, to which hair reaches."""
    hanging: Float[AnyArray, "columns"]
    """How far it hangs from there, metres."""
    thickness: Float[AnyArray, ""]
    colour: Float[AnyArray, "3"]
    second: Float[AnyArray, "3"]
    curl: Float[AnyArray, ""]
    strands: Float[AnyArray, ""]
    """1 for hair, 0 for cloth."""
    frayed: Float[AnyArray, ""]
    """Part of its length over which strands end."""
    offset: Float[AnyArray, "2"]
    flare: Float[AnyArray, ""]


class GlassesStyle(struct.PyTreeNode):
    """Numbers of one pair of glasses; metres."""

    shown: Float[AnyArray, ""]
    size: Float[AnyArray, "2"]
    """Half width and half height of a lens."""
    roundness: Float[AnyArray, ""]
    rim: Float[AnyArray, ""]
    colour: Float[AnyArray, "3"]
    tint: Float[AnyArray, "4"]
    """Colour and cover of the lenses."""


def random_hair(melanin: float, random: np.random.Generator) -> HairStyle:
    """melanin: of the skin, in deviations of the albedo model."""
    shares = np.array([style[0] for style in STYLES.values()])
    name = tuple(STYLES)[int(random.choice(len(STYLES), p=shares / shares.sum()))]
    _, reach, thick = STYLES[name]
    pigment = np.array(PIGMENTS)[int(random.choice(len(PIGMENTS), p=OF_DARK_SKIN if melanin > 0.9 else ORDINARY))]
    colour = np.clip(pigment * np.exp(0.15 * random.standard_normal() + 0.05 * random.standard_normal(3)), 0, 1)
    dyed, cloth = random.random() < 0.03, name == "hat"
    if dyed or cloth:
        colour = random.uniform(0.03, 0.9) * random.dirichlet((1, 1, 1)) * 2
        colour = np.clip(0.5 * colour + 0.5 * colour.mean(), 0.02, 0.95)
    around = np.linspace(-np.pi, np.pi, COLUMNS, endpoint=False)
    knots = np.array(reach) + 3 * random.standard_normal(len(reach))
    parting, waves = random.uniform(-0.35, 0.35), random.standard_normal((2, 3))
    at = np.abs(np.angle(np.exp(1j * (around - (0 if cloth else parting)))))
    jitter = sum(waves[0, k] * np.sin((k + 3) * around + waves[1, k]) for k in range(3)) * (0.3 if cloth else 1.6)
    ends = np.radians(np.interp(at, KNOTS, knots) + jitter)
    length = random.uniform(0.02, 0.22) if name.startswith("long") else random.uniform(0, 0.04) * (name == "big")
    open_face = np.interp(at, KNOTS, (0, 0, 0.0, 0.75, 1, 1, 1))
    return HairStyle(
        shown=_f(name != "none"),
        ends=_f(ends),
        hanging=_f(np.maximum(length * open_face * (ends < np.radians(-10)), 0)),
        thickness=_f(thick * random.uniform(0.5, 1.5)),
        colour=_f(colour),
        second=_f(np.clip(colour * random.uniform(1.1, 1.9), 0, 1)),
        curl=_f(random.uniform(0.5, 1) if name == "big" else random.uniform(0, 0.6)),
        strands=_f(0.0 if cloth else 1.0),
        frayed=_f(0.02 if cloth else random.uniform(0.1, 0.35)),
        offset=_f(random.uniform(0, 1, 2)),
        flare=_f(random.uniform(-0.15, 0.35)),
    )


def random_glasses(random: np.random.Generator) -> GlassesStyle:
    """One person in six or so wears some; one of seven of them dark ones."""
    shown, dark, thin = random.random() < 0.17, random.random() < 0.13, random.random() < 0.5
    half = random.uniform(0.021, 0.027)
    colour = random.uniform(0.02, 0.25) if random.random() < 0.7 else random.uniform(0.2, 0.8)
    colour = np.clip(colour * np.exp(0.3 * random.standard_normal(3)), 0, 1)
    tint = random.uniform(0.0, 0.15, 3) if dark else random.uniform(0.6, 1, 3)
    return GlassesStyle(
        shown=_f(shown),
        size=_f([half, half * random.uniform(0.65, 1.0)]),
        roundness=_f(random.uniform(2, 5)),
        rim=_f(random.uniform(0.0009, 0.0015) if thin else random.uniform(0.0018, 0.0036)),
        colour=_f(colour),
        tint=_f([*tint, random.uniform(0.75, 0.95) if dark else random.uniform(0.0, 0.14)]),
    )


def _f(value: Any) -> Any:
    return np.asarray(value, np.float32)


class Wear(struct.PyTreeNode):
    """What the mesh of hair and glasses needs of a head; made once by `wear_of`."""

    faces: Int[Array, "faces 3"]
    kind: Int[Array, "faces"]
    """RIM, LENS or SHELL of each face."""
    place: Float[Array, "vertices 2"]
    """Of the shell: azimuth in turns and share of the way from crown to end; of a lens its own square."""
    neighbours: Int[Array, "columns rays nearest"]
    """Vertices of the head around each ray from the skull's centre."""
    weights: Float[Array, "columns rays nearest"]
    eyes: Int[Array, "2 eyeball"]
    bridge: Int[Array, "corners"]


def wear_of(head: FaceHead) -> Wear:
    """Made in NumPy, once per head."""
    template, faces = np.asarray(head.template, np.float64), np.asarray(head.faces)
    part = np.asarray(head.face_part)
    skin = np.unique(faces[part == 0])
    skull = skin[(np.abs(template[skin, 0]) < EARS) & (template[skin, 1] > -0.09)]
    arms = template[skull] - CENTRE
    towards = arms / np.linalg.norm(arms, axis=1, keepdims=True)
    # Where the head has several layers (sockets, nostrils, mouth) the outermost counts.
    outer = np.linalg.norm(arms, axis=1) > 0.055
    skull, towards = skull[outer], towards[outer]
    around = np.linspace(-np.pi, np.pi, COLUMNS, endpoint=False)
    rays = np.linspace(LOWEST, np.pi / 2, RAYS)
    flat = np.stack([np.sin(around), np.zeros(COLUMNS), np.cos(around)], 1)
    up = np.array([0.0, 1.0, 0.0])
    directions = flat[:, None] * np.cos(rays)[None, :, None] + up * np.sin(rays)[None, :, None]
    distance, found = KDTree(towards).query(directions, k=NEAREST)
    weights = np.exp(-((np.asarray(distance) / 0.12) ** 2)) + 1e-9
    eyes = np.unique(faces[part == head.part_names.index("eyes")])
    left, right = eyes[template[eyes, 0] > 0], eyes[template[eyes, 0] < 0]
    grid, place = _grid()
    glasses, kinds, squares = _glasses_faces(len(place))
    index = list(np.asarray(head.mediapipe_index)).index(168)
    corners = faces[np.asarray(head.landmarks_mediapipe.face_index)[index]]
    arrays: dict[str, Any] = {
        "faces": np.concatenate([grid, glasses]).astype(np.int32),
        "kind": np.concatenate([np.full(len(grid), SHELL), kinds]).astype(np.int32),
        "place": np.concatenate([place, squares]).astype(np.float32),
        "neighbours": skull[found].astype(np.int32),
        "weights": (weights / weights.sum(-1, keepdims=True)).astype(np.float32),
        "eyes": np.stack([left, right]).astype(np.int32),
        "bridge": corners.astype(np.int32),
    }
    return Wear(**jax.device_put(arrays))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Faces and places of the shell; the first column is repeated at the end, where its place is a turn further."""
    number = np.arange((COLUMNS + 1) * ROWS).reshape(COLUMNS + 1, ROWS)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    faces = np.concatenate([np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)])
    turn, way = np.meshgrid(np.arange(COLUMNS + 1) / COLUMNS, np.arange(ROWS) / (ROWS - 1), indexing="ij")
    return faces, np.stack([turn, way], -1).reshape(-1, 2)


def _glasses_faces(first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces, their kinds and the vertices' places, in the order of `_glasses`: per side a rim's inner and outer ring, a
    lens (centre), an arm (two rows); then the bridge (two rows of two)."""
    faces, kinds, places = [], [], []
    angle = np.arange(RING) * 2 * np.pi / RING
    for _ in range(2):
        inner, outer, centre = first, first + RING, first + 2 * RING
        for k in range(RING):
            n = (k + 1) % RING
            faces += [
                (inner + k, outer + k, outer + n),
                (inner + k, outer + n, inner + n),
                (centre, inner + k, inner + n),
            ]
            kinds += [RIM, RIM, LENS]
        places += [*np.stack([np.cos(angle), np.sin(angle)], 1)] * 2 + [np.zeros(2)]
        arm = centre + 1
        for k in range(ARM - 1):
            a, b, c, d = arm + k, arm + k + 1, arm + ARM + k + 1, arm + ARM + k
            faces += [(a, b, c), (a, c, d)]
            kinds += [RIM, RIM]
        places += [np.zeros(2)] * (2 * ARM)
        first = arm + 2 * ARM
    faces += [(first, first + 1, first + 3), (first, first + 3, first + 2)]
    kinds += [RIM, RIM]
    places += [np.zeros(2)] * 4
    return np.array(faces), np.array(kinds), np.array(places)


class Worn(NamedTuple):
    """The mesh on one head, in the frame of its posed vertices."""

    vertices: Float[Array, "vertices 3"]
    shown: Float[Array, "faces"]
    """1 where a face is worn at all."""


def wear(head: FaceHead, worn: Wear, style: Any, glasses: Any, shape: Array, posed: flame.FlameOutput) -> Worn:
    """Hair and glasses on a person: they follow identity and pose, not expression."""
    rest = flame.unposed_vertices(head, shape, jnp.zeros(head.expression_dirs.shape[-1]))
    shell = _shell(worn, style, rest)
    frame = _glasses(worn, glasses, rest)
    neck = head.joint_names.index("neck")
    # The scalp hangs on the neck joint alone: its rigid motion is the skull's.
    rotation, joint = posed.rotations[neck], posed.joints[neck]
    at_rest = jnp.einsum("v,vk->k", head.joint_regressor[neck], rest)
    vertices = jnp.concatenate([shell, frame])
    turned = jnp.einsum("kl,vl->vk", rotation, vertices - at_rest[None]) + joint[None]
    shown = jnp.where(worn.kind == SHELL, style.shown, glasses.shown)
    return Worn(turned, shown)


def _shell(worn: Wear, style: Any, rest: Array) -> Array:
    centre = jnp.asarray(CENTRE, jnp.float32)
    reach = jnp.linalg.norm(rest[worn.neighbours] - centre[None, None, None], axis=-1)
    radius = jnp.sum(reach * worn.weights, axis=-1)
    radius, ends, hanging = (jnp.concatenate([a, a[:1]]) for a in (radius, style.ends, style.hanging))
    around = jnp.linspace(-jnp.pi, jnp.pi, COLUMNS + 1)[:, None]
    share = jnp.arange(ROWS, dtype=jnp.float32)[None] / (ROWS - 1)
    on_head = jnp.pi / 2 - ends[:, None]
    arc = on_head * 0.1
    way = share * (arc + hanging[:, None])
    elevation = jnp.maximum(jnp.pi / 2 - way / arc * on_head, ends[:, None])
    drop = jnp.maximum(way - arc, 0)
    ray = (elevation - LOWEST) / (jnp.pi / 2 - LOWEST) * (RAYS - 1)
    low = jnp.clip(jnp.floor(ray), 0, RAYS - 2)
    part, low = jnp.clip(ray - low, 0, 1), low.astype(jnp.int32)
    columns = jnp.arange(COLUMNS + 1)[:, None]
    bare = radius[columns, low] * (1 - part) + radius[columns, low + 1] * part
    # Thin at the hairline, thick on top; longer hair stands off where it hangs.
    bump = 1 + 0.25 * style.curl * jnp.sin(around * 9 + 5 * style.offset[0]) * jnp.sin(share * 14 + 6 * style.offset[1])
    thickness = style.thickness * bump * jnp.clip((elevation - ends[:, None]) / 0.5, 0.25, 1)
    thickness = jnp.where(hanging[:, None] > 0.005, jnp.maximum(thickness, 0.012), thickness) + 0.002
    out = bare + thickness + style.flare * drop * 0.5
    flat = jnp.cos(elevation) * out
    y = jnp.sin(elevation) * out - drop
    return jnp.stack([jnp.sin(around) * flat, y, jnp.cos(around) * flat], -1).reshape(-1, 3) + centre[None]


def _glasses(worn: Wear, style: Any, rest: Array) -> Array:
    bridge = rest[worn.bridge].mean(axis=0)
    angle = jnp.arange(RING, dtype=jnp.float32) * (2 * jnp.pi / RING)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    round_ = (jnp.abs(cosine) ** style.roundness + jnp.abs(sine) ** style.roundness) ** (-1 / style.roundness)
    parts = []
    inner_ends = []
    for side, sign in ((0, 1.0), (1, -1.0)):
        eye = rest[worn.eyes[side]].mean(axis=0)
        x, y = eye[0] + sign * 0.001, eye[1] - 0.003
        front = jnp.maximum(bridge[2] + 0.004, eye[2] + 0.022)

        def placed(grow: Any, x: Array = x, y: Array = y, front: Array = front) -> Array:
            across, up = cosine * round_ * (style.size[0] + grow), sine * round_ * (style.size[1] + grow)
            # Frames bend around the face.
            depth = front - 2.2 * (x + across) ** 2
            return jnp.stack([x + across, y + up, depth], -1)

        parts += [placed(-style.rim * 0.5), placed(style.rim * 0.5), jnp.stack([x, y, front - 2.2 * x**2])[None]]
        start = jnp.stack(
            [x + sign * style.size[0], y + 0.4 * style.size[1], front - 2.2 * (x + sign * style.size[0]) ** 2]
        )
        end = jnp.stack([sign * 0.071, y + 0.008, jnp.array(-0.055)])
        steps = jnp.linspace(0, 1, ARM)[:, None]
        arm = start[None] * (1 - steps) + end[None] * steps
        # Temples are wider than the frame: arms run out first, then back.
        arm = arm + jnp.array([sign, 0.0, 0.0])[None] * 0.008 * jnp.sin(jnp.pi * steps)
        high = jnp.array([0.0, 1.0, 0.0])[None] * jnp.maximum(style.rim, 0.0015) * 0.7
        parts += [arm + high, arm - high]
        inner_ends.append(jnp.stack([x - sign * style.size[0], y + 0.3 * style.size[1], front]))
    high = jnp.array([0.0, 1.0, 0.0]) * jnp.maximum(style.rim, 0.0012) * 0.8
    left, right = inner_ends
    parts.append(jnp.stack([left + high, right + high, left - high, right - high]))
    return jnp.concatenate(parts)

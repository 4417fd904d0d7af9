"""What is behind and before the head: backgrounds, clothes, hands, microphones and bars; all drawn from formulas."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from emoca_jax.arrays import AnyArray

SHAPES, CAPSULES = 8, 6
TILE = 128
"""Side of the periodic noise that walls, leaves and cloth are made of."""
OCCLUDERS = ("none", "hand", "microphone", "bar", "blob")
OCCLUDER_SHARE = (0.72, 0.11, 0.05, 0.06, 0.06)
SHOULDER_TOP, SHOULDER_WIDTH = -0.132, (0.17, 0.24)
"""Height of the middle of the collar in the head's frame and half the width of the shoulders, metres."""
FAR_AWAY = 9.0
"""Where capsules that are not there lie, half sides of the picture."""


class Scene(struct.PyTreeNode):
    """Positions in the image plane: x right, y down, [-1, 1]."""

    gradient: Float[AnyArray, "2 3"]
    direction: Float[AnyArray, "2"]
    texture: Float[AnyArray, "3 3"]
    """Colour that each of three noises adds at its brightest."""
    texture_at: Float[AnyArray, "3 4"]
    """Cells across the picture, offset, offset, and sharpness (1 a cloud, 10 leaves)."""
    shapes: Float[AnyArray, "shapes 9"]
    """x, y, half width, half height, angle, softness, cover, roundness (1 an ellipse, 0 a box), stripes."""
    shape_colours: Float[AnyArray, "shapes 3"]
    clothes: Float[AnyArray, "8"]
    """Colour, second colour, cells of its pattern across, half width of the shoulders."""
    capsules: Float[AnyArray, "capsules 5"]
    """x0, y0, x1, y1, radius."""
    capsule_colours: Float[AnyArray, "capsules 3"]
    occluder: Int[AnyArray, ""]
    """Place in `OCCLUDERS`."""


def random_scene(scale: float, random: np.random.Generator) -> Scene:
    """scale: half sides of the picture per metre."""
    kind = ("plain", "wall", "leaves", "shapes", "night")[int(random.choice(5, p=[0.25, 0.2, 0.2, 0.25, 0.1]))]
    base = _colour(random, *{"night": (0.05, 0.3), "leaves": (0.05, 0.4)}.get(kind, (0.15, 0.95)))
    gradient = np.stack([base, np.clip(base * random.uniform(0.5, 1.3) + 0.06 * random.standard_normal(3), 0, 1)])
    angle = random.uniform(0, 2 * np.pi)
    texture, texture_at = _texture(kind, random)
    covers = random.random(SHAPES) < {"plain": 0.1, "wall": 0.2, "leaves": 0.2, "shapes": 0.9, "night": 0.8}[kind]
    soft = np.exp(random.uniform(np.log(0.01), np.log(0.25)))
    small = 0.12 if kind == "night" else 0.6
    shapes = np.stack(
        [
            *random.uniform(-1.1, 1.1, (2, SHAPES)),
            *random.uniform(0.04, small, (2, SHAPES)),
            random.choice([0, 1, 1], SHAPES) * random.uniform(-0.6, 0.6, SHAPES),
            np.full(SHAPES, soft),
            covers * random.uniform(0.4, 1, SHAPES),
            np.where(random.random(SHAPES) < (0.9 if kind == "night" else 0.35), 1.0, 0.0),
            (random.random(SHAPES) < 0.2) * random.uniform(10, 40, SHAPES),
        ],
        axis=1,
    )
    colours = np.stack([_colour(random, 0.6 if kind == "night" else 0.05, 1.0) for _ in range(SHAPES)])
    cloth, second = _colour(random, 0.03, 0.95), _colour(random, 0.03, 0.95)
    if random.random() < 0.6:
        second = cloth * random.uniform(0.8, 1.0)
    clothes = [*cloth, *second, random.uniform(4, 30), random.uniform(*SHOULDER_WIDTH)]
    occluder = int(random.choice(len(OCCLUDERS), p=OCCLUDER_SHARE))
    capsules, capsule_colours = _occluder(OCCLUDERS[occluder], scale, random)
    arrays: dict[str, Any] = {
        "gradient": gradient, "direction": [np.cos(angle), np.sin(angle)], "texture": texture, "texture_at": texture_at,
        "shapes": shapes, "shape_colours": colours, "clothes": clothes, "capsules": capsules,
        "capsule_colours": capsule_colours,
    }  # fmt: skip
    packed: dict[str, Any] = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    packed["occluder"] = np.asarray(occluder, np.int32)
    return Scene(**packed)


def _colour(random: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Mostly dull colours, some bright."""
    value, hue = random.uniform(low, high), random.dirichlet((1, 1, 1)) * 3
    saturation = random.beta(1, 5)
    return np.clip(value * (1 - saturation + saturation * hue), 0, 1)


def _texture(kind: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    colours, cells, sharp = (
        0.05 * random.standard_normal((3, 1)) + 0.012 * random.standard_normal((3, 3)),
        random.uniform(0.5, 4, 3),
        np.ones(3),
    )
    if kind == "wall":
        colours[1:] = random.uniform(-0.15, 0.15, (2, 1))
        cells = np.array([1, random.uniform(8, 24), random.uniform(2, 8)])
    if kind == "leaves":
        green = np.array([0.35, 0.5, 0.15]) * np.exp(0.25 * random.standard_normal(3))
        colours = np.stack([0.5 * green, 0.5 * green * random.uniform(0.6, 1.3), -0.4 * np.ones(3)])
        cells, sharp = random.uniform(1.5, 6, 3) * (1, 2, 1.3), random.uniform(2, 9, 3)
    return colours, np.concatenate([cells[:, None], random.uniform(0, 1, (3, 2)), sharp[:, None]], axis=1)


def _occluder(kind: str, scale: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Capsules and their colours; the face's middle is near the picture's, a metre is `scale`."""
    capsules = np.full((CAPSULES, 5), [FAR_AWAY, FAR_AWAY, FAR_AWAY, FAR_AWAY, 0.01])
    colours = np.zeros((CAPSULES, 3))
    side, x, y = random.choice([-1, 1]), random.uniform(-0.07, 0.07), random.uniform(0.05, 0.1)
    if kind == "hand":
        skin = np.array([0.85, 0.62, 0.5]) * random.uniform(0.35, 1.05) * np.exp(0.06 * random.standard_normal(3))
        tilt, spread = random.uniform(-0.9, 0.9), random.uniform(0.04, 0.22)
        palm = np.array([x + side * 0.03, y + 0.055])
        for finger in range(5):
            angle = tilt + (finger - 2) * spread - np.pi / 2
            base = palm + 0.035 * np.array([np.cos(angle), np.sin(angle)])
            tip = base + random.uniform(0.03, 0.07) * np.array([np.cos(angle), np.sin(angle)])
            capsules[finger] = [*base, *tip, 0.0108]
        capsules[5] = [*palm, *(palm + np.array([side * 0.02, 0.1])), 0.036]
        colours[:] = skin
        colours[:5] *= random.uniform(0.93, 1.03, (5, 1))
    if kind == "microphone":
        capsules[1] = [x, y, x + 0.004 * side, y + 0.012, 0.024]
        capsules[0] = [x, y + 0.02, x + side * random.uniform(0, 0.08), y + 0.25, 0.012]
        colours[:] = random.uniform(0.02, 0.3)
    if kind == "bar":
        angle, across = random.uniform(-0.5, 0.5) + random.choice([0, np.pi / 2]), random.uniform(-0.075, 0.075)
        along, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        aside = aside * across
        capsules[0] = [*(aside - along), *(aside + along), random.uniform(0.004, 0.014)]
        colours[:] = _colour(random, 0.05, 0.9)
    if kind == "blob":
        for number in range(int(random.integers(1, 4))):
            at = random.uniform(-0.1, 0.1, 2) + np.array([0, 0.05])
            capsules[number] = [*at, *(at + random.uniform(-0.05, 0.05, 2)), random.uniform(0.012, 0.04)]
        colours[:] = _colour(random, 0.05, 0.95)
    there = capsules[:, 0] < FAR_AWAY
    capsules[there] *= scale
    return capsules, colours


def noise_tile(seed: int = 0) -> Float[np.ndarray, "tile tile 3"]:
    """Three periodic noises of 1/f spectrum, each from 0 to 1 with its median at 1/2."""
    random = np.random.Generator(np.random.Philox(seed))
    across, down = np.meshgrid(np.fft.fftfreq(TILE), np.fft.fftfreq(TILE))
    fall = 1 / np.maximum(np.hypot(across, down), 1 / TILE) ** 1.5
    fall[0, 0] = 0
    waves = np.fft.ifft2(np.fft.fft2(random.standard_normal((3, TILE, TILE))) * fall).real
    ranks = waves.reshape(3, -1).argsort(axis=1).argsort(axis=1) / (TILE * TILE - 1)
    return np.moveaxis(ranks.reshape(3, TILE, TILE), 0, -1).astype(np.float32)


def plane(size: int) -> tuple[Array, Array]:
    """x and y of the pixel centres, each [size, size]."""
    at = (2 * jnp.arange(size, dtype=jnp.float32) + 1) / size - 1
    return jnp.broadcast_to(at[None, :], (size, size)), jnp.broadcast_to(at[:, None], (size, size))


def background(tile: Float[Array, "tile tile 3"], scene: Any, size: int) -> Float[Array, "size size 3"]:
    """The picture without anybody in it."""
    x, y = plane(size)
    share = jax.nn.sigmoid(2 * (x * scene.direction[0] + y * scene.direction[1]))[..., None]
    image = scene.gradient[0][None, None] * (1 - share) + scene.gradient[1][None, None] * share
    for layer in range(3):
        cells, offset_x, offset_y, sharp = scene.texture_at[layer]
        noise = sample_tile(tile[..., layer], x * cells / 8 + offset_x, y * cells / 8 + offset_y)
        noise = jax.nn.sigmoid(sharp * 4 * (noise - 0.5))
        image = image + noise[..., None] * scene.texture[layer][None, None]

    def paint(image: Array, shape: tuple[Array, Array]) -> tuple[Array, None]:
        numbers, colour = shape
        cx, cy, half_w, half_h, angle, soft, cover, roundness, stripes = numbers
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        u, v = ((x - cx) * cosine + (y - cy) * sine) / half_w, ((y - cy) * cosine - (x - cx) * sine) / half_h
        far = jnp.where(roundness > 0.5, jnp.sqrt(u * u + v * v), jnp.maximum(jnp.abs(u), jnp.abs(v)))
        inside = jax.nn.sigmoid((1 - far) * jnp.minimum(half_w, half_h) / soft * 4) * cover
        shade = 1 + 0.15 * jnp.sin(stripes * u)
        return image + inside[..., None] * (colour[None, None] * shade[..., None] - image), None

    image, _ = jax.lax.scan(paint, image, (jnp.asarray(scene.shapes), jnp.asarray(scene.shape_colours)))
    return jnp.clip(image, 0, 1)


def sample_tile(tile: Float[Array, "tile tile"], u: Array, v: Array) -> Array:
    """The periodic noise at u, v, in periods; bilinear."""
    side = tile.shape[0]
    column, row = (u - jnp.floor(u)) * side, (v - jnp.floor(v)) * side
    left, top = jnp.floor(column), jnp.floor(row)
    right_share, low_share = column - left, row - top
    left, top = left.astype(jnp.int32), top.astype(jnp.int32)
    flat = tile.reshape(-1)

    def corner(down: int, across: int) -> Array:
        return flat[((top + down) % side) * side + (left + across) % side]

    upper = corner(0, 0) * (1 - right_share) + corner(0, 1) * right_share
    lower = corner(1, 0) * (1 - right_share) + corner(1, 1) * right_share
    return upper * (1 - low_share) + lower * low_share


def clothes(
    scene: Any, tile: Array, collar: Float[Array, "2"], scale: Array, size: int
) -> tuple[Float[Array, "size size 3"], Float[Array, "size size"]]:
    """Colour and cover of shoulders around the collar's place in the image plane."""
    x, y = plane(size)
    width = scene.clothes[7] * scale
    across = (x - collar[0]) / width
    # A collar that dips in the middle, shoulders that fall off to the sides.
    top = collar[1] + width * (0.12 + 0.3 * across**2 - 0.2 * jnp.exp(-((across / 0.35) ** 2)))
    alpha = jax.nn.sigmoid((y - top) * size / 2) * jax.nn.sigmoid((1.3 - jnp.abs(across)) * size / 8)
    cells = scene.clothes[6]
    pattern = sample_tile(tile[..., 0], x * cells / 30, y * cells / 30)[..., None]
    colour = scene.clothes[:3][None, None] * (1 - pattern) + scene.clothes[3:6][None, None] * pattern
    fold = sample_tile(tile[..., 1], x / 6 + 0.3, y / 9)[..., None]
    return colour * (0.55 + 0.5 * fold), alpha


def occluder(scene: Any, size: int) -> tuple[Float[Array, "size size 3"], Float[Array, "size size"]]:
    """Colour and cover of what is before the face."""
    x, y = plane(size)

    def paint(drawn: tuple[Array, Array], one: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        image, alpha = drawn
        (x0, y0, x1, y1, radius), colour = one
        dx, dy = x1 - x0, y1 - y0
        along = jnp.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
        off_x, off_y = (x - x0 - along * dx) / radius, (y - y0 - along * dy) / radius
        far = jnp.sqrt(off_x**2 + off_y**2 + 1e-9)
        inside = jax.nn.sigmoid((1 - far) * radius * size)
        # A round body lit from above left.
        towards = jnp.sqrt(jnp.maximum(1 - far**2, 0))
        shade = jnp.clip(0.5 + 0.4 * towards - 0.18 * off_y - 0.12 * off_x, 0.15, 1.1)
        image = image + inside[..., None] * (colour[None, None] * shade[..., None] - image)
        return (image, jnp.maximum(alpha, inside)), None

    start = (jnp.zeros((size, size, 3)), jnp.zeros((size, size)))
    drawn, _ = jax.lax.scan(paint, start, (jnp.asarray(scene.capsules), jnp.asarray(scene.capsule_colours)))
    return drawn

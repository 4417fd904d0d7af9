"""Pictures of any mesh: framed automatically, lit by a studio that follows the camera, smooth at every edge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from emoca_jax import render
from emoca_jax.errors import checked_size
from emoca_jax.mesh_view.mesh_files import Mesh, to_linear
from emoca_jax.products import precise_matmul

Projection = Literal["orthographic", "perspective"]
Light = tuple[tuple[float, float, float], float]
"""Direction towards the light (right, up, to the camera) and its strength."""

FILL = 0.86
"""Part of the picture that the mesh takes, in height or width, whichever is tighter."""
HALF_ANGLE = np.radians(13.0)
"""Half the perspective camera's field of view: that of a portrait lens (85 mm on 35 mm film sees 24 by 16 degrees)."""
NEAREST = 0.25
"""Of the mesh's extent: the camera stays this far in front of it, whatever its shape."""
STUDIO: tuple[Light, ...] = (((-0.45, 0.50, 0.80), 0.95), ((0.80, 0.15, 0.50), 0.30), ((0.0, -0.9, 0.3), 0.10))
"""Key, fill and bounce, as the comparison picture has them, in linear light."""
AMBIENT = 0.16
SINGLE_LIGHT = 1.0
BAND_PIXELS = 2**21
"""Samples drawn at once: about 150 bytes each, so a picture of any size takes 0.3 GB."""


class Viewpoint(NamedTuple):
    """Where the camera stands, in degrees: yaw 90 looks at the mesh's own left side, pitch 90 from straight above."""

    yaw: float
    pitch: float


class Style(NamedTuple):
    """What decides the picture beside the mesh and the view; hashable.

    lights: none for flat colours without shading. flat: every face its own normal.
    """

    projection: Projection = "perspective"
    lights: tuple[Light, ...] | None = STUDIO
    flat: bool = False


STUDIO_STYLE = Style()


def draw_views(
    mesh: Mesh,
    views: Sequence[Viewpoint],
    size: int,
    *,
    style: Style = STUDIO_STYLE,
    up: Literal["y", "z"] = "y",
    only: Iterable[Viewpoint] | None = None,
) -> Iterator[UInt8[np.ndarray, "size size 4"]]:
    """One square sRGB picture per view with alpha (not premultiplied), all framed alike so that nothing jumps.

    up: the file's axis that points up. only: the views to draw, where not all of those that decide the framing.
    Colours are averaged in linear light over 3 x 3 samples a pixel, 2 x 2 above 1024 pixels.
    """
    checked_size("size", size)
    upright = np.eye(3) if up == "y" else np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    low, high = mesh.vertices.min(0).astype(np.float64), mesh.vertices.max(0).astype(np.float64)
    centre, extent = (low + high) / 2, (high - low).max()
    vertices = (mesh.vertices - centre) / extent @ upright.T
    turns = [turn(view) for view in views]
    distance, scale = _framing(vertices, turns, style.projection)
    samples = 3 if size <= 1024 else 2
    rows = max(1, min(size, BAND_PIXELS // (size * samples**2)))
    arrays = (
        jnp.asarray(vertices, jnp.float32),
        jnp.asarray(mesh.normals @ upright.T, jnp.float32),
        jnp.asarray(mesh.uv),
        jnp.asarray(mesh.colours),
        jnp.asarray(mesh.faces),
        jnp.asarray(mesh.face_picture),
    )
    pictures = tuple(jnp.asarray(to_linear(picture / np.float32(255)), jnp.float32) for picture in mesh.pictures)
    for matrix in turns if only is None else map(turn, only):
        camera = jnp.asarray(matrix, jnp.float32), jnp.float32(distance), jnp.float32(scale)
        bands = [
            np.asarray(_draw_band(*arrays, pictures, camera, first, rows, size, samples, style))
            for first in range(0, size, rows)
        ]
        yield _encode(np.concatenate(bands)[:size])


def turn(view: Viewpoint) -> Float[np.ndarray, "3 3"]:
    """World to camera axes (right, up, towards the camera)."""
    yaw, pitch = np.radians(view)
    around = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    over = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return over @ around


def over_background(
    picture: UInt8[np.ndarray, "height width 4"], colour: tuple[int, int, int]
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture on a plain sRGB colour, mixed in linear light."""
    alpha = picture[..., 3:] / 255
    mixed = to_linear(picture[..., :3] / 255) * alpha + to_linear(np.array(colour) / 255) * (1 - alpha)
    return np.round(_to_srgb(mixed) * 255).astype(np.uint8)


def _framing(vertices: np.ndarray, turns: Sequence[np.ndarray], projection: Projection) -> tuple[float, float]:
    """Distance of the camera from the mesh's middle and scale, so that FILL of the picture is used in the tightest of
    all views."""
    seen = [vertices @ matrix.T for matrix in turns]
    if projection == "orthographic":
        return 0.0, FILL / max(float(np.abs(points[:, :2]).max()) for points in seen)
    # A point (x, y, z) lies inside of the frame if the camera is at least this far from the middle.
    scale = 1 / np.tan(HALF_ANGLE)
    needed = [points[:, 2] + np.maximum(scale / FILL * np.abs(points[:, :2]).max(1), NEAREST) for points in seen]
    return max(float(distance.max()) for distance in needed), scale


@partial(jax.jit, static_argnames=("rows", "size", "samples", "style"))
def _draw_band(
    vertices: Array,
    normals: Array,
    uv: Array,
    colours: Array,
    faces: Array,
    face_picture: Array,
    pictures: tuple[Array, ...],
    camera: tuple[Array, Array, Array],
    first: int | Array,
    rows: int,
    size: int,
    samples: int,
    style: Style,
) -> Float[Array, "rows size 4"]:
    """A strip of the picture from row `first` down: linear RGB times alpha, and alpha."""
    matrix, distance, scale = camera
    seen = precise_matmul(vertices, matrix.T)
    perspective = style.projection == "perspective"
    depth = distance - seen[:, 2]
    across = seen[:, :2] * jnp.array([[1.0, -1.0]]) * scale / (depth[:, None] if perspective else 1.0)
    middle = (2 * first + rows) / size - 1
    plane = jnp.stack([across[:, 0], (across[:, 1] - middle) * (size / rows), depth], axis=-1)
    fragments = render.rasterize(plane, faces, (rows * samples, size * samples), perspective=perspective)

    covered = fragments.face_index >= 0
    light = jnp.ones(covered.shape)
    if style.lights is not None:
        if style.flat:
            normals, corners = render.face_normals(vertices, faces), jnp.tile(jnp.arange(len(faces))[:, None], 3)
        else:
            corners = faces
        facing = render.normalize(render.interpolate(fragments, precise_matmul(normals, matrix.T), corners))
        # Open meshes show their inside: light it as if it were the outside.
        facing = facing * jnp.where(facing[..., 2:] < 0, -1.0, 1.0)
        towards = np.array([direction for direction, _ in style.lights], np.float32).reshape(-1, 3)
        strengths = np.array([[strength] * 3 for _, strength in style.lights], np.float32).reshape(-1, 3)
        lit = render.directional_lights(facing.reshape(-1, 3), jnp.asarray(towards), jnp.asarray(strengths))
        light = jnp.where(covered, AMBIENT, 0.0) + lit[:, 0].reshape(covered.shape)
    albedo = render.interpolate(fragments, colours, faces)
    if pictures:
        place = render.interpolate(fragments, uv, faces)
        # Textures repeat; coordinates of exactly 1 stay at the far edge.
        place = jnp.where((place < 0) | (place > 1), place - jnp.floor(place), place)
        worn = jnp.where(covered, face_picture[jnp.maximum(fragments.face_index, 0)], -1)
        texture = jnp.ones_like(albedo)
        for number, picture in enumerate(pictures):
            texture = jnp.where((worn == number)[..., None], render.sample_texture(picture, place), texture)
        albedo = albedo * texture
    layers = jnp.concatenate([jnp.clip(albedo * light[..., None], 0, 1), jnp.ones_like(albedo[..., :1])], axis=-1)
    layers = jnp.where(covered[..., None], layers, 0.0)
    return layers.reshape(rows, samples, size, samples, 4).mean((1, 3))


def _encode(layers: Float[np.ndarray, "height width 4"]) -> UInt8[np.ndarray, "height width 4"]:
    alpha = layers[..., 3:]
    colour = _to_srgb(layers[..., :3] / np.maximum(alpha, 1e-6))
    return np.round(np.concatenate([colour, alpha], -1) * 255).astype(np.uint8)


def _to_srgb(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)

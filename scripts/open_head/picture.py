"""Pictures of a head for the landmark network and for looking at, drawn with the project's own renderer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax import render

AMBIENT = 2.3
"""First harmonic; with SH_BANDS it lights a surface evenly by 0.65."""


def light_from(direction: tuple[float, float, float], strength: float = 0.55, ambient: float = AMBIENT) -> np.ndarray:
    """Harmonic coefficients [9, 3] of even light plus a soft lamp in `direction` (world frame)."""
    towards = np.array(direction) / np.linalg.norm(direction)
    light = np.zeros((9, 3))
    light[0] = ambient
    light[1:4] = strength * towards[:, None]
    return light


def turn(yaw: float, pitch: float, roll: float = 0.0) -> np.ndarray:
    """Rotation matrix for angles in degrees: yaw to the subject's left, pitch downwards."""
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


@jax.jit
def _shade(normals, uv, texture, light):
    return render.sample_texture(texture, uv) * render.spherical_harmonics(normals, light)


def draw(
    vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray, texture: np.ndarray,
    rotation: np.ndarray, centre: np.ndarray, scale: float, light: np.ndarray, size: int, background: float = 0.82,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """A picture [S, S, 3] in [0, 1], the face under each pixel [S, S] and the vertices (x, y, depth), all in pixels.

    `scale`: how many units of the picture's half side one unit of `vertices` is.
    """
    turned = (vertices - centre) @ rotation.T
    plane = np.stack([scale * turned[:, 0], -scale * turned[:, 1], -turned[:, 2]], -1).astype(np.float32)
    fragments = render.rasterize(jnp.asarray(plane), jnp.asarray(faces), (size, size))
    normals = render.vertex_normals(jnp.asarray(turned, jnp.float32), jnp.asarray(faces))
    normal_image = render.normalize(render.interpolate(fragments, normals, jnp.asarray(faces)))
    uv_image = render.interpolate(fragments, jnp.asarray(uv, jnp.float32), jnp.asarray(uv_faces))
    shaded = _shade(normal_image, uv_image, jnp.asarray(texture, jnp.float32), jnp.asarray(light, jnp.float32))
    face_index = np.asarray(fragments.face_index)
    picture = np.where((face_index >= 0)[..., None], np.clip(np.asarray(shaded), 0, 1), background)
    pixels = np.concatenate([(plane[:, :2] + 1) * size / 2, plane[:, 2:] * scale * size / 2], 1)
    return picture, face_index, pixels

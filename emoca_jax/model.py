"""Codes to pictures: the one decode that inference, fitting, training and video share (figure 2 of the EMOCA paper)."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.flame.head import FaceHead

MISSING_ALBEDO_GREY = 0.5
"""Albedo of a head without an albedo model (DECA renders such heads in this grey)."""


class Reconstruction(struct.PyTreeNode):
    """A decoded face. World: metres, y up, z to the viewer. Image plane: [-1, 1]^2, x right, y down, depth away."""

    vertices: Float[Array, "*batch vertices 3"]
    joints: Float[Array, "*batch joints 3"]
    normals: Float[Array, "*batch vertices 3"]
    """World space, unit length."""
    image_vertices: Float[Array, "*batch vertices 3"]
    landmarks: Float[Array, "*batch 68 3"]
    """68 points in the image plane, the jaw line following the visible outline."""
    landmarks_mediapipe: Float[Array, "*batch points 3"]
    """MediaPipe's points in the image plane; which of the 478 they are is `head.mediapipe_index`."""
    face_index: Int[Array, "*batch height width"]
    alpha: Float[Array, "*batch height width"]
    """1 where the head covers the pixel, else 0; no gradient."""
    uv_image: Float[Array, "*batch height width 2"]
    normal_image: Float[Array, "*batch height width 3"]
    albedo: Float[Array, "*batch rows columns 3"]
    """In uv space, row 0 at v = 1."""
    albedo_image: Float[Array, "*batch height width 3"]
    shading: Float[Array, "*batch height width 3"]
    rendering: Float[Array, "*batch height width 3"]
    """albedo * shading, black where nothing is covered."""


def full_pose(codes: Codes) -> Float[Array, "*batch 5 3"]:
    """Axis-angle of all joints (global, neck, jaw, left eye, right eye) from the named parts of the codes, radians."""
    return jnp.concatenate([codes.pose, codes.jaw[..., None, :], codes.eyes], axis=-2)


@functools.partial(jax.jit, static_argnames="size")
def decode(
    head: FaceHead,
    codes: Codes,
    size: tuple[int, int],
    texture: Float[Array, "*batch rows columns 3"] | None = None,
) -> Reconstruction:
    """Pose the head, project it, rasterise it and shade it.

    size: (height, width) of the image plane [-1, 1]^2. texture: uv albedo to use in place of the albedo model's, row 0
    at v = 1. Differentiable to the codes and the texture everywhere but across silhouettes. Source: DECA section 3.1,
    EMOCA section 3.
    """
    posed = flame.forward(head, codes.shape, codes.expression, full_pose(codes))
    image_vertices = render.weak_perspective(posed.vertices, codes.camera)
    normals = render.vertex_normals(posed.vertices, head.faces)
    albedo = _albedo(head, codes) if texture is None else texture

    fragments = render.rasterize(image_vertices, head.faces, size)
    normal_image = render.interpolate(fragments, normals, head.faces)
    uv = render.interpolate(fragments, head.uv, head.uv_faces)
    alpha = (fragments.face_index >= 0).astype(jnp.float32)
    albedo_image = render.sample_texture(albedo, uv) * alpha[..., None]
    shading = render.spherical_harmonics(normal_image, codes.light) * alpha[..., None]

    return Reconstruction(
        vertices=posed.vertices,
        joints=posed.joints,
        normals=normals,
        image_vertices=image_vertices,
        landmarks=render.weak_perspective(flame.landmarks68(head, posed), codes.camera),
        landmarks_mediapipe=render.weak_perspective(flame.landmarks_mediapipe(head, posed.vertices), codes.camera),
        face_index=fragments.face_index,
        alpha=alpha,
        uv_image=uv,
        normal_image=normal_image,
        albedo=albedo,
        albedo_image=albedo_image,
        shading=shading,
        rendering=albedo_image * shading,
    )


def _albedo(head: FaceHead, codes: Codes) -> Float[Array, "*batch rows columns 3"]:
    if head.albedo is not None:
        return flame.albedo_map(head.albedo, codes.albedo)
    return jnp.full((*codes.albedo.shape[:-1], 2, 2, 3), MISSING_ALBEDO_GREY)

"""Programs of the renderer, and decoding with gradients."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from emoca_jax import model, render
from emoca_jax.codes import Codes
from emoca_jax.flame.head import FaceHead
from emoca_jax.mesh_view import picture
from emoca_jax.render.soft import default_blur_radius
from tests.accelerators.inputs import (
    SIDE,
    array,
    batch_of,
    open_codes,
    open_model,
    shapes_of,
)
from tests.accelerators.table import (
    NOT_FOR_TPU,
    SLOW_ON_TPU,
    TRAINED_AT_ONCE,
    Call,
    mesh_shapes,
    program,
    texture_shape,
)

# The renderer, and decoding with gradients.


@program(render.rasterize)
def rasterize(chips: int) -> Call:
    return _drawing(chips, size=(SIDE, SIDE))


@program(render.rasterize, slow=SLOW_ON_TPU)
def rasterize_in_perspective(chips: int) -> Call:
    return _drawing(chips, size=(SIDE, SIDE), perspective=True, cull="back")


@program(render.rasterize, never=NOT_FOR_TPU)
def rasterize_by_warp(chips: int) -> Call:
    return _drawing(chips, size=(SIDE, SIDE), perspective=True, backend="warp")


def _seen_by_warp(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    fragments = render.rasterize(vertices, faces, (SIDE, SIDE), backend="warp")
    depth = jnp.where(fragments.face_index >= 0, fragments.depth, 0.0)
    return jnp.sum(fragments.barycentric**2) + jnp.sum(depth)


@program(jax.value_and_grad(_seen_by_warp), never=NOT_FOR_TPU)
def gradient_by_warp(chips: int) -> Call:
    return _drawing(chips)


def _outline_by_warp(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    return jnp.sum(render.soft_silhouette(vertices, faces, (SIDE, SIDE), backend="warp") ** 2)


@program(jax.value_and_grad(_outline_by_warp), never=NOT_FOR_TPU)
def soft_gradient_by_warp(chips: int) -> Call:
    return _drawing(chips)


def _coverage_by_warp(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    fragments = render.rasterize(vertices, faces, (SIDE, SIDE), backend="warp")
    alpha = (fragments.face_index >= 0).astype(jnp.float32)[..., None]
    return jnp.sum(render.antialias(alpha, fragments, vertices, faces, backend="warp") ** 2)


@program(jax.value_and_grad(_coverage_by_warp), never=NOT_FOR_TPU)
def antialias_gradient_by_warp(chips: int) -> Call:
    return _drawing(chips)


def _blended_by_warp(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    return jnp.sum(render.soft_rasterize(vertices, faces, vertices, (SIDE, SIDE), backend="warp") ** 2)


@program(jax.value_and_grad(_blended_by_warp), never=NOT_FOR_TPU)
def soft_colours_gradient_by_warp(chips: int) -> Call:
    return _drawing(chips)


@program(picture._draw_band, slow=SLOW_ON_TPU)
def render_band(chips: int) -> Call:
    """A strip of a picture of 512 pixels, 3 x 3 samples each."""
    size, samples = 512, 3
    vertices, faces = mesh_shapes()
    head = open_model().head
    shown = (vertices, vertices, shapes_of(head.uv), vertices, faces, array(len(head.faces), dtype=jnp.int32))
    pictures, camera = (array(size, size, 3),), (array(3, 3), array(), array())
    rows = picture.BAND_PIXELS // (size * samples**2)
    options = {"rows": rows, "size": size, "samples": samples, "style": picture.STUDIO_STYLE}
    return Call((*shown, pictures, camera, array(dtype=jnp.int32)), options=options)


@program(render.spherical_harmonics)
def spherical_harmonics(chips: int) -> Call:
    return Call((array(chips, SIDE, SIDE, 3), array(chips, 9, 3)))


def _coverage(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    fragments = render.rasterize(vertices, faces, (SIDE, SIDE))
    alpha = (fragments.face_index >= 0).astype(jnp.float32)[..., None]
    return jnp.sum(render.antialias(alpha, fragments, vertices, faces) ** 2)


def _outline(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    return jnp.sum(render.soft_silhouette(vertices, faces, (SIDE, SIDE)) ** 2)


def _blended(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    return jnp.sum(render.soft_rasterize(vertices, faces, vertices, (SIDE, SIDE)) ** 2)


def _mip_mapped(
    vertices: jax.Array, faces: jax.Array, uv: jax.Array, uv_faces: jax.Array, texture: jax.Array
) -> jax.Array:
    fragments = render.rasterize(vertices, faces, (SIDE, SIDE), perspective=True)
    right, down = (
        render.interpolate(slope, uv, uv_faces)
        for slope in render.barycentric_slopes(fragments, vertices, faces, perspective=True)
    )
    level = render.mip_level(right, down, texture.shape[:2])
    place = render.interpolate(fragments, uv, uv_faces)
    return jnp.sum(render.sample_texture(render.mip_pyramid(texture), place, level=level) ** 2)


@program(jax.value_and_grad(_mip_mapped, argnums=(0, 4)), slow=SLOW_ON_TPU)
def mip_mapped_gradient(chips: int) -> Call:
    head = shapes_of(open_model().head)
    vertices = batch_of(head.template, TRAINED_AT_ONCE * chips)
    return Call((vertices, head.faces, head.uv, head.uv_faces, texture_shape()), (0,))


@program(jax.value_and_grad(_coverage), slow=SLOW_ON_TPU)
def antialias_gradient(chips: int) -> Call:
    return _drawing(chips)


@program(jax.value_and_grad(_outline), slow=SLOW_ON_TPU)
def soft_silhouette_gradient(chips: int) -> Call:
    return _drawing(chips)


@program(jax.value_and_grad(_blended), slow=SLOW_ON_TPU)
def soft_rasterize_gradient(chips: int) -> Call:
    return _drawing(chips)


@program(render.soft_fragments, slow=SLOW_ON_TPU)
def soft_fragments(chips: int) -> Call:
    return _drawing(chips, size=(SIDE, SIDE), blur_radius=float(default_blur_radius(1e-4)))


def _energy(edges: render.EdgeStyle, head: FaceHead, codes: Codes) -> jax.Array:
    return jnp.sum(model.decode(head, codes, (SIDE, SIDE), edges=edges).rendering ** 2)


@program(jax.value_and_grad(functools.partial(_energy, "hard"), argnums=1))
def decode_gradient(chips: int) -> Call:
    return Call((shapes_of(open_model().head), batch_of(open_codes(), TRAINED_AT_ONCE * chips)), (1,))


@program(jax.value_and_grad(functools.partial(_energy, "antialias"), argnums=1), slow=SLOW_ON_TPU)
def decode_antialias_gradient(chips: int) -> Call:
    return Call((shapes_of(open_model().head), batch_of(open_codes(), TRAINED_AT_ONCE * chips)), (1,))


def _drawing(chips: int, **options: Any) -> Call:
    vertices, faces = mesh_shapes()
    return Call((batch_of(vertices, TRAINED_AT_ONCE * chips), faces), (0,), options)

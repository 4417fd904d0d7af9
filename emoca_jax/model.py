"""Photo to codes to pictures (figure 2 of the EMOCA paper), and the one decode that inference, fitting, training and
video share."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Int

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.detail import Detail, DetailModel, displaced_normals, predict_displacement
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.nets.encoders import run_encoder, split_expression, split_flame
from emoca_jax.render.draw import EdgeStyle

MISSING_ALBEDO_GREY = 0.5
"""Albedo of a head without an albedo model (DECA renders such heads in this grey)."""
OFFICIAL_DEPTH = 10.0
"""The reference moves the mesh this far away before it rasterises, where faces at a depth below zero are dropped."""


class EncoderVariables(struct.PyTreeNode):
    """The three encoders of EMOCA; plain DECA has no `expression`, the coarse stage alone no `detail`."""

    flame: dict
    expression: dict | None = None
    detail: dict | None = None


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
    """1 where the head covers the pixel, else 0, and no gradient; with smooth edges the share covered."""
    uv_image: Float[Array, "*batch height width 2"]
    normal_image: Float[Array, "*batch height width 3"]
    albedo: Float[Array, "*batch rows columns 3"]
    """In uv space, row 0 at v = 1."""
    albedo_image: Float[Array, "*batch height width 3"]
    shading: Float[Array, "*batch height width 3"]
    rendering: Float[Array, "*batch height width 3"]
    """albedo * shading, black where nothing is covered."""
    detail: Detail | None = None
    """The displaced surface, where the codes and the model have a detail stage."""


class Surface(struct.PyTreeNode):
    """A drawn mesh, before any light falls on it."""

    face_index: Int[Array, "*batch height width"]
    alpha: Float[Array, "*batch height width"]
    uv_plane: Float[Array, "*batch height width 2"]
    """Texture coordinates as the image plane of the texture, [-1, 1]^2, y down: zero, its middle, on the background."""
    normal_image: Float[Array, "*batch height width 3"]


def encode(encoders: EncoderVariables, images: Float[Array, "*batch 224 224 3"]) -> Codes:
    """Codes of cropped faces: images RGB in [0, 1], without further normalisation.

    The expression (and in some models the jaw) is that of the expression encoder where there is one; everything else
    is the frozen E_flame's. The neck and the eyes stay at rest. Fastest without a jit around it: the encoders then
    share one compiled trunk. Source: DECA section 4.1, EMOCA section 3.
    """
    coarse = split_flame(_run(encoders.flame, images))
    expression, jaw = coarse.expression, coarse.jaw
    if encoders.expression is not None:
        own = split_expression(_run(encoders.expression, images))
        expression, jaw = own.expression, jaw if own.jaw is None else own.jaw
    return Codes(
        shape=coarse.shape,
        expression=expression,
        pose=coarse.pose,
        jaw=jaw,
        eyes=jnp.zeros_like(coarse.pose),
        camera=coarse.camera,
        light=coarse.light,
        albedo=coarse.albedo,
        detail=None if encoders.detail is None else _run(encoders.detail, images),
    )


def _run(variables: dict, images: Array) -> Array:
    flat = run_encoder(variables, images.reshape(-1, *images.shape[-3:]))
    return flat.reshape(*images.shape[:-3], -1)


def full_pose(codes: Codes) -> Float[Array, "*batch 5 3"]:
    """Axis-angle of all joints (global, neck, jaw, left eye, right eye) from the named parts of the codes, radians."""
    return jnp.concatenate([codes.pose, codes.jaw[..., None, :], codes.eyes], axis=-2)


@functools.partial(jax.jit, static_argnames=("size", "official", "edges"))
def decode(
    head: FaceHead,
    codes: Codes,
    size: tuple[int, int],
    texture: Float[Array, "*batch rows columns 3"] | None = None,
    *,
    detail: DetailModel | None = None,
    official: bool = False,
    edges: EdgeStyle = "hard",
) -> Reconstruction:
    """Pose the head, project it, rasterise it and shade it.

    size: (height, width) of the image plane [-1, 1]^2. texture: uv albedo to use in place of the albedo model's, row 0
    at v = 1. detail: the stage that turns `codes.detail` into wrinkles, if any. official: the reference's rules where
    ours differ (strict edges, normals of tiny triangles below unit length, textures fading to black at their border).
    edges: how silhouettes are drawn in `rendering` and `alpha`: "hard", or "antialias" or "soft" as `render.draw` does.
    Differentiable to the codes and the texture, across silhouettes only with edges other than "hard"; the detail's maps
    to the detail, expression and jaw codes through the displacement only. Errors: InputError for official with edges
    other than "hard". Source: DECA section 3.1, EMOCA section 3.
    """
    if official and edges != "hard":
        raise InputError(f"The reference draws hard edges only: leave out official, or edges={edges!r}.")
    posed = flame.forward(head, codes.shape, codes.expression, full_pose(codes))
    image_vertices = render.weak_perspective(posed.vertices, codes.camera)
    normals = render.vertex_normals(posed.vertices, head.faces, official=official)
    albedo = _albedo(head, codes) if texture is None else texture

    surface = draw(head, image_vertices, normals, size, official=official)
    albedo_image = sample(albedo, surface, official=official) * surface.alpha[..., None]
    shading = render.spherical_harmonics(surface.normal_image, codes.light) * surface.alpha[..., None]
    rendering, alpha = albedo_image * shading, surface.alpha
    if edges != "hard":
        shade = functools.partial(_shade, head, normals, albedo, codes.light)
        smooth = render.draw(shade, image_vertices, head.faces, size, edges=edges)
        rendering, alpha = smooth.image, smooth.alpha

    wrinkled = None
    if detail is not None and codes.detail is not None:
        wrinkled = _wrinkle(detail, head, codes, posed.vertices, normals, albedo, surface, official)
    return Reconstruction(
        vertices=posed.vertices,
        joints=posed.joints,
        normals=normals,
        image_vertices=image_vertices,
        landmarks=render.weak_perspective(flame.landmarks68(head, posed), codes.camera),
        landmarks_mediapipe=render.weak_perspective(flame.landmarks_mediapipe(head, posed.vertices), codes.camera),
        face_index=surface.face_index,
        alpha=alpha,
        uv_image=(surface.uv_plane * jnp.array([0.5, -0.5]) + 0.5) * surface.alpha[..., None],
        normal_image=surface.normal_image,
        albedo=albedo,
        albedo_image=albedo_image,
        shading=shading,
        rendering=rendering,
        detail=wrinkled,
    )


def draw(
    head: FaceHead,
    image_vertices: Float[Array, "*batch vertices 3"],
    normals: Float[Array, "*batch vertices 3"],
    size: tuple[int, int],
    *,
    official: bool = False,
) -> Surface:
    """What each pixel sees of a projected head: texture place and world normal."""
    if official:
        image_vertices = image_vertices + jnp.array([0.0, 0.0, OFFICIAL_DEPTH])
    return _surface(head, normals, render.rasterize(image_vertices, head.faces, size, official=official))


def _surface(head: FaceHead, normals: Array, fragments: render.Fragments) -> Surface:
    # The plane's coordinates are mixed, not uv: the reference's barycentrics do not quite sum to 1.
    uv_plane = head.uv * jnp.array([2.0, -2.0]) + jnp.array([-1.0, 1.0])
    return Surface(
        face_index=fragments.face_index,
        alpha=(fragments.face_index >= 0).astype(jnp.float32),
        uv_plane=render.interpolate(fragments, uv_plane, head.uv_faces),
        normal_image=render.interpolate(fragments, normals, head.faces),
    )


def _shade(
    head: FaceHead, normals: Array, albedo: Array, light: Array, fragments: render.Fragments
) -> Float[Array, "*batch height width 3"]:
    surface = _surface(head, normals, fragments)
    return sample(albedo, surface) * render.spherical_harmonics(surface.normal_image, light)


def sample(
    texture: Float[Array, "*batch rows columns channels"], surface: Surface, *, official: bool = False
) -> Float[Array, "*batch height width channels"]:
    """A uv map in the image plane, the texture's middle on the background."""
    return render.sample_image(texture, surface.uv_plane, outside="zero" if official else "edge")


def _wrinkle(
    model: DetailModel,
    head: FaceHead,
    codes: Codes,
    vertices: Array,
    normals: Array,
    albedo: Array,
    surface: Surface,
    official: bool,
) -> Detail:
    """The detail stage; light, albedo and coarse surface are given (DECA section 4.3 trains it after them)."""
    displacement = predict_displacement(model, codes)
    dense = displaced_normals(model, displacement, vertices, normals, head.faces, official=official)
    shading = render.spherical_harmonics(dense, lax.stop_gradient(codes.light))
    rows, columns = shading.shape[-3:-1]
    if albedo.shape[-3:-1] != (rows, columns):
        albedo = jax.image.resize(albedo, (*albedo.shape[:-3], rows, columns, 3), "linear")
    texture = lax.stop_gradient(albedo) * shading
    still = lax.stop_gradient(surface)
    return Detail(
        displacement=displacement + model.fixed_displacement,
        normals=dense,
        shading=shading,
        texture=texture,
        rendering=sample(texture, still, official=official) * surface.alpha[..., None],
        normal_image=sample(dense, still, official=official) * surface.alpha[..., None],
    )


def _albedo(head: FaceHead, codes: Codes) -> Float[Array, "*batch rows columns 3"]:
    if head.albedo is not None:
        return flame.albedo_map(head.albedo, codes.albedo)
    return jnp.full((*codes.albedo.shape[:-1], 2, 2, 3), MISSING_ALBEDO_GREY)

"""Photo to codes to pictures (figure 2 of the EMOCA paper), and the one decode that inference, fitting, training and
video share."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Int

from emoca_jax import flame, render
from emoca_jax.arrays import AnyArray, checks_arguments, to_rank
from emoca_jax.codes import Codes, same_batch
from emoca_jax.detail import Detail, DetailModel, displaced_normals, predict_displacement
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.nets.encoders import ExpressionCodes, FlameCodes, run_encoder, split_expression, split_flame
from emoca_jax.products import PRECISION, Precision
from emoca_jax.render.draw import EdgeStyle

MISSING_ALBEDO_GREY = 0.5
"""Albedo of a head without an albedo model (DECA renders such heads in this grey)."""
OFFICIAL_DEPTH = 10.0
"""The reference moves the mesh this far away before it rasterises, where faces at a depth below zero are dropped."""
HALF_TURN = (1.0, -1.0, -1.0)
"""World directions times this are directions in the image plane: y down, depth away."""


class EncoderVariables(struct.PyTreeNode):
    """The three encoders of EMOCA; plain DECA has no `expression`, the coarse stage alone no `detail`."""

    flame: dict
    expression: dict | None = None
    detail: dict | None = None


class Surface(struct.PyTreeNode):
    """What the pixels see of a drawn head, layer by layer; nothing is cut out along its outline."""

    fragments: render.Fragments
    """With soft edges those of the nearest face within the blur: more pixels than the head's outline holds."""
    uv_plane: Float[AnyArray, "*batch height width 2"]
    """Texture coordinates as the image plane of the texture, [-1, 1]^2, y down: zero, its middle, on the background."""
    normals: Float[AnyArray, "*batch height width 3"]
    """World space; zero on the background."""
    albedo: Float[AnyArray, "*batch height width 3"]
    """On the background the texture's middle."""
    shading: Float[AnyArray, "*batch height width 3"]
    """On the background the light's first band."""

    @property
    def coverage(self) -> Float[AnyArray, "*batch height width"]:
        """1 where `fragments` has a face, else 0; no gradient."""
        return (self.fragments.face_index >= 0).astype(self.uv_plane.dtype)


class Reconstruction(struct.PyTreeNode):
    """A decoded face. World: metres, y up, z to the viewer. Image plane: [-1, 1]^2, x right, y down, depth away."""

    posed: flame.FlameOutput
    normals: Float[AnyArray, "*batch vertices 3"]
    """World space, unit length."""
    image_vertices: Float[AnyArray, "*batch vertices 3"]
    image_normals: Float[AnyArray, "*batch vertices 3"]
    """Of the projected mesh, unit length: z is negative where it faces the viewer."""
    landmarks: Float[AnyArray, "*batch 68 3"]
    """68 points in the image plane, the jaw line following the visible outline."""
    landmarks_mediapipe: Float[AnyArray, "*batch points 3"]
    """MediaPipe's points in the image plane; which of the 478 they are is `head.mediapipe_index`."""
    albedo: Float[AnyArray, "*#batch rows columns 3"]
    """In uv space, row 0 at v = 1; without batch dimensions where one texture serves all."""
    surface: Surface
    alpha: Float[AnyArray, "*batch height width"]
    """1 where the head covers the pixel, else 0, and no gradient; with smooth edges the share covered."""
    rendering: Float[AnyArray, "*batch height width 3"]
    """albedo * shading, black where nothing is covered."""
    detail: Detail | None = None
    """The displaced surface, where the codes and the model have a detail stage."""

    @property
    def vertices(self) -> Float[AnyArray, "*batch vertices 3"]:
        """Of the posed head; differentiable to the codes that pose it."""
        return self.posed.vertices

    @property
    def joints(self) -> Float[AnyArray, "*batch joints 3"]:
        """Of the posed head; differentiable to the codes that pose it."""
        return self.posed.joints

    @property
    def face_index(self) -> Int[AnyArray, "*batch height width"]:
        """Which face each pixel sees, -1 on the background; no gradient."""
        return self.surface.fragments.face_index

    @property
    def uv_image(self) -> Float[AnyArray, "*batch height width 2"]:
        """uv of each pixel (origin bottom left), 0 on the background. Differentiable through the barycentrics."""
        plane = self.surface.uv_plane
        scale = to_rank(np.array([0.5, -0.5], np.float32), plane.ndim)
        return (plane * scale + 0.5) * self.surface.coverage[..., None]

    @property
    def normal_image(self) -> Float[AnyArray, "*batch height width 3"]:
        """World space, zero on the background. Differentiable through the normals and barycentrics."""
        return self.surface.normals

    @property
    def albedo_image(self) -> Float[AnyArray, "*batch height width 3"]:
        """Black on the background. Differentiable to the albedo and through the barycentrics."""
        return self.surface.albedo * self.surface.coverage[..., None]

    @property
    def shading(self) -> Float[AnyArray, "*batch height width 3"]:
        """Black on the background. Differentiable to the light and through the normals and barycentrics."""
        return self.surface.shading * self.surface.coverage[..., None]


@checks_arguments
def encode(
    encoders: EncoderVariables,
    images: Float[Array, "*batch 224 224 3"],
    *,
    dtype: Any = jnp.float32,
    precision: Precision = PRECISION,
) -> Codes:
    """Codes of cropped faces: images RGB in [0, 1], without further normalisation. dtype, precision: as in `Encoder`.

    Differentiable to images and encoders. Fastest without a jit around it: the encoders then share one compiled trunk.
    Training runs the `Encoder`s itself, in training mode, and assembles their answers by `codes_from` as well.
    Source: DECA section 4.1, EMOCA section 3.
    """

    def run(variables: dict) -> Array:
        flat = run_encoder(variables, images.reshape(-1, *images.shape[-3:]), dtype=dtype, precision=precision)
        return flat.reshape(*images.shape[:-3], -1)

    return codes_from(
        split_flame(run(encoders.flame)),
        expression=None if encoders.expression is None else split_expression(run(encoders.expression)),
        detail=None if encoders.detail is None else run(encoders.detail),
    )


def codes_from(
    coarse: FlameCodes,
    *,
    expression: ExpressionCodes | None = None,
    detail: Float[Array, "*batch details"] | None = None,
) -> Codes:
    """The codes of a face from what its encoders say.

    The expression (and in some models the jaw) is that of the expression encoder where there is one; everything else
    is E_flame's. The neck and the eyes stay at rest. Pure and differentiable. Source: EMOCA section 3, figure 2.
    """
    jaw = coarse.jaw if expression is None or expression.jaw is None else expression.jaw
    return Codes(
        shape=coarse.shape,
        expression=coarse.expression if expression is None else expression.expression,
        pose=coarse.pose,
        jaw=jaw,
        eyes=jnp.zeros_like(coarse.pose),
        camera=coarse.camera,
        light=coarse.light,
        albedo=coarse.albedo,
        detail=detail,
    )


def full_pose(codes: Codes) -> Float[Array, "*batch 5 3"]:
    """Axis-angle of all joints (global, neck, jaw, left eye, right eye) from the named parts of the codes, radians.

    Differentiable.
    """
    codes = same_batch(codes)
    return jnp.concatenate([codes.pose, codes.jaw[..., None, :], codes.eyes], axis=-2)


def pose(head: FaceHead, codes: Codes) -> flame.FlameOutput:
    """The head as the codes have it: vertices, joints and their rotations in the world. Differentiable."""
    return flame.forward(head, codes.shape, codes.expression, full_pose(codes))


@checks_arguments
@functools.partial(jax.jit, static_argnames=("size", "official", "edges"))
def decode(
    head: FaceHead,
    codes: Codes,
    size: tuple[int, int],
    texture: Float[Array, "*#batch rows columns 3"] | None = None,
    *,
    detail: DetailModel | None = None,
    displacement: Float[Array, "*batch rows columns"] | None = None,
    official: bool = False,
    edges: EdgeStyle = "hard",
) -> Reconstruction:
    """Pose the head, project it, rasterise it and shade it.

    codes: their batch dimensions broadcast, also against the texture's: one shape with many expressions, say.
    size: (height, width) of the image plane [-1, 1]^2. texture: uv albedo to use in place of the albedo model's, row 0
    at v = 1. detail: the stage that turns `codes.detail` into wrinkles, if any. displacement: as its decoder predicts
    it, metres, where that has been run already (in training mode). official: the reference's rules where ours differ
    (strict edges, normals of tiny triangles below unit length, textures fading to black at their border). edges: how
    silhouettes are drawn in `rendering` and `alpha`: "hard", or "antialias" or "soft" as `render.draw` does.
    Differentiable to the codes and the texture, across silhouettes only with edges other than "hard"; the detail's maps
    to the detail, expression and jaw codes through the displacement only. Errors: InputError for codes that do not fit
    the head or each other, and for official with edges other than "hard". Source: DECA section 3.1, EMOCA section 3.
    """
    codes = same_batch(codes, batch=() if texture is None else texture.shape[:-3])
    posed = pose(head, codes)
    return decode_posed(
        head, posed, codes, size, texture, detail=detail, displacement=displacement, official=official, edges=edges
    )


def decode_posed(
    head: FaceHead,
    posed: flame.FlameOutput,
    codes: Codes,
    size: tuple[int, int],
    texture: Float[Array, "*#batch rows columns 3"] | None = None,
    *,
    detail: DetailModel | None = None,
    displacement: Float[Array, "*batch rows columns"] | None = None,
    official: bool = False,
    edges: EdgeStyle = "hard",
) -> Reconstruction:
    """The second half of `decode`, for vertices that come from elsewhere or are what is differentiated; not jitted.

    codes: with the batch dimensions of `posed`. Differentiable as `decode`, to the vertices in place of their codes.
    """
    if official and edges != "hard":
        raise InputError(f"The reference draws hard edges only: leave out official, or edges={edges!r}.")
    if head.mesh_edges is not None and head.mesh_edges.start.shape[0] != 3 * head.faces.shape[0]:
        raise InputError(
            f"The head has {head.faces.shape[0]} faces and edges of {head.mesh_edges.start.shape[0] / 3:g}: replace "
            "mesh_edges by render.mesh_edges(faces), or None, together with the faces."
        )
    image_vertices = render.weak_perspective(posed.vertices, codes.camera)
    normals = render.vertex_normals(posed.vertices, head.faces, official=official)
    albedo = _albedo(head, codes) if texture is None else texture
    if albedo.ndim > 3:
        albedo = jnp.broadcast_to(albedo, (*posed.vertices.shape[:-2], *albedo.shape[-3:]))

    # The image plane is the world turned by half a turn about x.
    image_normals = normals * to_rank(jnp.array(HALF_TURN), normals.ndim)
    if official:
        away = image_vertices + to_rank(jnp.array([0.0, 0.0, OFFICIAL_DEPTH]), image_vertices.ndim)
        image_normals = render.vertex_normals(away, head.faces, official=True)
        fragments = render.rasterize(away, head.faces, size, official=True)
    else:
        fragments = render.fragments_for_edges(image_vertices, head.faces, size, edges=edges)
    surface = _surface(head, fragments, normals, albedo, codes.light, official)
    rendering, alpha = render.finish_edges(
        surface.albedo * surface.shading, fragments, image_vertices, head.faces, edges=edges, mesh_edges=head.mesh_edges
    )
    wrinkled = None
    if detail is not None and codes.detail is not None:
        wrinkled = _wrinkle(detail, head, codes, posed.vertices, normals, albedo, surface, displacement, official)
    return Reconstruction(
        posed=posed,
        normals=normals,
        image_vertices=image_vertices,
        image_normals=image_normals,
        landmarks=render.weak_perspective(flame.landmarks68(head, posed), codes.camera),
        landmarks_mediapipe=render.weak_perspective(flame.landmarks_mediapipe(head, posed.vertices), codes.camera),
        albedo=albedo,
        surface=surface,
        alpha=alpha,
        rendering=rendering,
        detail=wrinkled,
    )


def _surface(
    head: FaceHead, fragments: render.Fragments, normals: Array, albedo: Array, light: Array, official: bool
) -> Surface:
    # The plane's coordinates are mixed, not uv: the reference's barycentrics do not quite sum to 1.
    corners = head.uv * jnp.array([[2.0, -2.0]]) + jnp.array([[-1.0, 1.0]])
    uv_plane = render.interpolate(fragments, corners, head.uv_faces)
    normal_image = render.interpolate(fragments, normals, head.faces)
    return Surface(
        fragments=fragments,
        uv_plane=uv_plane,
        normals=normal_image,
        albedo=sample(albedo, uv_plane, official=official),
        shading=render.spherical_harmonics(normal_image, light),
    )


@checks_arguments
def sample(
    texture: Float[Array, "*#batch rows columns channels"],
    uv_plane: Float[Array, "*batch height width 2"],
    *,
    official: bool = False,
) -> Float[Array, "*batch height width channels"]:
    """A uv map in the image plane, at a surface's `uv_plane`: the texture's middle on the background.

    official: fading to black at the texture's border, as the reference has it. Differentiable in both.
    """
    return render.sample_image(texture, uv_plane, outside="zero" if official else "edge")


def _wrinkle(
    model: DetailModel,
    head: FaceHead,
    codes: Codes,
    vertices: Array,
    normals: Array,
    albedo: Array,
    surface: Surface,
    displacement: Array | None,
    official: bool,
) -> Detail:
    """The detail stage; light, albedo and coarse surface are given (DECA section 4.3 trains it after them)."""
    displacement = predict_displacement(model, codes) if displacement is None else displacement
    dense = displaced_normals(model, displacement, vertices, normals, head.faces, official=official)
    shading = render.spherical_harmonics(dense, lax.stop_gradient(codes.light))
    rows, columns = shading.shape[-3:-1]
    if albedo.shape[-3:-1] != (rows, columns):
        albedo = jax.image.resize(albedo, (*albedo.shape[:-3], rows, columns, 3), "linear")
    texture = to_rank(lax.stop_gradient(albedo), shading.ndim) * shading
    still, coverage = lax.stop_gradient(surface.uv_plane), surface.coverage[..., None]
    return Detail(
        predicted=displacement,
        displacement=displacement + to_rank(model.fixed_displacement, displacement.ndim),
        normals=dense,
        shading=shading,
        texture=texture,
        rendering=sample(texture, still, official=official) * coverage,
        normal_image=sample(dense, still, official=official) * coverage,
    )


def _albedo(head: FaceHead, codes: Codes) -> Float[Array, "*batch rows columns 3"]:
    if head.albedo is not None:
        return flame.albedo_map(head.albedo, codes.albedo)
    return jnp.full((*codes.albedo.shape[:-1], 2, 2, 3), MISSING_ALBEDO_GREY)

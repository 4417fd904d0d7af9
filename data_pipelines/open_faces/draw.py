"""One face from its recipe: the head, what it wears, what is behind and before it, and the truth about all of them.

Pure functions of arrays. On a CPU they are called face by face, so that a face does not depend on what it is drawn
with; elsewhere for a fixed number of faces at once.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, UInt8

from data_pipelines.open_faces import scenery, sensor
from data_pipelines.open_faces.hair import RIM, SHELL, Wear, wear, wear_of
from data_pipelines.open_faces.recipe import Recipe
from data_pipelines.open_faces.skin import SkinMaps, skin_maps, texture
from emoca_jax import flame, render
from emoca_jax.arrays import AnyArray
from emoca_jax.flame.head import FaceHead
from emoca_jax.mediapipe_points import ALL_POINTS, MESH_POINTS
from emoca_jax.model import pose

MASK_NAMES = (
    "background", "skin", "eyes", "teeth", "tongue", "mouth interior", "hair", "glasses", "occluder", "clothes",
)  # fmt: skip
HAIR, GLASSES, OCCLUDER, CLOTHES = (MASK_NAMES.index(name) for name in ("hair", "glasses", "occluder", "clothes"))
SEEN_FROM = 0.5
"""Least cover with which a layer owns a pixel of the mask."""
SHINE = (0.25, 3.0, 1.2, 0.8, 0.3)
"""Gloss of skin, eyes, teeth, tongue, mouth, over the recipe's."""
SHARPNESS = (14.0, 60.0, 30.0, 25.0, 20.0)
"""Exponent of the highlight (Blinn) of the same."""
INSIDE = (1.0, 0.95, 0.75, 0.75, 0.7)
"""Share of hard light that reaches the same."""
SKY = (0.25, 0.55, 0.8)
"""Where light comes from that glints in eyes without any lamp."""
VISIBLE_WITHIN, IRIS_WITHIN = 0.003, 0.001
"""A landmark this far (metres) behind the drawn surface still counts as seen: points lie in folds; lids are thin."""


class Studio(struct.PyTreeNode):
    """All that is the same for every face; made once per head by `studio`."""

    head: FaceHead
    maps: SkinMaps
    wear: Wear
    tile: Float[Array, "tile tile 3"]
    noise: Float[Array, "grain grain 3"]
    iris: Int[Array, "2 5"]
    """Vertices of each eyeball nearest to the iris points of MediaPipe, right eye first."""


class Drawn(struct.PyTreeNode):
    """One drawn face with its truth. Image plane: [-1, 1]^2, x right, y down."""

    image: UInt8[AnyArray, "*batch size size 3"]
    mask: UInt8[AnyArray, "*batch size size"]
    """Place in `MASK_NAMES` of what each pixel shows."""
    depth: Float[AnyArray, "*batch size size"]
    """Of the head, what covers it left out: metres from the head's origin towards the viewer; NaN beside it."""
    landmarks: Float[AnyArray, "*batch 478 3"]
    """MediaPipe's points: x, y in the image plane, z metres towards the viewer."""
    landmarks68: Float[AnyArray, "*batch 68 3"]
    """iBUG's points, the jaw line along the visible outline."""
    visible: Bool[AnyArray, "*batch 478"]
    """Which of the 478 nothing hides and the picture shows."""


def studio(head: FaceHead | None = None) -> Studio:
    """Takes a second or two. head: one with an albedo model and named units, as the open head, which is the default."""
    head = flame.load_head() if head is None else head
    return Studio(
        head=head, maps=skin_maps(head), wear=wear_of(head), tile=jnp.asarray(scenery.noise_tile()),
        noise=jnp.asarray(sensor.noise_of_sensor()), iris=jnp.asarray(iris_vertices(head)),
    )  # fmt: skip


def project(
    points: Float[Array, "*points 3"], camera: Float[Array, "3"], distance: Float[Array, ""]
) -> Float[Array, "*points 3"]:
    """World points to the image plane and their distance along the view, metres, less than that of the origin.

    The weak perspective of `Codes.camera`, but near points are larger, as a lens `distance` metres away sees them.
    """
    nearer = distance / (distance - points[..., 2])
    x, y = (points[..., k] + camera[1 + k] for k in (0, 1))
    return jnp.stack([camera[0] * nearer * x, -camera[0] * nearer * y, -points[..., 2]], axis=-1)


def draw(studio: Studio, recipe: Recipe, *, size: int) -> Drawn:
    """One face, `size` pixels a side.

    Stage by stage, each compiled by itself: as one program XLA for CPUs takes twice as long. `jax.jit(jax.vmap(...))`
    makes one program of it for a batch on a GPU.
    """
    posed, plane, fragments = _seen(studio.head, recipe, size=size)
    skin, alpha = _head(studio, recipe, posed, plane, fragments)
    image, mask = _behind(studio, recipe, skin, alpha, fragments, size=size)
    image, mask = _before(studio, recipe, posed, fragments, image, mask, size=size)
    return _finished(studio, recipe, posed, fragments, image, mask)


@functools.partial(jax.jit, static_argnames="size")
def _seen(head: FaceHead, recipe: Recipe, *, size: int) -> tuple[flame.FlameOutput, Array, render.Fragments]:
    """The head posed, projected and rasterised."""
    posed = pose(head, recipe.codes)
    plane = project(posed.vertices, recipe.codes.camera, recipe.distance)
    return posed, plane, render.rasterize(plane, head.faces, (size, size))


@jax.jit
def _head(studio: Studio, recipe: Recipe, posed: Any, plane: Array, fragments: Any) -> tuple[Array, Array]:
    """Colour and cover of the head alone."""
    head, codes = studio.head, recipe.codes
    uv = render.interpolate(fragments, head.uv, head.uv_faces)
    normals = render.normalize(
        render.interpolate(fragments, render.vertex_normals(posed.vertices, head.faces), head.faces)
    )
    painted = texture(head, studio.maps, recipe.skin, codes.albedo, codes.expression)
    # Compilers would paint the whole texture again for every pixel that reads it.
    albedo = render.sample_texture(jax.lax.optimization_barrier(painted), uv)
    kinds = jax.nn.one_hot(_part(head, fragments), len(SHINE))
    inside, gloss, sharp = (jnp.einsum("hwk,k->hw", kinds, jnp.array(table)) for table in (INSIDE, SHINE, SHARPNESS))
    soft = jnp.maximum(render.spherical_harmonics(normals, codes.light), 0)
    hard, shine = jnp.zeros_like(soft), jnp.zeros_like(soft)
    for lamp in range(recipe.lamps.shape[0]):
        towards, colour = recipe.lamps[lamp, 0], recipe.lamps[lamp, 1]
        cosine = jnp.maximum(jnp.einsum("hwk,k->hw", normals, towards), 0)
        hard = hard + (inside * cosine)[..., None] * colour[None, None]
        half = towards + jnp.array([0.0, 0.0, 1.0])
        highlight = jnp.maximum(jnp.einsum("hwk,k->hw", normals, half / jnp.linalg.norm(half)), 0) ** sharp
        shine = shine + jnp.where(cosine > 0, gloss * highlight, 0.0)[..., None] * colour[None, None]
    # A window or the sky glints even where no lamp is.
    up = jnp.array(SKY)
    glint = jnp.maximum(jnp.einsum("hwk,k->hw", normals, up / jnp.linalg.norm(up)), 0) ** (2 * sharp)
    shine = shine + (0.5 * gloss * glint)[..., None] * soft
    colours = albedo * (soft + hard) + recipe.skin.gloss * shine
    return render.finish_edges(colours, fragments, plane, head.faces, edges="antialias", mesh_edges=head.mesh_edges)


def _part(head: FaceHead, fragments: Any) -> Array:
    """Which part of the head each pixel sees, skin on the background."""
    return jnp.where(fragments.face_index >= 0, head.face_part[jnp.maximum(fragments.face_index, 0)], 0)


@functools.partial(jax.jit, static_argnames="size")
def _behind(
    studio: Studio, recipe: Recipe, skin: Array, alpha: Array, fragments: Any, *, size: int
) -> tuple[Array, Array]:
    """The head before its background and in its clothes, and the mask."""
    image = scenery.background(studio.tile, recipe.scene, size)
    codes = recipe.codes
    collar = project(jnp.array([[0.0, scenery.SHOULDER_TOP, 0.0]]), codes.camera, recipe.distance)[0, :2]
    cloth, cloth_alpha = scenery.clothes(recipe.scene, studio.tile, collar, codes.camera[0], size)
    image = _onto(image, cloth, cloth_alpha) * (1 - alpha[..., None]) + skin
    mask = jnp.where(cloth_alpha > SEEN_FROM, CLOTHES, 0)
    return image, jnp.where(fragments.face_index >= 0, 1 + _part(studio.head, fragments), mask)


@functools.partial(jax.jit, static_argnames="size")
def _before(
    studio: Studio, recipe: Recipe, posed: Any, fragments: Any, image: Array, mask: Array, *, size: int
) -> tuple[Array, Array]:
    """What is before the head drawn over it."""
    worn, worn_alpha, worn_mask = _worn(studio, recipe, posed, fragments.depth, size)
    image = _onto(image, worn, worn_alpha)
    mask = jnp.where(worn_alpha > SEEN_FROM, worn_mask, mask)
    occluder, occluder_alpha = scenery.occluder(recipe.scene, size)
    return _onto(image, occluder, occluder_alpha), jnp.where(occluder_alpha > SEEN_FROM, OCCLUDER, mask)


@jax.jit
def _finished(studio: Studio, recipe: Recipe, posed: Any, fragments: Any, image: Array, mask: Array) -> Drawn:
    """The photo, and the truth."""
    landmarks = _landmarks(studio, posed.vertices, recipe)
    image = sensor.exposed(image, recipe.camera, studio.noise)
    return Drawn(
        image=jnp.round(image * 255).astype(jnp.uint8),
        mask=mask.astype(jnp.uint8),
        depth=jnp.where(fragments.face_index >= 0, -fragments.depth, jnp.nan),
        landmarks=landmarks,
        landmarks68=_viewed(flame.landmarks68(studio.head, posed), recipe),
        visible=_visible(landmarks, fragments.depth, mask),
    )


def _onto(image: Array, colour: Array, alpha: Array) -> Array:
    return image + alpha[..., None] * (colour - image)


def _worn(studio: Studio, recipe: Recipe, posed: Any, head_depth: Array, size: int) -> tuple[Array, Array, Array]:
    """Colours, cover and mask of hair and glasses where they are before the head."""
    style, glasses, codes = recipe.hair, recipe.glasses, recipe.codes
    mesh = studio.wear
    worn = wear(studio.head, mesh, style, glasses, codes.shape, posed)
    plane = project(worn.vertices, codes.camera, recipe.distance)
    # What is not worn is out of the picture.
    away = jnp.where(worn.shown[:, None] > 0, mesh.faces, 0)
    seen = render.rasterize(plane, away, (size, size))
    index = jnp.maximum(seen.face_index, 0)
    kind = mesh.kind[index]
    place = render.interpolate(seen, mesh.place, away)
    normals = render.interpolate(seen, render.vertex_normals(worn.vertices, away), away)
    normals = render.normalize(normals)
    normals = jnp.where(normals[..., 2:] < 0, -normals, normals)
    light = jnp.maximum(render.spherical_harmonics(normals, codes.light), 0)
    for lamp in range(recipe.lamps.shape[0]):
        cosine = jnp.maximum(jnp.einsum("hwk,k->hw", normals, recipe.lamps[lamp, 0]), 0)
        light = light + cosine[..., None] * recipe.lamps[lamp, 1][None, None]
    turn, way = place[..., 0], place[..., 1]
    sway = style.curl * 0.02 * jnp.sin(way * 40 + 20 * style.offset[0])
    fine = scenery.sample_tile(studio.tile[..., 0], turn * 5 + sway * 4 + style.offset[0], way * (0.15 + style.curl))
    coarse = scenery.sample_tile(studio.tile[..., 1], turn * 1.5 + sway + style.offset[1], way * (0.2 + style.curl))
    strand = 0.65 * fine + 0.35 * coarse
    # Hair shines along its strands, where they turn from the light above.
    band = jnp.exp(-(((way - 0.32) / 0.12) ** 2)) * style.strands
    hair = style.colour[None, None] * (0.55 + 0.8 * strand)[..., None]
    hair = hair + ((0.25 + 0.8 * band) * strand**2)[..., None] * (style.second - style.colour)[None, None]
    hair = jnp.where(style.strands > 0, hair, style.colour[None, None] * (0.8 + 0.3 * coarse)[..., None]) * light
    frayed = jnp.clip((1 - way) / style.frayed, 0, 1)
    hair_alpha = jnp.where(
        style.strands > 0, jax.nn.sigmoid(14 * (frayed - 0.75 * fine - 0.12)), jax.nn.sigmoid(40 * (frayed - 0.3))
    )
    rim = glasses.colour[None, None] * light + 0.25 * jnp.maximum(normals[..., 1:2], 0) ** 8
    far = jnp.sqrt(jnp.sum(place**2, -1))
    reflection = jnp.where(far < 1, 0.35 * jax.nn.sigmoid(8 * (place[..., 0] + place[..., 1] - 1.0)), 0.0)
    lens = glasses.tint[:3][None, None] * light + reflection[..., None]
    colour = jnp.where((kind == SHELL)[..., None], hair, jnp.where((kind == RIM)[..., None], rim, lens))
    alpha = jnp.where(kind == SHELL, hair_alpha, jnp.where(kind == RIM, 1.0, glasses.tint[3] + 0.5 * reflection))
    # Lashes and brows push through thin frames: what sits on the nose wins by a little.
    slack = jnp.where(kind == SHELL, 0.0015, 0.004)
    front = (seen.face_index >= 0) & (seen.depth < head_depth + slack)
    mask = jnp.where(kind == SHELL, HAIR, GLASSES)
    return colour, jnp.where(front, alpha, 0.0), mask


def _viewed(points: Array, recipe: Recipe) -> Array:
    """x, y in the image plane, z metres towards the viewer."""
    return project(points, recipe.codes.camera, recipe.distance) * jnp.array([1.0, 1.0, -1.0])[None]


def _landmarks(studio: Studio, vertices: Array, recipe: Recipe) -> Array:
    head = studio.head
    mesh = _viewed(flame.landmarks_mediapipe(head, vertices), recipe)
    irises = _viewed(vertices[studio.iris.reshape(-1)], recipe)
    points = jnp.zeros((ALL_POINTS, 3)).at[head.mediapipe_index].set(mesh)
    return points.at[MESH_POINTS:].set(irises)


def _visible(landmarks: Array, depth: Array, mask: Array) -> Array:
    size = depth.shape[0]
    column, row = (jnp.floor((landmarks[:, k] + 1) * size / 2).astype(jnp.int32) for k in (0, 1))
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    column, row = jnp.clip(column, 0, size - 1), jnp.clip(row, 0, size - 1)
    drawn, shown = depth[row, column], mask[row, column]
    # Beside the outline there is nothing in front either; glasses hide little.
    hidden = (shown == HAIR) | (shown == OCCLUDER)
    within = jnp.where(jnp.arange(ALL_POINTS) < MESH_POINTS, VISIBLE_WITHIN, IRIS_WITHIN)
    return inside & ~hidden & (-landmarks[:, 2] < drawn + within)


def iris_vertices(head: FaceHead) -> Int[np.ndarray, "2 5"]:
    """[2, 5]: right, then left; the iris' middle, then right, top, left, bottom of its rim as the viewer sees them."""
    template, faces = np.asarray(head.template, np.float64), np.asarray(head.faces)
    eyes = np.unique(faces[np.asarray(head.face_part) == head.part_names.index("eyes")])
    found = []
    for sign in (-1, 1):
        ball = eyes[np.sign(template[eyes, 0]) == sign]
        points = template[ball]
        middle = (points.max(0) + points.min(0)) / 2
        tilt = np.radians(IRIS_POLAR)
        ways = [(0, 0)] + [(tilt * np.cos(a), tilt * np.sin(a)) for a in np.radians([0, 90, 180, 270])]
        towards = np.array([[np.sin(x), np.sin(y), np.cos(np.hypot(x, y))] for x, y in ways])
        arms = points - middle
        arms /= np.linalg.norm(arms, axis=1, keepdims=True)
        found.append(ball[np.argmax(towards @ arms.T, axis=1)])
    return np.stack(found).astype(np.int32)


IRIS_POLAR = 29.5
"""Degrees from the eye's axis to the iris' rim, as the head's albedo is painted."""

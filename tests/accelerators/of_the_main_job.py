"""Programs of the main job: faces are found, fitted, measured and written."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from emoca_jax import faces as face_results
from emoca_jax.capture import detect, person
from emoca_jax.export import tables
from emoca_jax.export.pictures import comparison
from emoca_jax.export.rig import shapes
from emoca_jax.fit import landmark_model, one_pass, one_person
from emoca_jax.fit import landmarks as landmark_fit
from emoca_jax.fit.photo import fit_photo
from emoca_jax.jobs import assemble, look
from emoca_jax.jobs import open_model as open_model_job
from emoca_jax.nets.emotion import open as open_networks
from emoca_jax.nets.mediapipe import batches, mesh_look
from emoca_jax.nets.mediapipe.face_detection import FULL_RANGE_SIZE, SHORT_RANGE_SIZE
from emoca_jax.nets.mediapipe.face_mesh import MESH_SIZE
from emoca_jax.nets.mediapipe.selfie_segmentation import SEGMENTATION_SIZE
from emoca_jax.objectives.photo import FitWeights, SeenFace
from emoca_jax.texture import layout, unwrap
from emoca_jax.texture.surface import COARSE
from tests.accelerators.inputs import (
    POINTS,
    SIDE,
    array,
    batch_of,
    open_codes,
    open_model,
    shapes_of,
)
from tests.accelerators.table import SLOW_ON_TPU, Call, mesh_shapes, program, texture_shape

PICTURE = 384
"""Pixels a side of a tile of the comparison picture."""

# The main job: find faces.


@program(detect._look_short_range)
def detect_short_range(chips: int) -> Call:
    pixels = array(batches.view_batch() * chips, SHORT_RANGE_SIZE, SHORT_RANGE_SIZE, 3, dtype=jnp.uint8)
    return Call((shapes_of(open_model().detector["short_range"]), pixels), (1,))


@program(detect._look_full_range, slow=SLOW_ON_TPU)
def detect_full_range(chips: int) -> Call:
    pixels = array(batches.view_batch() * chips, FULL_RANGE_SIZE, FULL_RANGE_SIZE, 3, dtype=jnp.uint8)
    return Call((shapes_of(open_model().detector["full_range"]), pixels), (1,))


@program(detect._merge_across_views)
def merge_across_views(chips: int) -> Call:
    return Call((array(detect.PER_PHOTO), array(detect.PER_PHOTO, 8, 2)))


@program(mesh_look.look_at_faces)
def face_mesh(chips: int) -> Call:
    crops = array(batches.view_batch() * chips, MESH_SIZE, MESH_SIZE, 3, dtype=jnp.uint8)
    return Call((shapes_of(open_model().detector["mesh"]), crops), (1,))


@program(person._person)
def person_in_crop(chips: int) -> Call:
    return Call((shapes_of(open_model().person), array(SEGMENTATION_SIZE, SEGMENTATION_SIZE, 3, dtype=jnp.uint8)))


# The main job: fit a head.


@program(landmark_model._point_normals)
def point_normals(chips: int) -> Call:
    head = open_model().head
    return Call(shapes_of((head.template, head.faces, head.landmarks_mediapipe)))


@program(layout._on_template, slow=SLOW_ON_TPU)
def texture_of_template(chips: int) -> Call:
    return Call((shapes_of(open_model().head),), options={"size": layout.TEXTURE_SIZE})


@program(look._expression_crop)
def expression_crop(chips: int) -> Call:
    return Call((array(POINTS, 3),))


@program(look.read, slow=SLOW_ON_TPU)
def read_expression(chips: int) -> Call:
    seen = _seen()
    return Call((shapes_of(open_model().expression), seen.image, seen.crop))


@program(one_pass.encode_landmarks)
def encode_landmarks(chips: int) -> Call:
    fixed = shapes_of((open_model().landmarks, open_model().encoder))
    units = array(chips, len(open_model().head.expression_names))
    return Call((*fixed, array(chips, POINTS, 3), units), (2, 3))


@program(open_model_job._posed)
def posed_vertices(chips: int) -> Call:
    return Call((shapes_of(open_model().head), open_codes()))


def _landmarks_to_fit(chips: int) -> tuple:
    units = array(chips, len(open_model().head.expression_names))
    return shapes_of(open_model().landmarks), array(chips, POINTS, 3), array(chips, 7), units


@program(landmark_fit.fit_landmarks)
def fit_landmarks(chips: int) -> Call:
    return Call((*_landmarks_to_fit(chips), None), (1, 2, 3))


@program(landmark_fit.fit_landmarks)
def landmarks_once_encoded(chips: int) -> Call:
    begun = batch_of(open_codes().replace(albedo=array(0)), chips)
    steps = {"steps": open_model_job.STEPS_ONCE_ENCODED}
    return Call((*_landmarks_to_fit(chips), begun), (1, 2, 3, 4), steps)


@program(one_person.fit_person)
def landmarks_of_one_person(chips: int) -> Call:
    # Of three photos, on every chip.
    return Call(_landmarks_to_fit(3))


@program(fit_photo)
def photo_fit(chips: int) -> Call:
    return Call(_photo_to_fit())


@program(fit_photo)
def photo_fit_of_known_identity(chips: int) -> Call:
    return Call(_photo_to_fit(), options={"identity_held": True})


def _photo_to_fit() -> tuple:
    face_model = open_model()
    fixed = shapes_of((face_model.head, face_model.landmarks, face_model.expression))
    # Light and albedo begin here.
    start = open_codes().replace(albedo=array(0))
    return *fixed, _seen(), start, shapes_of(FitWeights()), start.expression


@program(assemble.measure, slow=SLOW_ON_TPU)
def measure(chips: int) -> Call:
    face_model, side = open_model(), layout.TEXTURE_SIZE
    fixed = shapes_of((face_model.head, face_model.landmarks, face_model.layout))
    mask = array(person.PERSON_PIXELS, person.PERSON_PIXELS)
    return Call((*fixed, open_codes(), array(POINTS, 3), array(side, side, 3), array(2, 2), mask))


@program(unwrap._composed)
def composed_texture(chips: int) -> Call:
    side = layout.TEXTURE_SIZE
    coarse, colours, grey = array(COARSE, COARSE), array(side, side, 3), array(side, side)
    seen = unwrap.Observed(colours, colours, grey, colours, array(side, side, 2), colours, grey, array())
    return Call((shapes_of(open_model().layout), seen, coarse, colours, colours, grey, grey))


# The main job: results and files.


@program(face_results._decode, slow=SLOW_ON_TPU)
def decode_result(chips: int) -> Call:
    return Call((shapes_of(open_model().head), open_codes(), texture_shape(), None, False))


@program(comparison._draw, slow=SLOW_ON_TPU)
def comparison_picture(chips: int) -> Call:
    return Call((shapes_of(open_model().head), open_codes(), texture_shape()), options={"size": PICTURE})


@program(shapes._normals)
def vertex_normals(chips: int) -> Call:
    return Call(mesh_shapes())


@program(tables._rotation_matrix)
def head_rotation(chips: int) -> Call:
    return Call((array(2, 3),))


@functools.cache
def _seen() -> SeenFace:
    image, landmarks = array(SIDE, SIDE, 3), array(POINTS, 3)
    crop = jax.eval_shape(look._expression_crop, landmarks)
    mask = array(person.PERSON_PIXELS, person.PERSON_PIXELS)
    # Not look.read itself: JAX takes it for a program inside another.
    read = jax.eval_shape(open_networks.read_expression, shapes_of(open_model().expression), image, crop)
    return SeenFace(to_pixels=array(3, 3), image=image, landmarks=landmarks, crop=crop, read=read, person=mask)

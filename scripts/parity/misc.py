"""Rotations, camera, lights, normals, uv maps, index tables and crops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import jax.numpy as jnp
import numpy as np

from emoca_jax import flame, render
from emoca_jax.capture.official_crop import official_square, official_transform, official_warp
from emoca_jax.detail import to_uv
from emoca_jax.flame import rotations
from emoca_jax.nets.encoders import IMAGE_SIZE
from emoca_jax.render import lighting
from emoca_jax.render.backends.grid import grid_faces
from parity.assets import Assets
from parity.golden import EXACT, Comparison, Golden, Tolerance
from parity.layout import to_first, to_last

SINGLE = Tolerance(absolute=1e-6)
ANGLE = Tolerance(absolute=2e-6)
LIGHT = Tolerance(absolute=1e-5)
NORMAL = Tolerance(absolute=5e-5)
PLACE = Tolerance(absolute=1e-9)
IMAGE = Tolerance(absolute=1e-5)
UV_SIZE, CROP_PIXELS = 256, IMAGE_SIZE
CROPS = ("a", "b")
CROPPED = 0
"""Which of the made-up images."""
HEAD_ROWS = 6
"""Of each index table."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from _rotations(golden)
    yield from _lights(golden)
    yield from _geometry(assets, golden)
    yield from _tables(assets, golden)
    yield from _crops(assets, golden)
    yield from _lamps(golden)


def _rotations(golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("axis_angle", "euler", "angle2matrix_deg_in")
    axis_angle, euler = jnp.asarray(golden["axis_angle"]), jnp.asarray(golden["euler"])
    matrix = flame.rotation_matrix(axis_angle)
    yield from golden.check("lbs_batch_rodrigues", matrix, SINGLE)
    yield from golden.check("deca_batch_axis2matrix", matrix, SINGLE)
    yield from golden.check("rot_mat_to_euler_y", jnp.radians(flame.yaw_degrees(matrix)), SINGLE)
    yield from golden.check("euler2aa_batch", rotations.axis_angle_from_euler(euler), ANGLE)
    yield from golden.check("deca_batch_euler2axis", rotations.axis_angle_from_euler(euler), ANGLE)
    yield from golden.check("euler2quat", rotations.quaternion_from_euler(euler), SINGLE)
    yield from golden.check("deca_euler_to_quaternion", rotations.quaternion_from_euler(euler), SINGLE)
    yield from golden.check("deca_batch_euler2matrix", rotations.matrix_from_euler(euler), SINGLE)
    # The file holds the conversion of the last rotations only: the first ones are zero or half turns.
    some = golden["deca_batch_matrix2axis"].shape[0]
    yield from golden.check("deca_batch_matrix2axis", rotations.axis_angle_from_matrix(matrix[-some:]), ANGLE)
    degrees = jnp.asarray(golden["angle2matrix_deg_in"])
    # Rz Ry Rx is the transpose of Rx Ry Rz of the opposite angles.
    turned = jnp.swapaxes(rotations.matrix_from_euler(-jnp.radians(degrees)), -1, -2)
    scrambled = jnp.reshape(turned.reshape(-1, 9).T, (-1, 3, 3))
    note = "their function mixes up the batch: 9 entries by B are read as B by 3 by 3"
    yield from golden.check("angle2matrix", scrambled, SINGLE, note)


def _lights(golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("orth_X", "orth_cam", "sh_normals", "sh_coeff")
    projected = render.weak_perspective(jnp.asarray(golden["orth_X"]), jnp.asarray(golden["orth_cam"]))
    note = "ours already has y and z negated, as their render() does afterwards"
    yield from golden.check(
        "batch_orth_proj", projected * jnp.array([[[1.0, -1.0, -1.0]]]), Tolerance(relative=1e-6), note
    )
    shading = render.spherical_harmonics(to_last(golden["sh_normals"]), jnp.asarray(golden["sh_coeff"]))
    yield from golden.check("add_SHlight", to_first(shading), LIGHT)
    yield from golden.check("sh_constant_factor", np.array(lighting.SH_BANDS), SINGLE)


def _lamps(golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("pl_normals", "pl_verts", "pl_lights")
    normals, points, lights = (jnp.asarray(golden[f"pl_{name}"]) for name in ("normals", "verts", "lights"))
    place, colour = lights[..., :3], lights[..., 3:]
    yield from golden.check("add_pointlight", render.point_lights(normals, points, place, colour, official=True), LIGHT)
    yield from golden.check(
        "add_directionlight", render.directional_lights(normals, place, colour, official=True), LIGHT
    )


def _geometry(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("vn_verts_are_flame_cases_1_11")
    faces = jnp.asarray(assets.head.faces)
    cases = assets.golden("flame")
    # Case 11 was stored once more without its turned eyes; that is the one used here.
    vertices = jnp.asarray(np.stack([cases["verts"][1], cases["verts_default_eye"][0]]))
    yield from golden.check("vertex_normals", render.vertex_normals(vertices, faces, official=True), NORMAL)
    sheet = render.rasterize_uv(
        jnp.asarray(assets.head.uv), jnp.asarray(assets.head.uv_faces), (UV_SIZE, UV_SIZE), official=True
    )
    yield from golden.check("world2uv", to_first(to_uv(sheet, vertices, faces)), Tolerance(absolute=2e-6))


def _tables(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    head = assets.head
    dense = np.asarray(grid_faces(UV_SIZE, UV_SIZE))
    yield from golden.check("dense_faces_head", dense[:HEAD_ROWS], EXACT)
    yield from golden.check("dense_faces_shape", (1, *dense.shape), EXACT)
    yield from golden.check("uvfaces_head", head.uv_faces[:HEAD_ROWS], EXACT)
    yield from golden.check("faces_head", head.faces[:HEAD_ROWS], EXACT)
    uv = np.asarray(head.uv[:HEAD_ROWS])
    yield from golden.check("raw_uvcoords_head", uv, Tolerance(absolute=1e-7))
    plane = np.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1], np.ones(len(uv))], axis=-1)
    yield from golden.check("uvcoords_head", plane, Tolerance(absolute=2e-7))


def _crops(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    image = np.moveaxis(assets.images_u8[CROPPED], 0, -1) / 255
    boxes: dict[str, Literal["landmarks", "detector"]] = {"kpt68": "landmarks", "bbox": "detector"}
    for letter in CROPS:
        for kind, box in boxes.items():
            name = f"crop_{letter}_{kind}"
            yield from golden.inputs(f"{name}_ltrb")
            square = official_square(golden[f"{name}_ltrb"], box)
            yield from golden.check(f"{name}_center", square.centre, PLACE)
            yield from golden.check(f"{name}_size", np.array([square.face_size, square.size]), PLACE)
            transform = official_transform(square.centre, square.size, CROP_PIXELS)
            yield from golden.check(f"{name}_tform", transform, PLACE)
            yield from golden.check(f"{name}_image", to_first(official_warp(image, transform, CROP_PIXELS)), IMAGE)
            if f"{name}_landmarks_in" not in golden:
                continue
            yield from golden.inputs(f"{name}_landmarks_in")
            moved = golden[f"{name}_landmarks_in"] @ transform[:2, :2].T + transform[:2, 2]
            yield from golden.check(f"{name}_landmarks_out", moved, PLACE)
            smooth = official_warp(image, transform, CROP_PIXELS, order=3)
            yield from golden.check(f"{name}_bbpoint_warp_order3", to_first(smooth), IMAGE)

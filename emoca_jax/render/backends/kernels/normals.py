"""Normals of faces added up at their corners, and the derivative of that."""

from __future__ import annotations

from emoca_jax.render.backends.kernels.call_frame import argument, extent, floats, integers, item_of, lead, result
from emoca_jax.render.backends.kernels.edges import ZERO, cross
from emoca_jax.render.backends.kernels.hard import corners_of
from emoca_jax.render.backends.kernels.pieces import give
from emoca_jax.render.backends.native.dialect import inlined, kernel

# Arguments: vertices [vertices, 3], faces [faces, 3]; of the derivative also what pulls at the sums [vertices, 3].


@kernel
def sums_items(frame, stage):
    return lead(result(frame, 0), 2)


@inlined
def across(x0, y0, z0, x1, y1, z1):
    """The cross product."""
    return cross(y0, z1, z0, y1), cross(z0, x1, x0, z1), cross(x0, y1, y0, x1)


@inlined
def sides(vertices, a, b, c):
    """From a face's first corner to the other two."""
    x, y, z = vertices[a], vertices[a + 1], vertices[a + 2]
    return vertices[b] - x, vertices[b + 1] - y, vertices[b + 2] - z, vertices[c] - x, vertices[c + 1] - y, \
        vertices[c + 2] - z  # fmt: skip


@kernel
def sums_work(frame, stage, item):
    vertices, faces, sums = argument(frame, 0), argument(frame, 1), result(frame, 0)
    add_normals(
        floats(vertices, 2, item_of(vertices, 2, sums, 2, item)), integers(faces, 2, item_of(faces, 2, sums, 2, item)),
        floats(sums, 2, item), extent(faces, -2), extent(sums, -2),
    )  # fmt: skip


@inlined
def add_normals(vertices, faces, sums, count, rows):
    for i in range(3 * rows):
        sums[i] = ZERO
    for number in range(count):
        a, b, c = corners_of(faces, number)
        x, y, z = across(*sides(vertices, a, b, c))
        give(sums, a, x, y, z)
        give(sums, b, x, y, z)
        give(sums, c, x, y, z)


@kernel
def sums_derivative_work(frame, stage, item):
    vertices, faces, pull, gradient = argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 0)
    derive_normals(
        floats(vertices, 2, item_of(vertices, 2, gradient, 2, item)),
        integers(faces, 2, item_of(faces, 2, gradient, 2, item)),
        floats(pull, 2, item_of(pull, 2, gradient, 2, item)), floats(gradient, 2, item), extent(faces, -2),
        extent(gradient, -2),
    )  # fmt: skip


@inlined
def derive_normals(vertices, faces, pull, gradient, count, rows):
    for i in range(3 * rows):
        gradient[i] = ZERO
    for number in range(count):
        a, b, c = corners_of(faces, number)
        ux, uy, uz, vx, vy, vz = sides(vertices, a, b, c)
        x = pull[a] + pull[b] + pull[c]
        y = pull[a + 1] + pull[b + 1] + pull[c + 1]
        z = pull[a + 2] + pull[b + 2] + pull[c + 2]
        to_bx, to_by, to_bz = across(vx, vy, vz, x, y, z)
        to_cx, to_cy, to_cz = across(x, y, z, ux, uy, uz)
        give(gradient, a, -to_bx - to_cx, -to_by - to_cy, -to_bz - to_cz)
        give(gradient, b, to_bx, to_by, to_bz)
        give(gradient, c, to_cx, to_cy, to_cz)


KERNELS = {
    "normal_sums": (1, sums_items, sums_work),
    "normal_sums_derivative": (1, sums_items, sums_derivative_work),
}

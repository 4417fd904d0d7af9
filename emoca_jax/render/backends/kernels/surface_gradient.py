"""The derivative of the visible surface's barycentrics and depths to the vertices.

Each band of an image adds up in an array of its own, and these are added in their order.
"""

from __future__ import annotations

import numpy as np

from emoca_jax.render.backends.kernels.call_frame import (
    argument,
    attribute,
    extent,
    floats,
    integers,
    item_of,
    lead,
    load_i64,
    result,
)  # fmt: skip
from emoca_jax.render.backends.kernels.edges import (
    OFFICIAL_EPSILON,
    ONE,
    SMALLEST,
    ZERO,
    centre,
    cross,
    doubled_area,
    inverse_depth,
    sign,
)  # fmt: skip
from emoca_jax.render.backends.kernels.hard import corners_of, facing, points_at, rules_of
from emoca_jax.render.backends.kernels.pieces import add_up, give
from emoca_jax.render.backends.native.dialect import kernel


@kernel
def derivative_items(frame, stage):
    index, parts = argument(frame, 2), result(frame, 1)
    images = lead(index, 2)
    return images * extent(parts, -3) if stage == 0 else images


@kernel
def derivative_work(frame, stage, item):
    vertices, faces, index, parts, gradient = (
        argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 1), result(frame, 0),
    )  # fmt: skip
    height, width, bands = extent(index, -2), extent(index, -1), extent(parts, -3)
    count = extent(vertices, -2)
    if stage == 1:
        add_up(floats(parts, 3, item), bands, floats(gradient, 2, item), 3 * count)
        return
    image, band = item // bands, item % bands
    _, _, official, perspective = rules_of(frame)
    weights, depths = argument(frame, 3), argument(frame, 4)
    surface_derivative(
        floats(vertices, 2, item_of(vertices, 2, gradient, 2, image)),
        integers(faces, 2, item_of(faces, 2, gradient, 2, image)),
        integers(index, 2, item_of(index, 2, gradient, 2, image)),
        floats(weights, 3, item_of(weights, 3, gradient, 2, image)),
        floats(depths, 2, item_of(depths, 2, gradient, 2, image)),
        floats(parts, 2, item), count, height, width, height * band // bands, height * (band + 1) // bands,
        official, perspective, load_i64(attribute(frame, 4)) != 0, load_i64(attribute(frame, 5)) != 0,
    )  # fmt: skip


@kernel
def turned(z0, z1, orientation, perspective):
    """What an edge's function is multiplied by so that the inside is positive."""
    return -orientation if perspective and (z0 < ZERO) != (z1 < ZERO) else orientation


@kernel
def surface_derivative(
    vertices, faces, index, to_weights, to_depth, gradient, count, height, width, begin, end, official, perspective,
    by_weights, by_depth,
):  # fmt: skip
    for i in range(3 * count):
        gradient[i] = ZERO
    # What neighbouring pixels of one face have in common is looked up, and what they give added, once.
    known = np.int64(-1)
    a = b = c = np.int64(0)
    ax = ay = az = bx = by = bz = cx = cy = cz = turn0 = turn1 = turn2 = spare = ZERO
    inverse0 = inverse1 = inverse2 = ONE
    to_ax = to_ay = to_az = to_bx = to_by = to_bz = to_cx = to_cy = to_cz = ZERO
    for i in range(begin, end):
        y = centre(i, height)
        for j in range(width):
            pixel = i * width + j
            number = np.int64(index[pixel])
            if number < 0:
                continue
            push = to_depth[pixel] if by_depth else ZERO
            to0 = to1 = to2 = ZERO
            if by_weights:
                to0, to1, to2 = to_weights[3 * pixel], to_weights[3 * pixel + 1], to_weights[3 * pixel + 2]
            if push == ZERO and to0 == ZERO and to1 == ZERO and to2 == ZERO:
                continue
            if number != known:
                if known >= 0:
                    give(gradient, a, to_ax, to_ay, to_az)
                    give(gradient, b, to_bx, to_by, to_bz)
                    give(gradient, c, to_cx, to_cy, to_cz)
                to_ax = to_ay = to_az = to_bx = to_by = to_bz = to_cx = to_cy = to_cz = ZERO
                known = number
                a, b, c = corners_of(faces, number)
                ax, ay, az, bx, by, bz, cx, cy, cz = points_at(vertices, a, b, c)
                orientation = facing(doubled_area(ax, ay, bx, by, cx, cy), az, bz, cz, perspective)
                if perspective:
                    inverse0, inverse1, inverse2 = inverse_depth(az), inverse_depth(bz), inverse_depth(cz)
                turn0, turn1, turn2 = (
                    turned(bz, cz, orientation, perspective), turned(cz, az, orientation, perspective),
                    turned(az, bz, orientation, perspective),
                )  # fmt: skip
                spare = OFFICIAL_EPSILON * orientation if official else ZERO
            x = centre(j, width)
            edge0 = turn0 * cross(cx - bx, y - by, cy - by, x - bx)
            edge1 = turn1 * cross(ax - cx, y - cy, ay - cy, x - cx)
            edge2 = turn2 * cross(bx - ax, y - ay, by - ay, x - ax)
            share = ONE / (edge0 * inverse0 + edge1 * inverse1 + edge2 * inverse2 - spare)
            weight0, weight1, weight2 = edge0 * inverse0 * share, edge1 * inverse1 * share, edge2 * inverse2 * share
            # depth = az (1, or the sum of the weights by the official rules) + weight1 (bz - az) + weight2 (cz - az)
            level = weight0 + weight1 + weight2 if official else ONE
            to_az += push * (level - weight1 - weight2)
            to_bz += push * weight1
            to_cz += push * weight2
            to1 += push * (bz - az)
            to2 += push * (cz - az)
            if official:
                to0, to1, to2 = to0 + push * az, to1 + push * az, to2 + push * az
            mean = to0 * weight0 + to1 * weight1 + to2 * weight2
            scaled0, scaled1, scaled2 = (to0 - mean) * share, (to1 - mean) * share, (to2 - mean) * share
            if perspective:
                to_az += through_inverse(az, inverse0) * edge0 * scaled0
                to_bz += through_inverse(bz, inverse1) * edge1 * scaled1
                to_cz += through_inverse(cz, inverse2) * edge2 * scaled2
            edge0, edge1, edge2 = scaled0 * inverse0 * turn0, scaled1 * inverse1 * turn1, scaled2 * inverse2 * turn2
            # Edge 0 from b to c is (cx - bx) (y - by) - (cy - by) (x - bx), and so on.
            to_ax += edge1 * (y - cy) + edge2 * (by - y)
            to_ay += edge1 * (cx - x) + edge2 * (x - bx)
            to_bx += edge2 * (y - ay) + edge0 * (cy - y)
            to_by += edge2 * (ax - x) + edge0 * (x - cx)
            to_cx += edge0 * (y - by) + edge1 * (ay - y)
            to_cy += edge0 * (bx - x) + edge1 * (x - ax)
    if known >= 0:
        give(gradient, a, to_ax, to_ay, to_az)
        give(gradient, b, to_bx, to_by, to_bz)
        give(gradient, c, to_cx, to_cy, to_cz)


@kernel
def through_inverse(z, inverse):
    """Derivative of the inverse depth."""
    return -sign(z) * inverse * inverse if abs(z) > SMALLEST else ZERO


KERNELS = {"surface_derivative": (2, derivative_items, derivative_work)}

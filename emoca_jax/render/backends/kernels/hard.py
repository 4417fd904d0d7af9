"""The visible surface: which face each pixel sees, its barycentrics and depth, and their derivative."""

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
    load_f32,
    load_i64,
    result,
)  # fmt: skip
from emoca_jax.render.backends.kernels.dialect import kernel
from emoca_jax.render.backends.kernels.edges import (
    OFFICIAL_EPSILON,
    ONE,
    SMALLEST,
    ZERO,
    centre,
    doubled_area,
    edge,
    fused,
    inverse_depth,
    pixel_range,
    sign,
)  # fmt: skip

BANDS, BAND_HEIGHT = 8, 16
"""Into at most so many bands of at least so many rows is an image cut where there are few, for several threads."""
FACE_PARTS = 4
"""Into so many items is a walk over all faces divided."""
MANY_IMAGES = 8
"""From so many on each is one item of work."""
CUT_SLACK = np.float32(1e-4)
"""By how much of itself the box of a face cut by the near plane is widened."""
INFINITE = np.float32(np.inf)


@kernel
def bands_of(images, height):
    return 1 if images >= MANY_IMAGES else max(1, min(BANDS, height // BAND_HEIGHT))


@kernel
def rules_of(frame):
    """cull (1 back, -1 front, 0 neither), near depth, official, perspective."""
    return (load_i64(attribute(frame, 0)), load_f32(attribute(frame, 1)), load_i64(attribute(frame, 2)) != 0,
            load_i64(attribute(frame, 3)) != 0)  # fmt: skip


@kernel
def surface_items(frame, stage):
    """First the rows that each face reaches, then the bands."""
    index = result(frame, 0)
    images = lead(index, 2)
    return images * bands_of(images, extent(index, -2)) if stage == 1 else images * FACE_PARTS


@kernel
def surface_work(frame, stage, item):
    index, vertices, faces, rows = result(frame, 0), argument(frame, 0), argument(frame, 1), result(frame, 4)
    height, width, count = extent(index, -2), extent(index, -1), extent(faces, -2)
    images = lead(index, 2)
    parts = bands_of(images, height) if stage == 1 else FACE_PARTS
    image, part = item // parts, item % parts
    cull, near, official, perspective = rules_of(frame)
    points = floats(vertices, 2, item_of(vertices, 2, index, 2, image))
    corners = integers(faces, 2, item_of(faces, 2, index, 2, image))
    if stage == 0:
        begin, end = count * part // parts, count * (part + 1) // parts
        find_rows(points, corners, begin, end, integers(rows, 2, image), height, near, perspective)
        return
    draw_surface(
        points, corners, count, integers(rows, 2, image),
        integers(index, 2, image), floats(result(frame, 1), 3, image), floats(result(frame, 2), 2, image),
        floats(result(frame, 3), 2, image), height, width, height * part // parts, height * (part + 1) // parts,
        cull, near, official, perspective,
    )  # fmt: skip


@kernel
def find_rows(vertices, faces, begin, end, rows, height, near, perspective):
    """First and last row of pixels that each face can reach; none for a face that is not finite."""
    for number in range(begin, end):
        a, b, c = corners_of(faces, number)
        ax, ay, az = vertices[a], vertices[a + 1], vertices[a + 2]
        bx, by, bz = vertices[b], vertices[b + 1], vertices[b + 2]
        cx, cy, cz = vertices[c], vertices[c + 1], vertices[c + 2]
        rows[2 * number], rows[2 * number + 1] = 1, 0
        if not (
            np.isfinite(ax) and np.isfinite(bx) and np.isfinite(cx) and np.isfinite(ay) and np.isfinite(by)
            and np.isfinite(cy) and np.isfinite(az) and np.isfinite(bz) and np.isfinite(cz)
        ):  # fmt: skip
            continue
        _, _, top, bottom = bounds((ax, bx, cx), (ay, by, cy), (az, bz, cz), near, perspective)
        first, last = pixel_range(top, bottom, height)
        rows[2 * number], rows[2 * number + 1] = first, last


@kernel
def corners_of(faces, number):
    """Where the three corners of a face begin in the list of all coordinates."""
    return 3 * np.int64(faces[3 * number]), 3 * np.int64(faces[3 * number + 1]), 3 * np.int64(faces[3 * number + 2])


@kernel
def bounds(x, y, z, near, perspective):
    """The box around three corners, or around what lies before the near plane of them."""
    if not perspective or min(z[0], z[1], z[2]) >= near:
        return min(x[0], x[1], x[2]), max(x[0], x[1], x[2]), min(y[0], y[1], y[2]), max(y[0], y[1], y[2])
    left, right, top, bottom, spread_x, spread_y = INFINITE, -INFINITE, INFINITE, -INFINITE, ZERO, ZERO
    for i in range(3):
        j = (i + 1) % 3
        if z[i] >= near:
            left, right = min(left, x[i]), max(right, x[i])
            top, bottom = min(top, y[i]), max(bottom, y[i])
        if (z[i] < near) != (z[j] < near):
            share = (near - z[i]) / (z[j] - z[i])
            point_x = (x[i] * z[i] + share * (x[j] * z[j] - x[i] * z[i])) / near
            point_y = (y[i] * z[i] + share * (y[j] * z[j] - y[i] * z[i])) / near
            left, right = min(left, point_x), max(right, point_x)
            top, bottom = min(top, point_y), max(bottom, point_y)
            spread_x, spread_y = max(spread_x, abs(point_x)), max(spread_y, abs(point_y))
    spread_x, spread_y = spread_x * CUT_SLACK, spread_y * CUT_SLACK
    return left - spread_x, right + spread_x, top - spread_y, bottom + spread_y


@kernel
def draw_surface(
    vertices, faces, count, rows, index, barycentric, depth, nearest, height, width, begin, end, cull, near, official,
    perspective,
):  # fmt: skip
    """Rows `begin` to `end` of an image."""
    for pixel in range(begin * width, end * width):
        index[pixel] = -1
        depth[pixel] = nearest[pixel] = INFINITE
        barycentric[3 * pixel] = barycentric[3 * pixel + 1] = barycentric[3 * pixel + 2] = ZERO
    for number in range(count):
        first_row, last_row = max(rows[2 * number], begin), min(rows[2 * number + 1], end - 1)
        if first_row > last_row:
            continue
        a, b, c = corners_of(faces, number)
        ax, ay, az = vertices[a], vertices[a + 1], vertices[a + 2]
        bx, by, bz = vertices[b], vertices[b + 1], vertices[b + 2]
        cx, cy, cz = vertices[c], vertices[c + 1], vertices[c + 2]
        left, right, _, _ = bounds((ax, bx, cx), (ay, by, cy), (az, bz, cz), near, perspective)
        first, last = pixel_range(left, right, width)
        if first > last:
            continue
        area = doubled_area(ax, ay, bx, by, cx, cy)
        if area == ZERO:
            continue
        if official and not (abs(area) > OFFICIAL_EPSILON and min(az, bz, cz) >= OFFICIAL_EPSILON):
            continue
        if perspective and not max(az, bz, cz) >= near:
            continue
        orientation = sign(area)
        if perspective:
            orientation = orientation * sign(az) * sign(bz) * sign(cz)
        if (cull == 1 and not orientation < ZERO) or (cull == -1 and not orientation > ZERO):
            continue
        x0, y0, along_x0, along_y0, least0 = edge(bx, by, bz, cx, cy, cz, orientation, perspective, official)
        x1, y1, along_x1, along_y1, least1 = edge(cx, cy, cz, ax, ay, az, orientation, perspective, official)
        x2, y2, along_x2, along_y2, least2 = edge(ax, ay, az, bx, by, bz, orientation, perspective, official)
        rise1, rise2 = bz - az, cz - az
        inverse0 = inverse1 = inverse2 = ONE
        if perspective:
            inverse0, inverse1, inverse2 = inverse_depth(az), inverse_depth(bz), inverse_depth(cz)
        for i in range(first_row, last_row + 1):
            y = centre(i, height)
            down0, down1, down2 = y - y0, y - y1, y - y2
            for j in range(first, last + 1):
                x = centre(j, width)
                right0, right1, right2 = x - x0, x - x1, x - x2
                # Not fused here, as in XLA's search, which takes these products out of its loops.
                edge0 = along_x0 * down0 - along_y0 * right0
                edge1 = along_x1 * down1 - along_y1 * right1
                edge2 = along_x2 * down2 - along_y2 * right2
                if not (edge0 >= least0 and edge1 >= least1 and edge2 >= least2):
                    continue
                if perspective:
                    edge1, edge2 = edge1 * inverse1, edge2 * inverse2
                    total = fused(edge0, inverse0, edge1) + edge2
                    edge0 = edge0 * inverse0
                else:
                    total = edge0 + edge1 + edge2
                if official:
                    total = total - OFFICIAL_EPSILON * orientation
                weight1, weight2 = edge1 / total, edge2 / total
                rise = fused(weight1, rise1, weight2 * rise2)
                here = fused(az, edge0 / total + weight1 + weight2, rise) if official else az + rise
                pixel = i * width + j
                if not here < nearest[pixel] or (perspective and not here >= near):
                    continue
                nearest[pixel], index[pixel] = here, number
                # What is told of the face is rounded as in XLA's code for that.
                edge0 = fused(along_x0, down0, -(along_y0 * right0)) * inverse0
                edge1 = fused(along_x1, down1, -(along_y1 * right1)) * inverse1
                edge2 = fused(along_x2, down2, -(along_y2 * right2)) * inverse2
                total = edge0 + edge1 + edge2
                if official:
                    total = total - OFFICIAL_EPSILON * orientation
                weight0, weight1, weight2 = edge0 / total, edge1 / total, edge2 / total
                barycentric[3 * pixel] = weight0
                barycentric[3 * pixel + 1] = weight1
                barycentric[3 * pixel + 2] = weight2
                rise = fused(weight1, rise1, weight2 * rise2)
                depth[pixel] = fused(az, weight0 + weight1 + weight2, rise) if official else az + rise


# Derivative: each band adds up in an array of its own, and these are added in their order: the same numbers however
# many threads there are.


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
        official, perspective,
    )  # fmt: skip


@kernel
def add_up(parts, bands, total, count):
    for i in range(count):
        number = ZERO
        for band in range(bands):
            number += parts[band * count + i]
        total[i] = number


@kernel
def turned(z0, z1, orientation, perspective):
    """What an edge's function is multiplied by so that the inside is positive."""
    return -orientation if perspective and (z0 < ZERO) != (z1 < ZERO) else orientation


@kernel
def surface_derivative(
    vertices, faces, index, to_weights, to_depth, gradient, count, height, width, begin, end, official, perspective
):
    for i in range(3 * count):
        gradient[i] = ZERO
    for i in range(begin, end):
        y = centre(i, height)
        for j in range(width):
            pixel = i * width + j
            number = np.int64(index[pixel])
            if number < 0:
                continue
            push = to_depth[pixel]
            to0, to1, to2 = to_weights[3 * pixel], to_weights[3 * pixel + 1], to_weights[3 * pixel + 2]
            if push == ZERO and to0 == ZERO and to1 == ZERO and to2 == ZERO:
                continue
            x = centre(j, width)
            a, b, c = corners_of(faces, number)
            ax, ay, az = vertices[a], vertices[a + 1], vertices[a + 2]
            bx, by, bz = vertices[b], vertices[b + 1], vertices[b + 2]
            cx, cy, cz = vertices[c], vertices[c + 1], vertices[c + 2]
            orientation = sign(doubled_area(ax, ay, bx, by, cx, cy))
            if perspective:
                orientation = orientation * sign(az) * sign(bz) * sign(cz)
            turn0, turn1, turn2 = (
                turned(bz, cz, orientation, perspective), turned(cz, az, orientation, perspective),
                turned(az, bz, orientation, perspective),
            )  # fmt: skip
            edge0 = turn0 * fused(cx - bx, y - by, -((cy - by) * (x - bx)))
            edge1 = turn1 * fused(ax - cx, y - cy, -((ay - cy) * (x - cx)))
            edge2 = turn2 * fused(bx - ax, y - ay, -((by - ay) * (x - ax)))
            inverse0 = inverse1 = inverse2 = ONE
            if perspective:
                inverse0, inverse1, inverse2 = inverse_depth(az), inverse_depth(bz), inverse_depth(cz)
            total = edge0 * inverse0 + edge1 * inverse1 + edge2 * inverse2
            if official:
                total = total - OFFICIAL_EPSILON * orientation
            share = ONE / total
            weight0, weight1, weight2 = edge0 * inverse0 * share, edge1 * inverse1 * share, edge2 * inverse2 * share
            # depth = az (1, or the sum of the weights by the official rules) + weight1 (bz - az) + weight2 (cz - az)
            level = weight0 + weight1 + weight2 if official else ONE
            to_a, to_b, to_c = push * (level - weight1 - weight2), push * weight1, push * weight2
            to1 += push * (bz - az)
            to2 += push * (cz - az)
            if official:
                to0, to1, to2 = to0 + push * az, to1 + push * az, to2 + push * az
            mean = to0 * weight0 + to1 * weight1 + to2 * weight2
            scaled0, scaled1, scaled2 = (to0 - mean) * share, (to1 - mean) * share, (to2 - mean) * share
            if perspective:
                to_a += through_inverse(az, inverse0) * edge0 * scaled0
                to_b += through_inverse(bz, inverse1) * edge1 * scaled1
                to_c += through_inverse(cz, inverse2) * edge2 * scaled2
            edge0, edge1, edge2 = scaled0 * inverse0 * turn0, scaled1 * inverse1 * turn1, scaled2 * inverse2 * turn2
            # Edge 0 from b to c is (cx - bx) (y - by) - (cy - by) (x - bx), and so on.
            gradient[a] += edge1 * (y - cy) + edge2 * (by - y)
            gradient[a + 1] += edge1 * (cx - x) + edge2 * (x - bx)
            gradient[a + 2] += to_a
            gradient[b] += edge2 * (y - ay) + edge0 * (cy - y)
            gradient[b + 1] += edge2 * (ax - x) + edge0 * (x - cx)
            gradient[b + 2] += to_b
            gradient[c] += edge0 * (y - by) + edge1 * (ay - y)
            gradient[c + 1] += edge0 * (bx - x) + edge1 * (x - ax)
            gradient[c + 2] += to_c


@kernel
def through_inverse(z, inverse):
    """Derivative of the inverse depth."""
    return -sign(z) * inverse * inverse if abs(z) > SMALLEST else ZERO


KERNELS = {
    "surface": (2, surface_items, surface_work),
    "surface_derivative": (2, derivative_items, derivative_work),
}

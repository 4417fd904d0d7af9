"""The visible surface: which face each pixel sees, its barycentrics and depth."""

from __future__ import annotations

import numpy as np

from emoca_jax.render.backends.kernels.call_frame import (
    LANES,
    argument,
    attribute,
    extent,
    float_array,
    floats,
    integers,
    item_of,
    lanes,
    lead,
    load_f32,
    load_i64,
    result,
)  # fmt: skip
from emoca_jax.render.backends.kernels.edges import (
    OFFICIAL_EPSILON,
    ONE,
    ZERO,
    centre,
    cross,
    doubled_area,
    edge,
    fused,
    inverse_depth,
    pixel_range,
    sign,
)  # fmt: skip
from emoca_jax.render.backends.kernels.sharing import allocate, free
from emoca_jax.render.backends.native.dialect import inlined, kernel

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
    index, vertices, faces, rows = result(frame, 0), argument(frame, 0), argument(frame, 1), result(frame, 2)
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
        points, corners, count, integers(rows, 2, image), integers(index, 2, image), floats(result(frame, 1), 2, image),
        height, width, height * part // parts, height * (part + 1) // parts, cull, near, official, perspective,
    )  # fmt: skip


@kernel
def find_rows(vertices, faces, begin, end, rows, height, near, perspective):
    """First and last row of pixels that each face can reach; none for a face that is not finite."""
    for number in range(begin, end):
        a, b, c = corners_of(faces, number)
        ax, ay, az, bx, by, bz, cx, cy, cz = points_at(vertices, a, b, c)
        rows[2 * number], rows[2 * number + 1] = 1, 0
        if not are_finite(ax, ay, az, bx, by, bz, cx, cy, cz):
            continue
        _, _, top, bottom = bounds((ax, bx, cx), (ay, by, cy), (az, bz, cz), near, perspective)
        first, last = pixel_range(top, bottom, height)
        rows[2 * number], rows[2 * number + 1] = first, last


@kernel
def corners_of(faces, number):
    """Where the three corners of a face begin in the list of all coordinates."""
    return 3 * np.int64(faces[3 * number]), 3 * np.int64(faces[3 * number + 1]), 3 * np.int64(faces[3 * number + 2])


@inlined
def points_at(vertices, a, b, c):
    """The three corners that begin there."""
    return (vertices[a], vertices[a + 1], vertices[a + 2], vertices[b], vertices[b + 1], vertices[b + 2], vertices[c],
            vertices[c + 1], vertices[c + 2])  # fmt: skip


@inlined
def are_finite(ax, ay, az, bx, by, bz, cx, cy, cz):
    return (
        np.isfinite(ax) and np.isfinite(bx) and np.isfinite(cx) and np.isfinite(ay) and np.isfinite(by)
        and np.isfinite(cy) and np.isfinite(az) and np.isfinite(bz) and np.isfinite(cz)
    )  # fmt: skip


@inlined
def facing(area, az, bz, cz, perspective):
    """As in `edge_functions.py`, of a face's doubled area."""
    return sign(area) * sign(az) * sign(bz) * sign(cz) if perspective else sign(area)


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
    vertices, faces, count, rows, index, depth, height, width, begin, end, cull, near, official, perspective
):
    """Rows `begin` to `end` of an image."""
    pixels = (end - begin) * width
    memory = allocate(4 * (pixels + width + LANES))
    nearest, across, depths = float_array(memory), float_array(memory + 4 * pixels), lanes()
    for j in range(width + LANES):
        across[j] = centre(j, width)
    for pixel in range(pixels):
        index[begin * width + pixel], nearest[pixel] = -1, INFINITE
    for number in range(count):
        first_row, last_row = max(rows[2 * number], begin), min(rows[2 * number + 1], end - 1)
        if first_row > last_row:
            continue
        a, b, c = corners_of(faces, number)
        ax, ay, az, bx, by, bz, cx, cy, cz = points_at(vertices, a, b, c)
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
        orientation = facing(area, az, bz, cz, perspective)
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
            rise_y0, rise_y1, rise_y2 = along_x0 * (y - y0), along_x1 * (y - y1), along_x2 * (y - y2)
            for start in range(first, last + 1, LANES):
                # Several pixels at once, without branches.
                for k in range(LANES):
                    x = across[start + k]
                    # Not fused here, as in XLA's search, which takes these products out of its loops.
                    edge0 = rise_y0 - along_y0 * (x - x0)
                    edge1 = rise_y1 - along_y1 * (x - x1)
                    edge2 = rise_y2 - along_y2 * (x - x2)
                    inside = (edge0 >= least0) & (edge1 >= least1) & (edge2 >= least2)
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
                    if perspective:
                        inside = inside & (here >= near)
                    depths[k] = here if inside else INFINITE
                pixel, whole = (i - begin) * width + start, i * width + start
                for k in range(min(LANES, last + 1 - start)):
                    if depths[k] < nearest[pixel + k]:
                        nearest[pixel + k], index[whole + k] = depths[k], number
    free(memory)
    # Not the depth that was compared: what is told of a face is rounded as in XLA's code for that.
    tell(vertices, faces, index, depth, depth, height, width, begin, end, official, perspective, False)


@kernel
def weights_items(frame, stage):
    weights = result(frame, 0)
    images = lead(weights, 3)
    return images * bands_of(images, extent(weights, -3))


@kernel
def weights_work(frame, stage, item):
    vertices, faces, index, weights = argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 0)
    height, width, images = extent(weights, -3), extent(weights, -2), lead(weights, 3)
    parts = bands_of(images, height)
    image, part = item // parts, item % parts
    _, _, official, perspective = rules_of(frame)
    told = floats(weights, 3, image)
    tell(
        floats(vertices, 2, item_of(vertices, 2, weights, 3, image)),
        integers(faces, 2, item_of(faces, 2, weights, 3, image)),
        integers(index, 2, item_of(index, 2, weights, 3, image)), told, told, height, width,
        height * part // parts, height * (part + 1) // parts, official, perspective, True,
    )  # fmt: skip


@inlined
def tell(vertices, faces, index, weights, depth, height, width, begin, end, official, perspective, in_weights):
    """Barycentrics of the faces that the pixels see (in_weights), or depths. The former are for who asks for them."""
    known = np.int64(-1)
    x0 = y0 = along_x0 = along_y0 = x1 = y1 = along_x1 = along_y1 = x2 = y2 = along_x2 = along_y2 = ZERO
    level = rise1 = rise2 = spare = ZERO
    inverse0 = inverse1 = inverse2 = ONE
    for i in range(begin, end):
        y = centre(i, height)
        for j in range(width):
            pixel = i * width + j
            number = np.int64(index[pixel])
            if number < 0:
                if in_weights:
                    weights[3 * pixel] = weights[3 * pixel + 1] = weights[3 * pixel + 2] = ZERO
                else:
                    depth[pixel] = INFINITE
                continue
            if number != known:
                known = number
                a, b, c = corners_of(faces, number)
                ax, ay, az, bx, by, bz, cx, cy, cz = points_at(vertices, a, b, c)
                orientation = facing(doubled_area(ax, ay, bx, by, cx, cy), az, bz, cz, perspective)
                if perspective:
                    inverse0, inverse1, inverse2 = inverse_depth(az), inverse_depth(bz), inverse_depth(cz)
                x0, y0, along_x0, along_y0, _ = edge(bx, by, bz, cx, cy, cz, orientation, perspective, official)
                x1, y1, along_x1, along_y1, _ = edge(cx, cy, cz, ax, ay, az, orientation, perspective, official)
                x2, y2, along_x2, along_y2, _ = edge(ax, ay, az, bx, by, bz, orientation, perspective, official)
                spare = OFFICIAL_EPSILON * orientation if official else ZERO
                level, rise1, rise2 = az, bz - az, cz - az
            x = centre(j, width)
            edge0 = cross(along_x0, y - y0, along_y0, x - x0) * inverse0
            edge1 = cross(along_x1, y - y1, along_y1, x - x1) * inverse1
            edge2 = cross(along_x2, y - y2, along_y2, x - x2) * inverse2
            total = edge0 + edge1 + edge2 - spare
            weight0, weight1, weight2 = edge0 / total, edge1 / total, edge2 / total
            if in_weights:
                weights[3 * pixel], weights[3 * pixel + 1], weights[3 * pixel + 2] = weight0, weight1, weight2
                continue
            rise = fused(weight1, rise1, weight2 * rise2)
            depth[pixel] = fused(level, weight0 + weight1 + weight2, rise) if official else level + rise


KERNELS = {
    "surface": (2, surface_items, surface_work),
    "surface_weights": (1, weights_items, weights_work),
}

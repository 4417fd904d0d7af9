"""Silhouettes smoothed: what `antialias` does, going through the edges that pass between two pixel centres.

An edge meets the lines of pixel centres that it runs across, rows or, if it is flat, columns; there it lies
between two pixels. Of all edges between two pixels the one farthest out counts.
"""

from __future__ import annotations

import numpy as np

from emoca_jax.render.backends.kernels.call_frame import (
    argument,
    extent,
    float_array,
    floats,
    integer_array,
    integers,
    item_of,
    lead,
    long_array,
    result,
)
from emoca_jax.render.backends.kernels.edges import ONE, ZERO, cross, fused, sign
from emoca_jax.render.backends.kernels.sharing import allocate, free
from emoca_jax.render.backends.native.dialect import inlined, kernel
from emoca_jax.render.backends.native.outline import ALONE, IGNORED
from emoca_jax.render.backends.native.outline import FINENESS as PLAIN_FINENESS

PARTS = 4
"""Into so many items is a walk over all edges divided."""
HALF, FINENESS = np.float32(0.5), np.float32(PLAIN_FINENESS)
INFINITE = np.float32(np.inf)
SPREADING = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: its products spread numbers over a table (Knuth 1973, section 6.4)."""

# Arguments of all: image or what pulls at the smoothed one [height, width, channels], face index and depth
# [height, width], vertices [vertices, 3], edges [edges, 4]. Of derivatives also: silhouettes [edges], the image.


@kernel
def point_of(vertices, number, height, width):
    """A vertex where pixel centres lie at whole numbers, and its depth."""
    place = 3 * np.int64(number)
    return (
        fused(vertices[place], np.float32(width / 2), np.float32((width - 1) / 2)),
        fused(vertices[place + 1], np.float32(height / 2), np.float32((height - 1) / 2)), vertices[place + 2],
    )  # fmt: skip


@kernel
def lines_of(x0, y0, x1, y1, height, width):
    """Whether an edge is flat, and the first and last line of pixel centres it meets, a column if it is."""
    flat = abs(x1 - x0) > abs(y1 - y0)
    limit = width if flat else height
    one, other = (x0, x1) if flat else (y0, y1)
    # Half open, so that the two edges at a vertex do not both meet it there.
    first = min(max(np.floor(min(one, other)) + ONE, ZERO), np.float32(limit))
    last = min(max(np.floor(max(one, other)), -ONE), np.float32(limit - 1))
    return flat, np.int64(first), np.int64(last)


@kernel
def side_of(x0, y0, x1, y1, x, y):
    return sign(cross(x1 - x0, y - y0, y1 - y0, x - x0))


@kernel
def segment_of(count, part):
    return count * part // PARTS, count * (part + 1) // PARTS


@kernel
def find_silhouettes(vertices, edges, silhouettes, begin, end, height, width):
    """The edges from `begin` to `end` that meet a line with both faces, or the only one, to the same side: one behind
    the other, the rest of the list -1."""
    found = begin
    for number in range(begin, end):
        across = edges[4 * number + 3]
        if across == IGNORED:
            continue
        x0, y0, z0 = point_of(vertices, edges[4 * number], height, width)
        x1, y1, z1 = point_of(vertices, edges[4 * number + 1], height, width)
        if not (np.isfinite(x0 + y0 + z0) and np.isfinite(x1 + y1 + z1)):
            continue
        _, first, last = lines_of(x0, y0, x1, y1, height, width)
        if first > last:
            continue
        x, y, _ = point_of(vertices, edges[4 * number + 2], height, width)
        own = side_of(x0, y0, x1, y1, x, y)
        if own == ZERO:
            continue
        if across != ALONE:
            x, y, _ = point_of(vertices, across, height, width)
            if own != side_of(x0, y0, x1, y1, x, y):
                continue
        silhouettes[found] = number
        found += 1
    for place in range(found, end):
        silhouettes[place] = -1


@kernel
def count_meetings(vertices, edges, silhouettes, edge_count, height, width):
    total = 0
    for part in range(PARTS):
        begin, end = segment_of(edge_count, part)
        for place in range(begin, end):
            number = np.int64(silhouettes[place])
            if number < 0:
                break
            x0, y0, _ = point_of(vertices, edges[4 * number], height, width)
            x1, y1, _ = point_of(vertices, edges[4 * number + 1], height, width)
            _, first, last = lines_of(x0, y0, x1, y1, height, width)
            total += last + 1 - first
    return total


@inlined
def seen_depth(index, depth, pixel):
    return depth[pixel] if index[pixel] >= 0 else INFINITE


@kernel
def find_meetings(vertices, edges, silhouettes, index, depth, edge_count, height, width, pairs, owners, distances):
    """Where silhouettes show between two pixels: the pair of pixels with the direction, the edge, and how far from the
    centre of the pixel in front it passes. How many there are."""
    found = 0
    for part in range(PARTS):
        begin, end = segment_of(edge_count, part)
        for place in range(begin, end):
            number = np.int64(silhouettes[place])
            if number < 0:
                break
            x0, y0, z0 = point_of(vertices, edges[4 * number], height, width)
            x1, y1, z1 = point_of(vertices, edges[4 * number + 1], height, width)
            x, y, _ = point_of(vertices, edges[4 * number + 2], height, width)
            own = side_of(x0, y0, x1, y1, x, y)
            flat, first, last = lines_of(x0, y0, x1, y1, height, width)
            # Whether the surface lies on the side of the smaller pixel numbers.
            lower = own * (x1 - x0) < ZERO if flat else own * (y1 - y0) > ZERO
            limit, step = (height, width) if flat else (width, 1)
            for line in range(first, last + 1):
                share, _ = share_of(x0, y0, x1, y1, flat, line)
                begun, over = (y0, y1 - y0) if flat else (x0, x1 - x0)
                where = fused(share, over, begun)
                if not (where >= ZERO and where < np.float32(limit)):
                    continue
                low = np.int64(np.floor(where))
                if low + 1 >= limit:
                    continue
                pixel = low * width + line if flat else line * width + low
                front, behind = (pixel, pixel + step) if lower else (pixel + step, pixel)
                farther = seen_depth(index, depth, behind)
                if not (seen_depth(index, depth, front) < farther and fused(share, z1 - z0, z0) < farther):
                    continue
                from_low = where - np.float32(low)
                pairs[found] = 4 * front + 2 * np.int64(flat) + np.int64(lower)
                owners[found] = number
                distances[found] = from_low if lower else ONE - from_low
                found += 1
    return found


@inlined
def share_of(x0, y0, x1, y1, flat, line):
    """How much of an edge lies before it meets a line, and how far it runs across lines in all."""
    begun, run = (x0, x1 - x0) if flat else (y0, y1 - y0)
    run = ONE if run == ZERO else run
    return (np.float32(line) - begun) / run, run


@inlined
def slot_of(table, mask, pairs, pair):
    """Where in the table a pair is, or would be: places hold one more than a meeting's number, 0 for none."""
    slot = np.int64((np.uint64(pair) * SPREADING) >> np.uint64(20)) & mask
    while table[slot] != 0 and pairs[table[slot] - 1] != pair:
        slot = (slot + 1) & mask
    return slot


@inlined
def fine(distance):
    return np.int64(np.rint(distance * FINENESS))


@kernel
def keep_outermost(pairs, owners, distances, found):
    """Only the meeting farthest out between any two pixels, of equals that of the lowest edge; how many are left."""
    size = 16
    while size < 2 * found:
        size *= 2
    memory = allocate(8 * size)
    table, mask = long_array(memory), size - 1
    for slot in range(size):
        table[slot] = 0
    for meeting in range(found):
        slot = slot_of(table, mask, pairs, pairs[meeting])
        if table[slot] == 0 or fine(distances[meeting]) > fine(distances[table[slot] - 1]):
            table[slot] = meeting + 1
    for meeting in range(found):
        # Found again before anything moves: what is kept is only marked here.
        if table[slot_of(table, mask, pairs, pairs[meeting])] != meeting + 1:
            owners[meeting] = -1
    free(memory)
    left = 0
    for meeting in range(found):
        if owners[meeting] >= 0:
            pairs[left], owners[left], distances[left] = pairs[meeting], owners[meeting], distances[meeting]
            left += 1
    return left


@inlined
def pixels_of(pair, width):
    """The pixel in front, the one behind, whether the edge is flat, whether the surface is on the lower side."""
    front, flat, lower = pair >> 2, (pair & 2) != 0, (pair & 1) != 0
    step = width if flat else 1
    return front, front + step if lower else front - step, flat, lower


def _work(derive: int):
    """Work on an image: 0 smooths it, 1 takes a slope back to its colours, 2 to the vertices."""
    image_at = 6 if derive else 0

    @kernel
    def work(frame, stage, item):
        told, images = result(frame, 0), argument(frame, 0)
        own = 2 if derive == 2 else 3
        index, depth, vertices, edges = argument(frame, 1), argument(frame, 2), argument(frame, 3), argument(frame, 4)
        height, width, channels = extent(images, -3), extent(images, -2), extent(images, -1)
        count = extent(edges, -2)
        number, part = (item // PARTS, item % PARTS) if stage == 0 and derive == 0 else (item, 0)
        points = floats(vertices, 2, item_of(vertices, 2, told, own, number))
        corners = integers(edges, 2, item_of(edges, 2, told, own, number))
        if derive == 0:
            silhouettes = integers(result(frame, 1), 1, number)
            if stage == 0:
                begin, end = segment_of(count, part)
                find_silhouettes(points, corners, silhouettes, begin, end, height, width)
                return
        else:
            kept = argument(frame, 5)
            silhouettes = integers(kept, 1, item_of(kept, 1, told, own, number))
        room = max(count_meetings(points, corners, silhouettes, count, height, width), 1)
        memory = allocate(16 * room)
        pairs, owners, distances = (
            long_array(memory), integer_array(memory + 8 * room), float_array(memory + 12 * room),
        )  # fmt: skip
        found = find_meetings(
            points, corners, silhouettes, integers(index, 2, item_of(index, 2, told, own, number)),
            floats(depth, 2, item_of(depth, 2, told, own, number)), count, height, width, pairs, owners, distances,
        )  # fmt: skip
        found = keep_outermost(pairs, owners, distances, found)
        pull = floats(images, 3, item_of(images, 3, told, own, number))
        whole = argument(frame, image_at)
        image = floats(whole, 3, item_of(whole, 3, told, own, number))
        written = floats(told, own, number)
        if derive == 0:
            smooth(image, written, pairs, distances, found, height * width, width, channels)
        elif derive == 1:
            to_image(pull, written, pairs, distances, found, height * width, width, channels)
        else:
            for i in range(3 * extent(told, -2)):
                written[i] = ZERO
            to_vertices(pull, image, written, points, corners, pairs, owners, distances, found, height, width, channels)
        free(memory)

    return work


@inlined
def smooth(image, smoothed, pairs, distances, found, pixels, width, channels):
    for i in range(pixels * channels):
        smoothed[i] = image[i]
    for meeting in range(found):
        front, behind, _, _ = pixels_of(pairs[meeting], width)
        # Past the middle between the centres the pixel behind is partly covered, before it the one in front partly
        # free.
        target = behind if distances[meeting] > HALF else front
        covered = distances[meeting] - HALF
        for k in range(channels):
            smoothed[target * channels + k] += covered * (image[front * channels + k] - image[behind * channels + k])


@inlined
def to_image(pull, gradient, pairs, distances, found, pixels, width, channels):
    for i in range(pixels * channels):
        gradient[i] = pull[i]
    for meeting in range(found):
        front, behind, _, _ = pixels_of(pairs[meeting], width)
        target = behind if distances[meeting] > HALF else front
        covered = distances[meeting] - HALF
        for k in range(channels):
            given = covered * pull[target * channels + k]
            gradient[front * channels + k] += given
            gradient[behind * channels + k] -= given


@inlined
def to_vertices(
    pull, image, gradient, vertices, edges, pairs, owners, distances, found, height, width, channels
):  # fmt: skip
    for meeting in range(found):
        front, behind, flat, lower = pixels_of(pairs[meeting], width)
        target = behind if distances[meeting] > HALF else front
        slope = ZERO
        for k in range(channels):
            difference = image[front * channels + k] - image[behind * channels + k]
            slope += pull[target * channels + k] * difference
        number = np.int64(owners[meeting])
        a, b = np.int64(edges[4 * number]), np.int64(edges[4 * number + 1])
        x0, y0, _ = point_of(vertices, a, height, width)
        x1, y1, _ = point_of(vertices, b, height, width)
        line = front % width if flat else front // width
        share, run = share_of(x0, y0, x1, y1, flat, line)
        # Along the line the meeting moves as much as the edge does; where the edge moves across it, against its slant.
        slope = slope if lower else -slope
        if flat:
            slant = -(y1 - y0) / run
            to_x, to_y = slope * slant * np.float32(width / 2), slope * np.float32(height / 2)
        else:
            slant = -(x1 - x0) / run
            to_x, to_y = slope * np.float32(width / 2), slope * slant * np.float32(height / 2)
        gradient[3 * a] += to_x * (ONE - share)
        gradient[3 * a + 1] += to_y * (ONE - share)
        gradient[3 * b] += to_x * share
        gradient[3 * b + 1] += to_y * share


@kernel
def smooth_items(frame, stage):
    """First parts of the edges, then images."""
    images = lead(result(frame, 0), 3)
    return images * PARTS if stage == 0 else images


@kernel
def to_image_items(frame, stage):
    return lead(result(frame, 0), 3)


@kernel
def to_vertices_items(frame, stage):
    return lead(result(frame, 0), 2)


KERNELS = {
    "smooth": (2, smooth_items, _work(0)),
    "smooth_to_image": (1, to_image_items, _work(1)),
    "smooth_to_vertices": (1, to_vertices_items, _work(2)),
}

"""The derivative of what `blend.py` adds up: a thread for each face goes through its pixels, and warps share those of
large faces (`sharing.py`)."""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from emoca_jax.render.backends.warp_kernels.around import (
    SMALLEST_WEIGHT_SUM,
    Picture,
    doubled_area,
    felt,
    off_edges,
    picture_of,
    smallest,
    squared,
    touch,
)
from emoca_jax.render.backends.warp_kernels.blend import Blend, blend_of, covered, inverse_of
from emoca_jax.render.backends.warp_kernels.dialect import compiled_exactly, inlined, kernel
from emoca_jax.render.backends.warp_kernels.edges import centre
from emoca_jax.render.backends.warp_kernels.sharing import (
    LANES,
    key_of,
    pieces_of,
    share_of,
    slot_of,
    teams_on,
    words_of_64_bits,
)

compiled_exactly(__name__)

OWN_PIXELS = wp.constant(512)
"""As in `soft`."""


@no_type_check
@wp.struct
class Pulls:
    """Derivative with respect to the three corners, in units in which pixels are square."""

    to_a: wp.vec3
    to_b: wp.vec3
    to_c: wp.vec3


@inlined
def above(number: wp.float32) -> wp.float32:
    """Derivative of what is cut off below zero."""
    return wp.where(number > 0.0, 1.0, wp.where(number == 0.0, 0.5, 0.0))


@inlined
def pull_pixel(
    a: wp.vec3, b: wp.vec3, c: wp.vec3, number: wp.int32, i: wp.int32, j: wp.int32, image: wp.int32, picture: Picture,
    blend: Blend, corners: wp.array3d(dtype=wp.float32), limits: wp.array2d(dtype=wp.uint64),
    tops: wp.array2d(dtype=wp.float32), pull: wp.array3d(dtype=wp.float32), to_corners: wp.array3d(dtype=wp.float32),
) -> Pulls:  # fmt: skip
    """What one pixel does to a face; what it does to the attributes of the corners is added there."""
    made = Pulls()
    pixel = i * picture.width + j
    x = centre(j, picture.width, picture.coarse[0], picture.fine[0]) * picture.aspect[0]
    y = centre(i, picture.height, picture.coarse[1], picture.fine[1]) * picture.aspect[1]
    seen = touch(a, b, c, x, y, blend.clip)
    distance = smallest(seen.distances)
    if not (seen.inside or distance < blend.radius) or key_of(seen.depth, number) > limits[image, pixel]:
        return made
    lead = wp.exp((inverse_of(seen.depth, blend) - tops[image, pixel]) / blend.gamma)
    # Most of what lies behind something weighs nothing.
    if lead == 0.0:
        return made
    share, channels = covered(distance, seen.inside, blend.sigma), pull.shape[2] - 1
    weight, u, v, w = share * lead, seen.weights[0], seen.weights[1], seen.weights[2]
    to_weight = wp.float32(pull[image, pixel, 0])
    to_u, to_v, to_w = wp.float32(0.0), wp.float32(0.0), wp.float32(0.0)
    for k in range(channels):
        one, two = corners[image, number, k], corners[image, number, channels + k]
        three = corners[image, number, 2 * channels + k]
        pushed = pull[image, pixel, 1 + k]
        to_weight += pushed * (u * one + v * two + w * three)
        scaled = pushed * weight
        to_u += scaled * one
        to_v += scaled * two
        to_w += scaled * three
        if scaled != 0.0:
            wp.atomic_add(to_corners, image, number, k, scaled * u)
            wp.atomic_add(to_corners, image, number, channels + k, scaled * v)
            wp.atomic_add(to_corners, image, number, 2 * channels + k, scaled * w)
    # Of the weight: with the depth, and with the squared distance, which is negative inside.
    to_depth = -to_weight * weight / ((blend.far - blend.near) * blend.gamma)
    slope = -to_weight * lead * share * (1.0 - share) * (1.0 / blend.sigma)
    off = off_edges(wp.where(seen.inside, -slope, slope), seen, a, b, c, x, y)
    # Depth is the corners' by the barycentrics, these are edge functions over the area, cut and made to sum to 1 again
    # where clip says so.
    to_u, to_v, to_w = to_u + a[2] * to_depth, to_v + b[2] * to_depth, to_w + c[2] * to_depth
    if blend.clip:
        mean = wp.where(seen.total > SMALLEST_WEIGHT_SUM, to_u * u + to_v * v + to_w * w, 0.0)
        to_u = (to_u - mean) / seen.total * above(seen.unclipped[0])
        to_v = (to_v - mean) / seen.total * above(seen.unclipped[1])
        to_w = (to_w - mean) / seen.total * above(seen.unclipped[2])
    area = doubled_area(a, b, c)
    to_area = -(to_u * seen.unclipped[0] + to_v * seen.unclipped[1] + to_w * seen.unclipped[2]) / area
    to_u, to_v, to_w = to_u / area, to_v / area, to_w / area
    made.to_a = wp.vec3(
        off.to_a[0] + to_v * (y - c[1]) + to_w * (b[1] - y) + to_area * (b[1] - c[1]),
        off.to_a[1] + to_v * (c[0] - x) + to_w * (x - b[0]) + to_area * (c[0] - b[0]), u * to_depth,
    )  # fmt: skip
    made.to_b = wp.vec3(
        off.to_b[0] + to_w * (y - a[1]) + to_u * (c[1] - y) + to_area * (c[1] - a[1]),
        off.to_b[1] + to_w * (a[0] - x) + to_u * (x - c[0]) + to_area * (a[0] - c[0]), v * to_depth,
    )  # fmt: skip
    made.to_c = wp.vec3(
        off.to_c[0] + to_u * (y - b[1]) + to_v * (a[1] - y) + to_area * (a[1] - b[1]),
        off.to_c[1] + to_u * (b[0] - x) + to_v * (x - a[0]) + to_area * (b[0] - a[0]), w * to_depth,
    )  # fmt: skip
    return made


@inlined
def add_to(
    gradient: wp.array2d(dtype=wp.vec3), image: wp.int32, corner: wp.int32, pull: wp.vec3, picture: Picture,
):  # fmt: skip
    moved = wp.vec3(pull[0] * picture.aspect[0], pull[1] * picture.aspect[1], pull[2])
    wp.atomic_add(gradient, image, corner, moved)


@kernel
def derive_small(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), corners: wp.array3d(dtype=wp.float32),
    options: wp.array2d(dtype=wp.float32), picture: Picture, sharing: wp.int32, piece: wp.int32,
    piece_bits: wp.uint64, limits: wp.array2d(dtype=wp.uint64), tops: wp.array2d(dtype=wp.float32),
    pull: wp.array3d(dtype=wp.float32), gradient: wp.array2d(dtype=wp.vec3), to_corners: wp.array3d(dtype=wp.float32),
    tickets: wp.array(dtype=wp.uint64), starts: wp.array(dtype=wp.uint64), owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    """As `soft.derive_small`."""
    image, number = wp.tid()
    face = faces[image // sharing, number]
    one, two, three = vertices[image, face[0]], vertices[image, face[1]], vertices[image, face[2]]
    blend = blend_of(options, image)
    around = felt(one, two, three, picture, blend.radius)
    if around[0] > around[1]:
        return
    area = (around[1] - around[0] + 1) * (around[3] - around[2] + 1)
    if area > OWN_PIXELS:
        ticket = wp.atomic_add(tickets, 0, (wp.uint64(1) << piece_bits) + wp.uint64((area + piece - 1) // piece))
        slot = wp.int32(ticket >> piece_bits)
        starts[slot] = ticket & ((wp.uint64(1) << piece_bits) - wp.uint64(1))
        owners[slot] = wp.vec2i(image, number)
        return
    a, b, c = squared(one, picture), squared(two, picture), squared(three, picture)
    to_a, to_b, to_c = wp.vec3(0.0, 0.0, 0.0), wp.vec3(0.0, 0.0, 0.0), wp.vec3(0.0, 0.0, 0.0)
    for i in range(around[2], around[3] + 1):
        for j in range(around[0], around[1] + 1):
            made = pull_pixel(
                a, b, c, number, i, j, image, picture, blend, corners, limits, tops, pull, to_corners
            )  # fmt: skip
            to_a += made.to_a
            to_b += made.to_b
            to_c += made.to_c
    add_to(gradient, image, face[0], to_a, picture)
    add_to(gradient, image, face[1], to_b, picture)
    add_to(gradient, image, face[2], to_c, picture)


@kernel
def derive_pieces(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), corners: wp.array3d(dtype=wp.float32),
    options: wp.array2d(dtype=wp.float32), picture: Picture, sharing: wp.int32, piece: wp.int32,
    piece_bits: wp.uint64, teams: wp.int32, limits: wp.array2d(dtype=wp.uint64), tops: wp.array2d(dtype=wp.float32),
    pull: wp.array3d(dtype=wp.float32), gradient: wp.array2d(dtype=wp.vec3), to_corners: wp.array3d(dtype=wp.float32),
    tickets: wp.array(dtype=wp.uint64), starts: wp.array(dtype=wp.uint64), owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    """As `soft.derive_pieces`."""
    thread = wp.tid()
    lane = thread % LANES
    share = share_of(tickets, piece_bits, thread // LANES, teams)
    at, end = wp.uint64(share[0]), wp.uint64(share[1])
    if at >= end:
        return
    count = wp.int32(tickets[0] >> piece_bits)
    slot = slot_of(starts, count, at)
    while at < end:
        owner = owners[slot]
        image, number = owner[0], owner[1]
        face = faces[image // sharing, number]
        one, two, three = vertices[image, face[0]], vertices[image, face[1]], vertices[image, face[2]]
        blend = blend_of(options, image)
        around = felt(one, two, three, picture, blend.radius)
        wide = around[1] - around[0] + 1
        whole = wide * (around[3] - around[2] + 1)
        a, b, c = squared(one, picture), squared(two, picture), squared(three, picture)
        stop = end
        if slot + 1 < count:
            stop = wp.min(end, starts[slot + 1])
        first = wp.int32(at - starts[slot]) * piece
        to_a, to_b, to_c = wp.vec3(0.0, 0.0, 0.0), wp.vec3(0.0, 0.0, 0.0), wp.vec3(0.0, 0.0, 0.0)
        for place in range(first + lane, wp.min(first + wp.int32(stop - at) * piece, whole), LANES):
            down = place // wide
            made = pull_pixel(
                a, b, c, number, around[2] + down, around[0] + place - down * wide, image, picture, blend, corners,
                limits, tops, pull, to_corners,
            )  # fmt: skip
            to_a += made.to_a
            to_b += made.to_b
            to_c += made.to_c
        add_to(gradient, image, face[0], to_a, picture)
        add_to(gradient, image, face[1], to_b, picture)
        add_to(gradient, image, face[2], to_c, picture)
        at = stop
        slot += 1


def blended_derivative(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), corners: wp.array3d(dtype=wp.float32),
    options: wp.array2d(dtype=wp.float32), limits: wp.array3d(dtype=wp.uint32), tops: wp.array2d(dtype=wp.float32),
    pull: wp.array3d(dtype=wp.float32), height: int, width: int, gradient: wp.array2d(dtype=wp.vec3),
    to_corners: wp.array3d(dtype=wp.float32), tickets: wp.array2d(dtype=wp.uint32),
    starts: wp.array2d(dtype=wp.uint32), owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    """pull: what pulls at the sums."""
    device, picture, sharing = vertices.device, picture_of(height, width, 0), vertices.shape[0] // faces.shape[0]
    limits, tickets, starts = (words_of_64_bits(words) for words in (limits, tickets, starts))
    for array in (gradient, to_corners, tickets):
        array.zero_()
    piece, bits = pieces_of(len(owners), height * width)
    teams = teams_on(device)
    among = [vertices, faces, corners, options, picture, sharing, piece, bits]
    lists = [limits, tops, pull, gradient, to_corners, tickets, starts, owners]
    shape = (vertices.shape[0], faces.shape[1])
    wp.launch(derive_small, dim=shape, inputs=[*among, *lists], device=device)
    wp.launch(derive_pieces, dim=teams * 32, inputs=[*among, teams, *lists], device=device)

"""Soft silhouettes: how much the K nearest faces around each pixel leave uncovered, and the derivative.

Forward a thread for each pixel goes through boxes of 1024, of 32 and of single faces in the order of the mesh, whose
neighbours lie close together, and keeps the K nearest in a heap of its own. Backward a thread for each face goes
through its pixels, and warps share those of large faces (`sharing.py`). No list can overflow.
"""

from __future__ import annotations

import warp as wp

from emoca_jax.render.backends.warp_kernels.around import (
    BEYOND,
    Picture,
    Pull,
    felt,
    holds,
    not_covered,
    off_edges,
    picture_of,
    smallest,
    squared,
    touch,
)
from emoca_jax.render.backends.warp_kernels.dialect import compiled_exactly, inlined, kernel
from emoca_jax.render.backends.warp_kernels.edges import centre
from emoca_jax.render.backends.warp_kernels.shapes import GROUP, MOST_FACES
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

ROOM, WIDTH = wp.constant(MOST_FACES), wp.constant(GROUP)
OWN_PIXELS = wp.constant(512)
"""Up to so many pixels of its box one thread adds up for a face. By reckoning, unmeasured: with the default blur the
faces of a head at 224 pixels have boxes of about 110."""
EVERYTHING = wp.constant(wp.uint64(0xFFFFFFFFFFFFFFFF))


@kernel
def bound_faces(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), options: wp.array2d(dtype=wp.float32),
    picture: Picture, sharing: wp.int32, boxes: wp.array2d(dtype=wp.vec4i),
):  # fmt: skip
    image, number = wp.tid()
    corners = faces[image // sharing, number]
    a, b, c = vertices[image, corners[0]], vertices[image, corners[1]], vertices[image, corners[2]]
    boxes[image, number] = felt(a, b, c, picture, options[image, 0])


@kernel
def bound_groups(boxes: wp.array2d(dtype=wp.vec4i), groups: wp.array2d(dtype=wp.vec4i)):
    """The box around each WIDTH boxes."""
    image, group = wp.tid()
    around = wp.vec4i(BEYOND, -1, BEYOND, -1)
    for number in range(group * WIDTH, wp.min((group + 1) * WIDTH, boxes.shape[1])):
        box = boxes[image, number]
        around = wp.vec4i(
            wp.min(around[0], box[0]), wp.max(around[1], box[1]), wp.min(around[2], box[2]), wp.max(around[3], box[3])
        )
    groups[image, group] = around


@kernel
def draw_silhouette(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), options: wp.array2d(dtype=wp.float32),
    picture: Picture, sharing: wp.int32, boxes: wp.array2d(dtype=wp.vec4i), groups: wp.array2d(dtype=wp.vec4i),
    blocks: wp.array2d(dtype=wp.vec4i), image: wp.array2d(dtype=wp.float32), uncovered: wp.array2d(dtype=wp.float32),
    limits: wp.array2d(dtype=wp.uint64),
):  # fmt: skip
    """limits: up to which (depth, face) faces count at a pixel."""
    picked, pixel = wp.tid()
    radius, sigma, clip = options[picked, 0], options[picked, 1], options[picked, 2] != 0.0
    i = pixel // picture.width
    j = pixel - i * picture.width
    x = centre(j, picture.width, picture.coarse[0], picture.fine[0]) * picture.aspect[0]
    y = centre(i, picture.height, picture.coarse[1], picture.fine[1]) * picture.aspect[1]
    # A heap with the farthest on top.
    ranks = wp.zeros(shape=(ROOM,), dtype=wp.uint64)
    values = wp.zeros(shape=(ROOM,), dtype=wp.float32)
    length, dropped, product = wp.int32(0), wp.int32(0), wp.float32(1.0)
    for block in range(blocks.shape[1]):
        if holds(blocks[picked, block], i, j):
            for group in range(block * WIDTH, wp.min((block + 1) * WIDTH, groups.shape[1])):
                if holds(groups[picked, group], i, j):
                    for number in range(group * WIDTH, wp.min((group + 1) * WIDTH, boxes.shape[1])):
                        if holds(boxes[picked, number], i, j):
                            corners = faces[picked // sharing, number]
                            a = squared(vertices[picked, corners[0]], picture)
                            b = squared(vertices[picked, corners[1]], picture)
                            c = squared(vertices[picked, corners[2]], picture)
                            seen = touch(a, b, c, x, y, clip)
                            distance = smallest(seen.distances)
                            if seen.inside or distance < radius:
                                share = not_covered(distance, seen.inside, sigma)
                                rank = key_of(seen.depth, number)
                                if picture.nearest == 0:
                                    product = product * share
                                elif length < picture.nearest:
                                    place = wp.int32(length)
                                    above = (place - 1) // 2
                                    while place > 0 and ranks[above] < rank:
                                        ranks[place] = ranks[above]
                                        values[place] = values[above]
                                        place = wp.int32(above)
                                        above = (place - 1) // 2
                                    ranks[place] = rank
                                    values[place] = share
                                    length = length + 1
                                elif rank < ranks[0]:
                                    place = wp.int32(0)
                                    going = wp.bool(True)
                                    while going:
                                        below = 2 * place + 1
                                        if below + 1 < length and ranks[below + 1] > ranks[below]:
                                            below = below + 1
                                        going = below < length and ranks[below] > rank
                                        if going:
                                            ranks[place] = ranks[below]
                                            values[place] = values[below]
                                            place = wp.int32(below)
                                    ranks[place] = rank
                                    values[place] = share
                                    dropped = wp.int32(1)
                                else:
                                    dropped = wp.int32(1)
    for k in range(length):
        product = product * values[k]
    limits[picked, pixel] = wp.where(dropped != 0, ranks[0], EVERYTHING)
    uncovered[picked, pixel] = 1.0 / product
    image[picked, pixel] = 1.0 - 1.0 / product


@inlined
def pull_pixel(
    a: wp.vec3, b: wp.vec3, c: wp.vec3, number: wp.int32, i: wp.int32, j: wp.int32, image: wp.int32, picture: Picture,
    radius: wp.float32, sigma: wp.float32, clip: wp.bool, uncovered: wp.array2d(dtype=wp.float32),
    limits: wp.array2d(dtype=wp.uint64), pull: wp.array2d(dtype=wp.float32),
) -> Pull:  # fmt: skip
    """What one pixel does to a face."""
    made = Pull()
    pixel = i * picture.width + j
    push = pull[image, pixel] * uncovered[image, pixel]
    if push == 0.0:
        return made
    x = centre(j, picture.width, picture.coarse[0], picture.fine[0]) * picture.aspect[0]
    y = centre(i, picture.height, picture.coarse[1], picture.fine[1]) * picture.aspect[1]
    seen = touch(a, b, c, x, y, clip)
    distance = smallest(seen.distances)
    if not (seen.inside or distance < radius) or key_of(seen.depth, number) > limits[image, pixel]:
        return made
    # Of the covered share with the squared distance: less with more of it outside, more inside.
    slope = push * (1.0 - 1.0 / not_covered(distance, seen.inside, sigma)) * (1.0 / sigma)
    slope = wp.where(seen.inside, slope, -slope)
    return off_edges(slope, seen, a, b, c, x, y)


@inlined
def add_to(
    gradient: wp.array2d(dtype=wp.vec3), image: wp.int32, corner: wp.int32, pull: wp.vec2, picture: Picture,
):  # fmt: skip
    if pull[0] != 0.0 or pull[1] != 0.0:
        wp.atomic_add(gradient, image, corner, wp.vec3(pull[0] * picture.aspect[0], pull[1] * picture.aspect[1], 0.0))


@kernel
def derive_small(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), options: wp.array2d(dtype=wp.float32),
    picture: Picture, sharing: wp.int32, piece: wp.int32, piece_bits: wp.uint64,
    uncovered: wp.array2d(dtype=wp.float32), limits: wp.array2d(dtype=wp.uint64), pull: wp.array2d(dtype=wp.float32),
    gradient: wp.array2d(dtype=wp.vec3), tickets: wp.array(dtype=wp.uint64), starts: wp.array(dtype=wp.uint64),
    owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    """As `hard.draw_small`: a small face is done here, a larger one takes a ticket."""
    image, number = wp.tid()
    corners = faces[image // sharing, number]
    one, two, three = vertices[image, corners[0]], vertices[image, corners[1]], vertices[image, corners[2]]
    radius, sigma, clip = options[image, 0], options[image, 1], options[image, 2] != 0.0
    around = felt(one, two, three, picture, radius)
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
    to_a, to_b, to_c = wp.vec2(0.0, 0.0), wp.vec2(0.0, 0.0), wp.vec2(0.0, 0.0)
    for i in range(around[2], around[3] + 1):
        for j in range(around[0], around[1] + 1):
            made = pull_pixel(
                a, b, c, number, i, j, image, picture, radius, sigma, clip, uncovered, limits, pull
            )  # fmt: skip
            to_a += made.to_a
            to_b += made.to_b
            to_c += made.to_c
    add_to(gradient, image, corners[0], to_a, picture)
    add_to(gradient, image, corners[1], to_b, picture)
    add_to(gradient, image, corners[2], to_c, picture)


@kernel
def derive_pieces(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), options: wp.array2d(dtype=wp.float32),
    picture: Picture, sharing: wp.int32, piece: wp.int32, piece_bits: wp.uint64, teams: wp.int32,
    uncovered: wp.array2d(dtype=wp.float32), limits: wp.array2d(dtype=wp.uint64), pull: wp.array2d(dtype=wp.float32),
    gradient: wp.array2d(dtype=wp.vec3), tickets: wp.array(dtype=wp.uint64), starts: wp.array(dtype=wp.uint64),
    owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    """As `hard.draw_pieces`."""
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
        corners = faces[image // sharing, number]
        one, two, three = vertices[image, corners[0]], vertices[image, corners[1]], vertices[image, corners[2]]
        radius, sigma, clip = options[image, 0], options[image, 1], options[image, 2] != 0.0
        around = felt(one, two, three, picture, radius)
        wide = around[1] - around[0] + 1
        covered = wide * (around[3] - around[2] + 1)
        a, b, c = squared(one, picture), squared(two, picture), squared(three, picture)
        stop = end
        if slot + 1 < count:
            stop = wp.min(end, starts[slot + 1])
        first = wp.int32(at - starts[slot]) * piece
        to_a, to_b, to_c = wp.vec2(0.0, 0.0), wp.vec2(0.0, 0.0), wp.vec2(0.0, 0.0)
        for place in range(first + lane, wp.min(first + wp.int32(stop - at) * piece, covered), LANES):
            down = place // wide
            made = pull_pixel(
                a, b, c, number, around[2] + down, around[0] + place - down * wide, image, picture, radius, sigma,
                clip, uncovered, limits, pull,
            )  # fmt: skip
            to_a += made.to_a
            to_b += made.to_b
            to_c += made.to_c
        add_to(gradient, image, corners[0], to_a, picture)
        add_to(gradient, image, corners[1], to_b, picture)
        add_to(gradient, image, corners[2], to_c, picture)
        at = stop
        slot += 1


def silhouette(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), options: wp.array2d(dtype=wp.float32),
    height: int, width: int, nearest: int,
    image: wp.array2d(dtype=wp.float32), uncovered: wp.array2d(dtype=wp.float32), limits: wp.array3d(dtype=wp.uint32),
    boxes: wp.array2d(dtype=wp.vec4i), groups: wp.array2d(dtype=wp.vec4i), blocks: wp.array2d(dtype=wp.vec4i),
):  # fmt: skip
    """options: of each image the blur radius, sigma, and whether depths are clipped. boxes, groups, blocks: room for
    the boxes of faces, of GROUP faces and of GROUP groups."""
    device, picture, sharing = vertices.device, picture_of(height, width, nearest), vertices.shape[0] // faces.shape[0]
    among = [vertices, faces, options, picture, sharing]
    wp.launch(bound_faces, dim=boxes.shape, inputs=[*among, boxes], device=device)
    wp.launch(bound_groups, dim=groups.shape, inputs=[boxes, groups], device=device)
    wp.launch(bound_groups, dim=blocks.shape, inputs=[groups, blocks], device=device)
    lists = [boxes, groups, blocks, image, uncovered, words_of_64_bits(limits)]
    wp.launch(draw_silhouette, dim=image.shape, inputs=[*among, *lists], device=device)


def silhouette_derivative(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), options: wp.array2d(dtype=wp.float32),
    uncovered: wp.array2d(dtype=wp.float32), limits: wp.array3d(dtype=wp.uint32), pull: wp.array2d(dtype=wp.float32),
    height: int, width: int, gradient: wp.array2d(dtype=wp.vec3), tickets: wp.array2d(dtype=wp.uint32),
    starts: wp.array2d(dtype=wp.uint32), owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    device, picture, sharing = vertices.device, picture_of(height, width, 0), vertices.shape[0] // faces.shape[0]
    limits, tickets, starts = (words_of_64_bits(words) for words in (limits, tickets, starts))
    gradient.zero_()
    tickets.zero_()
    piece, bits = pieces_of(len(owners), height * width)
    teams = teams_on(device)
    among = [vertices, faces, options, picture, sharing, piece, bits]
    lists = [uncovered, limits, pull, gradient, tickets, starts, owners]
    shape = (vertices.shape[0], faces.shape[1])
    wp.launch(derive_small, dim=shape, inputs=[*among, *lists], device=device)
    wp.launch(derive_pieces, dim=teams * 32, inputs=[*among, teams, *lists], device=device)

"""The visible surface in three passes, and its derivative.

1. A thread for each face of each image puts it into the pixels of its box: the smallest of (depth, face) as one 64-bit
   number, so that equal depths go to the lower face. A face with a larger box only takes a ticket that says how many
   pieces it is.
2. Warps share all pieces evenly, whoever they belong to: a face that fills the screen keeps no thread longer than
   others.
3. A thread for each pixel says what it sees.
No list can overflow: there is a ticket for each face.
"""

from __future__ import annotations

import warp as wp

from emoca_jax.render.backends.blocks import box_slack
from emoca_jax.render.backends.edge_functions import reciprocal_parts
from emoca_jax.render.backends.warp_kernels.dialect import compiled_exactly, inlined, kernel
from emoca_jax.render.backends.warp_kernels.edges import (
    OFFICIAL_EPSILON,
    SMALLEST,
    Face,
    Scene,
    box,
    centre,
    depth_of,
    fused,
    inverse_depth,
    oriented,
    set_up,
    side,
)
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

OWN_PIXELS = wp.constant(128)
"""Up to so many pixels of its box a face is drawn by one thread. By reckoning, unmeasured: the faces of a head at 512
pixels have boxes of about 70."""
NOTHING = wp.constant(wp.uint64(0xFFFFFFFFFFFFFFFF))


@inlined
def try_pixel(
    face: Face, number: wp.int32, i: wp.int32, j: wp.int32, image: wp.int32, scene: Scene,
    keys: wp.array2d(dtype=wp.uint64),
):  # fmt: skip
    """Put the face into the pixel in row i and column j, if it is there and the nearest so far."""
    y = centre(i, scene.height, scene.coarse[1], scene.fine[1])
    x = centre(j, scene.width, scene.coarse[0], scene.fine[0])
    # Not fused, as in the kernels for CPUs.
    edge0 = face.along_x[0] * (y - face.origin_y[0]) - face.along_y[0] * (x - face.origin_x[0])
    edge1 = face.along_x[1] * (y - face.origin_y[1]) - face.along_y[1] * (x - face.origin_x[1])
    edge2 = face.along_x[2] * (y - face.origin_y[2]) - face.along_y[2] * (x - face.origin_x[2])
    if edge0 >= face.least[0] and edge1 >= face.least[1] and edge2 >= face.least[2]:
        depth = depth_of(face, wp.vec3(edge0, edge1, edge2), scene)
        if depth < wp.inf and (scene.perspective == 0 or depth >= scene.near):
            key = key_of(depth, number)
            pixel = i * scene.width + j
            # Read first: most faces behind others stop here. An old number costs a look, no more.
            if key < keys[image, pixel]:
                wp.atomic_min(keys, image, pixel, key)


@kernel
def draw_small(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), scene: Scene, sharing: wp.int32,
    piece: wp.int32, piece_bits: wp.uint64, keys: wp.array2d(dtype=wp.uint64), tickets: wp.array(dtype=wp.uint64),
    starts: wp.array(dtype=wp.uint64), owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    """sharing: so many images share their faces. tickets[0]: above `piece_bits` bits faces, in them pieces."""
    image, number = wp.tid()
    corners = faces[image // sharing, number]
    a, b, c = vertices[image, corners[0]], vertices[image, corners[1]], vertices[image, corners[2]]
    if oriented(a, b, c, scene) == 0.0:
        return
    around = box(a, b, c, scene)
    wide, high = around[1] - around[0] + 1, around[3] - around[2] + 1
    if wide <= 0 or high <= 0:
        return
    if wide * high <= OWN_PIXELS:
        face = set_up(a, b, c, scene)
        for i in range(around[2], around[3] + 1):
            for j in range(around[0], around[1] + 1):
                try_pixel(face, number, i, j, image, scene, keys)
        return
    pieces = (wide * high + piece - 1) // piece
    ticket = wp.atomic_add(tickets, 0, (wp.uint64(1) << piece_bits) + wp.uint64(pieces))
    slot = wp.int32(ticket >> piece_bits)
    starts[slot] = ticket & ((wp.uint64(1) << piece_bits) - wp.uint64(1))
    owners[slot] = wp.vec2i(image, number)


@kernel
def draw_pieces(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), scene: Scene, sharing: wp.int32,
    piece: wp.int32, piece_bits: wp.uint64, teams: wp.int32, keys: wp.array2d(dtype=wp.uint64),
    tickets: wp.array(dtype=wp.uint64), starts: wp.array(dtype=wp.uint64), owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    """A team of LANES threads takes its share of all pieces, one after the other."""
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
        a, b, c = vertices[image, corners[0]], vertices[image, corners[1]], vertices[image, corners[2]]
        around = box(a, b, c, scene)
        face = set_up(a, b, c, scene)
        wide = around[1] - around[0] + 1
        covered = wide * (around[3] - around[2] + 1)
        stop = end
        if slot + 1 < count:
            stop = wp.min(end, starts[slot + 1])
        first = wp.int32(at - starts[slot]) * piece
        for place in range(first + lane, wp.min(first + wp.int32(stop - at) * piece, covered), LANES):
            down = place // wide
            try_pixel(face, number, around[2] + down, around[0] + place - down * wide, image, scene, keys)
        at = stop
        slot += 1


@kernel
def tell(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), scene: Scene, sharing: wp.int32,
    keys: wp.array2d(dtype=wp.uint64), index: wp.array2d(dtype=wp.int32), barycentric: wp.array2d(dtype=wp.vec3),
    depth: wp.array2d(dtype=wp.float32),
):  # fmt: skip
    """What each pixel sees, rounded as plain JAX's code for that."""
    image, pixel = wp.tid()
    key = keys[image, pixel]
    if key == NOTHING:
        index[image, pixel] = -1
        barycentric[image, pixel] = wp.vec3(0.0, 0.0, 0.0)
        depth[image, pixel] = wp.inf
        return
    number = wp.int32(key & wp.uint64(0xFFFFFFFF))
    corners = faces[image // sharing, number]
    face = set_up(
        vertices[image, corners[0]], vertices[image, corners[1]], vertices[image, corners[2]], scene
    )  # fmt: skip
    i = pixel // scene.width
    y = centre(i, scene.height, scene.coarse[1], scene.fine[1])
    x = centre(pixel - i * scene.width, scene.width, scene.coarse[0], scene.fine[0])
    edge0 = fused(face.along_x[0], y - face.origin_y[0], -(face.along_y[0] * (x - face.origin_x[0])))
    edge1 = fused(face.along_x[1], y - face.origin_y[1], -(face.along_y[1] * (x - face.origin_x[1])))
    edge2 = fused(face.along_x[2], y - face.origin_y[2], -(face.along_y[2] * (x - face.origin_x[2])))
    edge0, edge1, edge2 = edge0 * face.inverse[0], edge1 * face.inverse[1], edge2 * face.inverse[2]
    total = edge0 + edge1 + edge2
    if scene.official != 0:
        total = total - OFFICIAL_EPSILON * face.orientation
    weight0, weight1, weight2 = edge0 / total, edge1 / total, edge2 / total
    rise = fused(weight1, face.rise1, weight2 * face.rise2)
    index[image, pixel] = number
    barycentric[image, pixel] = wp.vec3(weight0, weight1, weight2)
    depth[image, pixel] = wp.where(
        scene.official != 0, fused(face.level, weight0 + weight1 + weight2, rise), face.level + rise
    )


@inlined
def turn(start: wp.float32, end: wp.float32, orientation: wp.float32, scene: Scene) -> wp.float32:
    """What an edge's function is multiplied by so that the inside is positive."""
    return wp.where(scene.perspective != 0 and (start < 0.0) != (end < 0.0), -orientation, orientation)


@inlined
def through_inverse(z: wp.float32, inverse: wp.float32) -> wp.float32:
    """Derivative of the inverse depth."""
    return wp.where(wp.abs(z) > SMALLEST, -side(z) * inverse * inverse, 0.0)


@kernel
def pull(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), index: wp.array2d(dtype=wp.int32),
    to_weights: wp.array2d(dtype=wp.vec3), to_depth: wp.array2d(dtype=wp.float32), scene: Scene, sharing: wp.int32,
    gradient: wp.array2d(dtype=wp.vec3),
):  # fmt: skip
    """The derivative of barycentrics and depth, added up at the vertices in whatever order threads come."""
    image, pixel = wp.tid()
    number = index[image, pixel]
    if number < 0:
        return
    push, to = to_depth[image, pixel], to_weights[image, pixel]
    to0, to1, to2 = to[0], to[1], to[2]
    if push == 0.0 and to0 == 0.0 and to1 == 0.0 and to2 == 0.0:
        return
    corners = faces[image // sharing, number]
    a, b, c = vertices[image, corners[0]], vertices[image, corners[1]], vertices[image, corners[2]]
    i = pixel // scene.width
    y = centre(i, scene.height, scene.coarse[1], scene.fine[1])
    x = centre(pixel - i * scene.width, scene.width, scene.coarse[0], scene.fine[0])
    orientation = side(fused(b[0] - a[0], c[1] - a[1], -((b[1] - a[1]) * (c[0] - a[0]))))
    inverse = wp.vec3(1.0, 1.0, 1.0)
    if scene.perspective != 0:
        orientation = orientation * side(a[2]) * side(b[2]) * side(c[2])
        inverse = wp.vec3(inverse_depth(a[2]), inverse_depth(b[2]), inverse_depth(c[2]))
    turn0 = turn(b[2], c[2], orientation, scene)
    turn1 = turn(c[2], a[2], orientation, scene)
    turn2 = turn(a[2], b[2], orientation, scene)
    edge0 = turn0 * fused(c[0] - b[0], y - b[1], -((c[1] - b[1]) * (x - b[0])))
    edge1 = turn1 * fused(a[0] - c[0], y - c[1], -((a[1] - c[1]) * (x - c[0])))
    edge2 = turn2 * fused(b[0] - a[0], y - a[1], -((b[1] - a[1]) * (x - a[0])))
    total = edge0 * inverse[0] + edge1 * inverse[1] + edge2 * inverse[2]
    if scene.official != 0:
        total = total - OFFICIAL_EPSILON * orientation
    share = 1.0 / total
    weight0, weight1, weight2 = (
        edge0 * inverse[0] * share, edge1 * inverse[1] * share, edge2 * inverse[2] * share,
    )  # fmt: skip
    # depth = az (1, or the sum of the weights by the official rules) + weight1 (bz - az) + weight2 (cz - az)
    level = wp.where(scene.official != 0, weight0 + weight1 + weight2, 1.0)
    to_a, to_b, to_c = push * (level - weight1 - weight2), push * weight1, push * weight2
    to1 = to1 + push * (b[2] - a[2])
    to2 = to2 + push * (c[2] - a[2])
    if scene.official != 0:
        to0, to1, to2 = to0 + push * a[2], to1 + push * a[2], to2 + push * a[2]
    mean = to0 * weight0 + to1 * weight1 + to2 * weight2
    scaled0, scaled1, scaled2 = (to0 - mean) * share, (to1 - mean) * share, (to2 - mean) * share
    if scene.perspective != 0:
        to_a = to_a + through_inverse(a[2], inverse[0]) * edge0 * scaled0
        to_b = to_b + through_inverse(b[2], inverse[1]) * edge1 * scaled1
        to_c = to_c + through_inverse(c[2], inverse[2]) * edge2 * scaled2
    edge0, edge1, edge2 = scaled0 * inverse[0] * turn0, scaled1 * inverse[1] * turn1, scaled2 * inverse[2] * turn2
    # Edge 0 from b to c is (cx - bx) (y - by) - (cy - by) (x - bx), and so on.
    wp.atomic_add(
        gradient, image, corners[0],
        wp.vec3(edge1 * (y - c[1]) + edge2 * (b[1] - y), edge1 * (c[0] - x) + edge2 * (x - b[0]), to_a),
    )  # fmt: skip
    wp.atomic_add(
        gradient, image, corners[1],
        wp.vec3(edge2 * (y - a[1]) + edge0 * (c[1] - y), edge2 * (a[0] - x) + edge0 * (x - c[0]), to_b),
    )  # fmt: skip
    wp.atomic_add(
        gradient, image, corners[2],
        wp.vec3(edge0 * (y - b[1]) + edge1 * (a[1] - y), edge0 * (b[0] - x) + edge1 * (x - a[0]), to_c),
    )  # fmt: skip


# What XLA calls, each with arrays of one batch of images, pixels in rows. Nothing here waits for the GPU or asks for
# memory, so that all of it can be recorded once and played again (CUDA graphs).


def scene_of(cull: int, official: int, perspective: int, near: float, height: int, width: int) -> Scene:
    scene = Scene()
    scene.cull, scene.official, scene.perspective, scene.near = cull, official, perspective, near
    scene.height, scene.width = height, width
    across, down = reciprocal_parts(width), reciprocal_parts(height)
    scene.coarse, scene.fine = wp.vec2(across[0], down[0]), wp.vec2(across[1], down[1])
    scene.slack = wp.vec2(box_slack(width), box_slack(height))
    return scene


def surface(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), cull: int, official: int,
    perspective: int, near: float, height: int, width: int,
    index: wp.array2d(dtype=wp.int32), barycentric: wp.array2d(dtype=wp.vec3), depth: wp.array2d(dtype=wp.float32),
    keys: wp.array3d(dtype=wp.uint32), tickets: wp.array2d(dtype=wp.uint32), starts: wp.array2d(dtype=wp.uint32),
    owners: wp.array(dtype=wp.vec2i),
):  # fmt: skip
    """Face index, barycentrics and depth; the others are room to work in."""
    images, count, pixels, device = vertices.shape[0], faces.shape[1], index.shape[1], vertices.device
    keys, tickets, starts = (words_of_64_bits(words) for words in (keys, tickets, starts))
    scene = scene_of(cull, official, perspective, near, height, width)
    sharing = images // faces.shape[0]
    piece, bits = pieces_of(images * count, pixels)
    teams = teams_on(device)
    keys.fill_(2**64 - 1)
    tickets.zero_()
    among = [vertices, faces, scene, sharing]
    lists = [keys, tickets, starts, owners]
    wp.launch(draw_small, dim=(images, count), inputs=[*among, piece, bits, *lists], device=device)
    wp.launch(draw_pieces, dim=teams * 32, inputs=[*among, piece, bits, teams, *lists], device=device)
    wp.launch(tell, dim=(images, pixels), inputs=[*among, keys, index, barycentric, depth], device=device)


def surface_derivative(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), index: wp.array2d(dtype=wp.int32),
    to_weights: wp.array2d(dtype=wp.vec3), to_depth: wp.array2d(dtype=wp.float32), official: int,
    perspective: int, height: int, width: int, gradient: wp.array2d(dtype=wp.vec3),
):  # fmt: skip
    gradient.zero_()
    scene = scene_of(0, official, perspective, 0.0, height, width)
    sharing = vertices.shape[0] // faces.shape[0]
    inputs = [vertices, faces, index, to_weights, to_depth, scene, sharing, gradient]
    wp.launch(pull, dim=index.shape, inputs=inputs, device=vertices.device)

"""One face as kernels see it, rounding by rounding as the kernels for CPUs have it, and plain JAX there.

That no pixel falls between two faces or into both follows from the code here alone: both see exactly opposite numbers
on the edge that they share. Whether plain JAX on a GPU rounds alike nobody has seen.
"""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from emoca_jax.render.backends.edge_functions import OFFICIAL_EPSILON as PLAIN_EPSILON
from emoca_jax.render.backends.edge_functions import SMALLEST as PLAIN_SMALLEST
from emoca_jax.render.backends.warp_kernels import dialect
from emoca_jax.render.backends.warp_kernels.dialect import inlined

OFFICIAL_EPSILON = wp.constant(wp.float32(PLAIN_EPSILON))
SMALLEST = wp.constant(wp.float32(PLAIN_SMALLEST))
CUT_SLACK = wp.constant(wp.float32(1e-4))
"""By how much of itself the box of a face cut by the near plane is widened."""


@no_type_check
@wp.struct
class Scene:
    """What all threads share: the rules and the image. cull: 1 back, -1 front, 0 neither."""

    cull: wp.int32
    official: wp.int32
    perspective: wp.int32
    near: wp.float32
    height: wp.int32
    width: wp.int32
    coarse: wp.vec2
    """Reciprocals of width and height in two parts, see `pixel_centres`."""
    fine: wp.vec2
    slack: wp.vec2
    """Pixels by which boxes are widened in x and y, see `blocks.pixel_range`."""


@no_type_check
@wp.struct
class Face:
    """A face that may be seen. Vectors hold a number for each edge (opposite corner 0, 1, 2) or corner."""

    orientation: wp.float32
    """0: it cannot be seen."""
    origin_x: wp.vec3
    origin_y: wp.vec3
    along_x: wp.vec3
    along_y: wp.vec3
    least: wp.vec3
    inverse: wp.vec3
    level: wp.float32
    rise1: wp.float32
    rise2: wp.float32


@no_type_check
@wp.struct
class Edge:
    """From corner to corner, the inside on the positive side."""

    x: wp.float32
    y: wp.float32
    along_x: wp.float32
    along_y: wp.float32
    least: wp.float32


@dialect.func_native("""
#if defined(__CUDA_ARCH__)
    return __fmaf_rn(a, b, c);
#else
    return fmaf(a, b, c);
#endif
""")
def fused(a: wp.float32, b: wp.float32, c: wp.float32) -> wp.float32:
    """a b + c, rounded once."""
    ...


@inlined
def centre(number: wp.int32, size: wp.int32, coarse: wp.float32, fine: wp.float32) -> wp.float32:
    """As `pixel_centres`."""
    odd = wp.float32(2 * number + 1 - size)
    return fused(odd, coarse, odd * fine)


@inlined
def first_pixel(low: wp.float32, size: wp.int32, slack: wp.float32) -> wp.int32:
    """The first whose centre can lie beyond; clipped while it is a float, as huge ones are no integers."""
    first = wp.ceil((low + 1.0) * (0.5 * wp.float32(size)) - 0.5 - slack)
    return wp.int32(wp.min(wp.max(first, 0.0), wp.float32(size)))


@inlined
def last_pixel(high: wp.float32, size: wp.int32, slack: wp.float32) -> wp.int32:
    last = wp.floor((high + 1.0) * (0.5 * wp.float32(size)) - 0.5 + slack)
    return wp.int32(wp.min(wp.max(last, -1.0), wp.float32(size - 1)))


@inlined
def side(number: wp.float32) -> wp.float32:
    """Sign; that of 0 is 0."""
    return wp.where(number > 0.0, 1.0, wp.where(number < 0.0, -1.0, 0.0))


@inlined
def inverse_depth(z: wp.float32) -> wp.float32:
    return 1.0 / wp.max(wp.abs(z), SMALLEST)


@inlined
def oriented(a: wp.vec3, b: wp.vec3, c: wp.vec3, scene: Scene) -> wp.float32:
    """-1 for corners that run counter-clockwise on the screen, 1, or 0 for none that can be seen."""
    if not (wp.isfinite(a) and wp.isfinite(b) and wp.isfinite(c)):
        return 0.0
    area = fused(b[0] - a[0], c[1] - a[1], -((b[1] - a[1]) * (c[0] - a[0])))
    nearest, farthest = wp.min(wp.min(a[2], b[2]), c[2]), wp.max(wp.max(a[2], b[2]), c[2])
    if scene.official != 0 and not (wp.abs(area) > OFFICIAL_EPSILON and nearest >= OFFICIAL_EPSILON):
        return 0.0
    turned = side(area)
    if scene.perspective != 0:
        if not farthest >= scene.near:
            return 0.0
        turned = turned * side(a[2]) * side(b[2]) * side(c[2])
    if (scene.cull == 1 and not turned < 0.0) or (scene.cull == -1 and not turned > 0.0):
        return 0.0
    return turned


@inlined
def edge(start: wp.vec3, end: wp.vec3, orientation: wp.float32, scene: Scene) -> Edge:
    """As `edge_rows`: measured from the same end whichever way round a face lists it."""
    made = Edge()
    made.along_x = (end[0] - start[0]) * orientation
    made.along_y = (end[1] - start[1]) * orientation
    swap = end[0] < start[0] or (end[0] == start[0] and end[1] < start[1])
    if scene.perspective != 0:
        if (start[2] < 0.0) != (end[2] < 0.0):
            made.along_x = -made.along_x
            made.along_y = -made.along_y
        far, near = wp.abs(end[2]), wp.abs(start[2])
        swap = far > near or (far == near and swap)
    top_left = made.along_y < 0.0 or (made.along_y == 0.0 and made.along_x > 0.0)
    made.least = wp.where(top_left and scene.official == 0, 0.0, SMALLEST)
    made.x = wp.where(swap, end[0], start[0])
    made.y = wp.where(swap, end[1], start[1])
    return made


@inlined
def set_up(a: wp.vec3, b: wp.vec3, c: wp.vec3, scene: Scene) -> Face:
    """Everything about a face that its pixels share."""
    face = Face()
    face.orientation = oriented(a, b, c, scene)
    face.level = a[2]
    face.rise1 = b[2] - a[2]
    face.rise2 = c[2] - a[2]
    face.inverse = wp.vec3(1.0, 1.0, 1.0)
    if scene.perspective != 0:
        face.inverse = wp.vec3(inverse_depth(a[2]), inverse_depth(b[2]), inverse_depth(c[2]))
    first = edge(b, c, face.orientation, scene)
    second = edge(c, a, face.orientation, scene)
    third = edge(a, b, face.orientation, scene)
    face.origin_x = wp.vec3(first.x, second.x, third.x)
    face.origin_y = wp.vec3(first.y, second.y, third.y)
    face.along_x = wp.vec3(first.along_x, second.along_x, third.along_x)
    face.along_y = wp.vec3(first.along_y, second.along_y, third.along_y)
    face.least = wp.vec3(first.least, second.least, third.least)
    return face


@inlined
def cut_point(start: wp.vec3, end: wp.vec3, near: wp.float32) -> wp.vec2:
    """Where an edge passes through the near plane."""
    share = (near - start[2]) / (end[2] - start[2])
    return wp.vec2(
        (start[0] * start[2] + share * (end[0] * end[2] - start[0] * start[2])) / near,
        (start[1] * start[2] + share * (end[1] * end[2] - start[1] * start[2])) / near,
    )


@inlined
def box(a: wp.vec3, b: wp.vec3, c: wp.vec3, scene: Scene) -> wp.vec4i:
    """First and last column, first and last row of the pixels that a face can cover, or what of it lies before the
    near plane."""
    low = wp.vec2(wp.min(wp.min(a[0], b[0]), c[0]), wp.min(wp.min(a[1], b[1]), c[1]))
    high = wp.vec2(wp.max(wp.max(a[0], b[0]), c[0]), wp.max(wp.max(a[1], b[1]), c[1]))
    if scene.perspective != 0 and wp.min(wp.min(a[2], b[2]), c[2]) < scene.near:
        corners = wp.matrix_from_rows(a, b, c)
        low, high = wp.vec2(wp.inf, wp.inf), wp.vec2(-wp.inf, -wp.inf)
        spread = wp.vec2(0.0, 0.0)
        for i in range(3):
            start = wp.vec3(corners[i, 0], corners[i, 1], corners[i, 2])
            j = (i + 1) % 3
            end = wp.vec3(corners[j, 0], corners[j, 1], corners[j, 2])
            if start[2] >= scene.near:
                point = wp.vec2(start[0], start[1])
                low, high = wp.min(low, point), wp.max(high, point)
            if (start[2] < scene.near) != (end[2] < scene.near):
                point = cut_point(start, end, scene.near)
                low, high = wp.min(low, point), wp.max(high, point)
                spread = wp.max(spread, wp.vec2(wp.abs(point[0]), wp.abs(point[1])))
        low, high = low - CUT_SLACK * spread, high + CUT_SLACK * spread
    return wp.vec4i(
        first_pixel(low[0], scene.width, scene.slack[0]), last_pixel(high[0], scene.width, scene.slack[0]),
        first_pixel(low[1], scene.height, scene.slack[1]), last_pixel(high[1], scene.height, scene.slack[1]),
    )  # fmt: skip


@inlined
def depth_of(face: Face, edges: wp.vec3, scene: Scene) -> wp.float32:
    """Of the point whose edge functions these are, as the search compares it."""
    edge0, edge1, edge2 = edges[0], edges[1], edges[2]
    total = edge0 + edge1 + edge2
    if scene.perspective != 0:
        edge1, edge2 = edge1 * face.inverse[1], edge2 * face.inverse[2]
        total = fused(edge0, face.inverse[0], edge1) + edge2
        edge0 = edge0 * face.inverse[0]
    if scene.official != 0:
        total = total - OFFICIAL_EPSILON * face.orientation
    weight1, weight2 = edge1 / total, edge2 / total
    rise = fused(weight1, face.rise1, weight2 * face.rise2)
    return wp.where(scene.official != 0, fused(face.level, edge0 / total + weight1 + weight2, rise), face.level + rise)

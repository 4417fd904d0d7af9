"""Attributes blended over the K nearest faces around each pixel, and the derivative.

Which faces count, up to which (depth, face), and the boxes around them `soft.silhouette` has found. A thread for each
pixel goes through the boxes as there. The derivative is in `blend_gradient.py`.
"""

from __future__ import annotations

from typing import no_type_check

import warp as wp

from emoca_jax.render.backends.native.blend import FAINTEST_TOP as PLAIN_TOP
from emoca_jax.render.backends.warp_kernels.around import (
    STEEPEST,
    Picture,
    holds,
    picture_of,
    smallest,
    squared,
    touch,
)
from emoca_jax.render.backends.warp_kernels.dialect import compiled_exactly, inlined, kernel
from emoca_jax.render.backends.warp_kernels.edges import centre
from emoca_jax.render.backends.warp_kernels.shapes import GROUP
from emoca_jax.render.backends.warp_kernels.sharing import key_of, words_of_64_bits

compiled_exactly(__name__)

WIDTH = wp.constant(GROUP)
FAINTEST_TOP = wp.constant(wp.float32(PLAIN_TOP))


@no_type_check
@wp.struct
class Blend:
    """The options of an image."""

    radius: wp.float32
    sigma: wp.float32
    clip: wp.bool
    gamma: wp.float32
    near: wp.float32
    far: wp.float32


@inlined
def blend_of(options: wp.array2d(dtype=wp.float32), image: wp.int32) -> Blend:
    made = Blend()
    made.radius = options[image, 0]
    made.sigma = options[image, 1]
    made.clip = options[image, 2] != 0.0
    made.gamma = options[image, 3]
    made.near = options[image, 4]
    made.far = options[image, 5]
    return made


@inlined
def covered(distance: wp.float32, inside: wp.bool, sigma: wp.float32) -> wp.float32:
    """The share of a pixel that a face covers, exact where that is little."""
    grown = wp.exp(wp.min(wp.where(inside, distance, -distance) * (1.0 / sigma), STEEPEST))
    return grown / (1.0 + grown)


@inlined
def inverse_of(depth: wp.float32, blend: Blend) -> wp.float32:
    return (blend.far - depth) / (blend.far - blend.near)


@inlined
def shrink(sums: wp.array3d(dtype=wp.float32), image: wp.int32, pixel: wp.int32, factor: wp.float32):
    for k in range(sums.shape[2]):
        sums[image, pixel, k] = sums[image, pixel, k] * factor


@kernel
def blend_pixels(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), corners: wp.array3d(dtype=wp.float32),
    options: wp.array2d(dtype=wp.float32), picture: Picture, sharing: wp.int32, boxes: wp.array2d(dtype=wp.vec4i),
    groups: wp.array2d(dtype=wp.vec4i), blocks: wp.array2d(dtype=wp.vec4i), limits: wp.array2d(dtype=wp.uint64),
    tops: wp.array2d(dtype=wp.float32), sums: wp.array3d(dtype=wp.float32),
):  # fmt: skip
    """tops: the largest inverse depth at each pixel. sums: of the weights relative to it, and of attributes by them."""
    picked, pixel = wp.tid()
    blend, limit, channels = blend_of(options, picked), limits[picked, pixel], sums.shape[2] - 1
    i = pixel // picture.width
    j = pixel - i * picture.width
    x = centre(j, picture.width, picture.coarse[0], picture.fine[0]) * picture.aspect[0]
    y = centre(i, picture.height, picture.coarse[1], picture.fine[1]) * picture.aspect[1]
    for k in range(sums.shape[2]):
        sums[picked, pixel, k] = 0.0
    top = wp.float32(-wp.inf)
    for block in range(blocks.shape[1]):
        if holds(blocks[picked, block], i, j):
            for group in range(block * WIDTH, wp.min((block + 1) * WIDTH, groups.shape[1])):
                if holds(groups[picked, group], i, j):
                    for number in range(group * WIDTH, wp.min((group + 1) * WIDTH, boxes.shape[1])):
                        if holds(boxes[picked, number], i, j):
                            face = faces[picked // sharing, number]
                            a = squared(vertices[picked, face[0]], picture)
                            b = squared(vertices[picked, face[1]], picture)
                            c = squared(vertices[picked, face[2]], picture)
                            seen = touch(a, b, c, x, y, blend.clip)
                            distance = smallest(seen.distances)
                            near = seen.inside or distance < blend.radius
                            if near and key_of(seen.depth, number) <= limit:
                                inverse = inverse_of(seen.depth, blend)
                                if inverse > top:
                                    # What has been added up was measured from another one, or is nothing.
                                    shrink(sums, picked, pixel, wp.exp((top - inverse) / blend.gamma))
                                    top = wp.float32(inverse)
                                weight = covered(distance, seen.inside, blend.sigma)
                                weight = weight * wp.exp((inverse - top) / blend.gamma)
                                sums[picked, pixel, 0] += weight
                                for k in range(channels):
                                    mixed = seen.weights[0] * corners[picked, number, k]
                                    mixed = mixed + seen.weights[1] * corners[picked, number, channels + k]
                                    mixed = mixed + seen.weights[2] * corners[picked, number, 2 * channels + k]
                                    sums[picked, pixel, 1 + k] += weight * mixed
    if top < FAINTEST_TOP:
        shrink(sums, picked, pixel, wp.exp((top - FAINTEST_TOP) / blend.gamma))
        top = wp.float32(FAINTEST_TOP)
    tops[picked, pixel] = top


def blended(
    vertices: wp.array2d(dtype=wp.vec3), faces: wp.array2d(dtype=wp.vec3i), corners: wp.array3d(dtype=wp.float32),
    options: wp.array2d(dtype=wp.float32), limits: wp.array3d(dtype=wp.uint32), boxes: wp.array2d(dtype=wp.vec4i),
    groups: wp.array2d(dtype=wp.vec4i), blocks: wp.array2d(dtype=wp.vec4i), height: int, width: int,
    tops: wp.array2d(dtype=wp.float32), sums: wp.array3d(dtype=wp.float32),
):  # fmt: skip
    """corners: the attributes of each face's first corner, then of the others. options: of each image the blur radius,
    sigma, clip, gamma, near, far. limits, boxes, groups, blocks: of `soft.silhouette`."""
    picture, sharing = picture_of(height, width, 0), vertices.shape[0] // faces.shape[0]
    inputs = [vertices, faces, corners, options, picture, sharing, boxes, groups, blocks, words_of_64_bits(limits)]
    wp.launch(blend_pixels, dim=tops.shape, inputs=[*inputs, tops, sums], device=vertices.device)

"""Shading by lights near and far; multiply it by the albedo."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments, to_one_rank, to_rank
from emoca_jax.errors import InputError
from emoca_jax.products import precise_matmul
from emoca_jax.render.backends.choice import Backend, draws_natively
from emoca_jax.render.backends.native.lights import native_shade
from emoca_jax.render.normals import normalize

SH_BANDS = (
    1 / math.sqrt(4 * math.pi),
    *(2 * math.pi / 3 * math.sqrt(3 / (4 * math.pi)),) * 3,
    *(math.pi / 4 * 3 * math.sqrt(5 / (12 * math.pi)),) * 3,
    math.pi / 4 * 1.5 * math.sqrt(5 / (12 * math.pi)),
    math.pi / 4 * 0.5 * math.sqrt(5 / (4 * math.pi)),
)
"""Real spherical harmonics times the clamped-cosine kernel (Ramamoorthi and Hanrahan 2001), as DECA folds them; band 0
lacks the kernel's pi there, and so here."""


@checks_arguments
def sh_basis(normals: Float[Array, "*n 3"]) -> Float[Array, "*n 9"]:
    """The nine bands 1, x, y, z, xy, xz, yz, x^2 - y^2, 3 z^2 - 1 at unit normals, times SH_BANDS. Differentiable."""
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    return jnp.stack(_bands(x, y, z), axis=-1) * to_rank(jnp.array(SH_BANDS, normals.dtype), normals.ndim)


@checks_arguments
@functools.partial(jax.jit, static_argnames="backend")
def spherical_harmonics(
    normals: Float[Array, "*batch_points 3"], light: Float[Array, "*batch 9 3"], *, backend: Backend | None = None
) -> Float[Array, "*batch_points 3"]:
    """RGB shading of unit normals (world frame) by second-order spherical-harmonics light; multiply by the albedo.

    light: nine RGB coefficients; its batch dimensions lead those of the normals. Not clamped, so it may be negative.
    backend: as for `rasterize`. Differentiable in both, in reverse mode only.
    """
    batch = light.shape[:-2]
    count = math.prod(batch)
    if normals.shape[: len(batch)] != batch:
        raise InputError(f"Light of batch shape {batch} does not lead normals of shape {normals.shape}.")
    points = math.prod(normals.shape[len(batch) : -1])
    bands = light.reshape(count, 9, 3) * jnp.array(SH_BANDS, light.dtype)[None, :, None]
    arrays = normals.reshape(count, points, 3), bands
    singles = normals.dtype == light.dtype == jnp.float32
    if draws_natively(backend, "colour") and singles and normals.size:
        return native_shade(*arrays, _shade).reshape(normals.shape)
    return _shade(*arrays).reshape(normals.shape)


@jax.custom_vjp
def _shade(normals: Float[Array, "batch points 3"], light: Float[Array, "batch 9 3"]) -> Array:
    """light: with the factors in it."""
    first, *others = jnp.unstack(light[:, None], axis=-2)
    bands = _bands(*jnp.split(normals, 3, axis=-1))[1:]
    return first + sum(band * coefficient for band, coefficient in zip(bands, others, strict=True))


def _bands(x: Array, y: Array, z: Array) -> list[Array]:
    return [jnp.ones_like(x), x, y, z, x * y, x * z, y * z, x**2 - y**2, 3 * z**2 - 1]


def _shade_backward(kept: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    """By hand because what is derived sums nine images into the light instead of multiplying matrices."""
    normals, light = kept
    x, y, z = jnp.unstack(normals, axis=-1)
    basis = lax.optimization_barrier(jnp.stack(_bands(x, y, z), axis=1))
    to_light = precise_matmul(basis, cotangent)
    red, green, blue = jnp.unstack(cotangent, axis=-1)
    _, b_x, b_y, b_z, b_xy, b_xz, b_yz, b_square, b_zz = (
        light[:, i, :1] * red + light[:, i, 1:2] * green + light[:, i, 2:] * blue for i in range(9)
    )
    to_x = b_x + b_xy * y + b_xz * z + 2 * b_square * x
    to_y = b_y + b_xy * x + b_yz * z - 2 * b_square * y
    to_z = b_z + b_xz * x + b_yz * y + 6 * b_zz * z
    return jnp.stack([to_x, to_y, to_z], axis=-1), to_light


_shade.defvjp(lambda normals, light: (_shade(normals, light), (normals, light)), _shade_backward)


@checks_arguments
def point_lights(
    normals: Float[Array, "*#batch points 3"], points: Float[Array, "*#batch points 3"],
    positions: Float[Array, "*#batch lights 3"], intensities: Float[Array, "*#batch lights 3"], *,
    official: bool = False,
) -> Float[Array, "*batch points 3"]:  # fmt: skip
    """RGB shading of unit normals at points by lights at positions (all in one frame), without falling off: the sum
    over the lights of intensity times cosine, none from behind.

    official: as in DECA, the mean over the lights, and light from behind counts as negative.
    Differentiable in everything.
    """
    normals, points, positions, intensities = to_one_rank(normals, points, positions, intensities)
    cosines = _cosines(normals, positions[..., None, :] - points[..., None, :, :])
    return _lit(cosines if official else jnp.maximum(cosines, 0.0), intensities, official)


@checks_arguments
def directional_lights(
    normals: Float[Array, "*#batch points 3"], directions: Float[Array, "*#batch lights 3"],
    intensities: Float[Array, "*#batch lights 3"], *, official: bool = False,
) -> Float[Array, "*batch points 3"]:  # fmt: skip
    """RGB shading of unit normals by lights infinitely far in the given directions (towards the light, any length):
    the sum over the lights of intensity times cosine, none from behind. official: the mean, as in DECA.
    Differentiable in everything.
    """
    normals, directions, intensities = to_one_rank(normals, directions, intensities)
    return _lit(jnp.maximum(_cosines(normals, directions[..., None, :]), 0.0), intensities, official)


def _cosines(normals: Array, to_light: Array) -> Float[Array, "*batch lights points"]:
    return jnp.sum(normals[..., None, :, :] * normalize(to_light), axis=-1)


def _lit(cosines: Array, intensities: Array, mean: bool) -> Array:
    shading = cosines[..., None] * intensities[..., None, :]
    return jnp.mean(shading, axis=-3) if mean else jnp.sum(shading, axis=-3)

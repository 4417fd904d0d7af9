"""Light and albedo from one image in closed form: two alternating ridge regressions with outliers weighted down.

How bright the light is and how bright the skin cannot be told apart in one photo: pixels are their product. Who takes
a photo of a face exposes for it, so a face in the light is about as bright as its skin, and never much brighter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax import render
from emoca_jax.flame.head import AlbedoModel
from emoca_jax.model import Reconstruction
from emoca_jax.products import precise_einsum, precise_matmul

STRIDE = 2
"""Every second pixel both ways is plenty for 9 + 20 unknowns."""
ROUNDS = 4
COLOUR_SIGMA = 0.08
"""Colour error, of 1, that skin's fine structure and noise explain."""
EVIDENCE = 60.0
"""Independent observations that the (highly correlated) pixels are taken to be worth against the unit prior."""
ALBEDO_LIMIT = 2.5
"""Bound on albedo codes, standard deviations: a fringe or a shadow must not become a skin no one has."""
LIGHT_SIGMA = 0.35
"""Prior spread of light coefficients about plain white ambient light, in units of that light."""
TINT_SIGMA = 0.02
"""Prior spread of a colour channel's light about the common grey light: colour belongs to the skin first."""

EXPOSURE = 0.9
"""Mean shading of a well exposed face."""
OVER_SIGMA, UNDER_SIGMA = 0.12, 0.2
"""Spread of its logarithm above that and below: photos in the dark are common, and skin is not to blame for them."""
DARKENED = 0.2
"""Most that skin is made darker, as a logarithm, because a photo is dark."""
BRIGHTEST, BRIGHTEST_SHARE = 1.6, 0.95
"""Shading that this share of the face's pixels stays below in any case."""
DARKER = 0.5
"""Log ratio to the middle of the face at which a darker pixel counts half from the start: hair is no shadow."""

MIDDLE, DARKEST = 0.15, 0.04
"""Half side of that middle in the crop's sides, and brightness added before the logarithm."""


def ambient_light(*, batch: tuple[int, ...] = ()) -> Float[Array, "*batch 9 3"]:
    """White light from everywhere that shades every normal by 1."""
    unit = render.sh_basis(jnp.array([0.0, 0.0, 1.0]))[0]
    return jnp.broadcast_to(jnp.zeros((9, 3)).at[0].set(1.0 / unit), (*batch, 9, 3))


def fit_light_and_albedo(
    albedo: AlbedoModel,
    decoded: Reconstruction,
    image: Float[Array, "height width 3"],
    mask: Float[Array, "height width"],
) -> tuple[Float[Array, "9 3"], Float[Array, "components"]]:
    """Spherical-harmonics light and albedo code that best explain the pixels under `mask`, given the geometry.

    Minimises the robust (Cauchy) colour error plus unit-normal priors; grey light first, then a tint per channel.
    """
    cells = (slice(None, None, STRIDE), slice(None, None, STRIDE))
    weight = (mask * decoded.alpha)[cells].ravel()
    colour = image[cells].reshape(-1, 3)
    uv = decoded.uv_image[cells].reshape(-1, 2)
    mean = render.sample_texture(albedo.mean, uv)
    flat_basis = albedo.basis.reshape(*albedo.basis.shape[:2], -1)
    basis = render.sample_texture(flat_basis, uv).reshape(-1, 3, albedo.basis.shape[-1])
    bands = render.sh_basis(decoded.normal_image[cells].reshape(-1, 3))
    ambient = ambient_light()[:, 0]

    code, light = jnp.zeros(basis.shape[-1]), ambient
    robust = weight * _as_bright_as_the_middle(colour, weight, image.shape[0] // STRIDE)
    for _ in range(ROUNDS):
        skin = mean + precise_einsum("pck,k->pc", basis, code)
        light = _ridge(
            precise_einsum("pc,pb->pcb", skin, bands), colour, robust, ambient, LIGHT_SIGMA * ambient[0] * jnp.ones(9)
        )
        shading = precise_matmul(bands, light)[:, None]
        flat = jnp.zeros_like(code), jnp.ones_like(code)
        code = _ridge(shading[..., None] * basis, colour - shading * mean, robust, *flat)
        code = jnp.clip(code, -ALBEDO_LIMIT, ALBEDO_LIMIT)
        skin = mean + precise_einsum("pck,k->pc", basis, code)
        error = jnp.linalg.norm(colour - shading * skin, axis=-1) / (2 * COLOUR_SIGMA)
        robust = weight / (1 + error**2)

    light, code = _exposed(light, code, bands, basis, mean, weight, robust)
    skin = mean + precise_einsum("pck,k->pc", basis, code)

    def channel(c: int) -> jax.Array:
        spread = TINT_SIGMA * ambient[0] * jnp.ones(9)
        return _ridge((skin[:, c, None] * bands)[:, None], colour[:, c, None], robust, light, spread)

    return jnp.stack([channel(c) for c in range(3)], axis=-1), code


def _as_bright_as_the_middle(
    colour: Float[Array, "pixels 3"], weight: Float[Array, "pixels"], side: int
) -> Float[Array, "pixels"]:
    """1 for pixels as bright as the middle of the crop, where nose and cheeks are, and less for darker ones."""
    brightness = jnp.log(jnp.mean(colour, axis=-1) + DARKEST)
    place = jnp.abs(jnp.arange(side).astype(jnp.float32) - side / 2) < side * MIDDLE
    middle = (place[:, None] & place[None]).ravel() & (weight > 0)
    usual = jnp.nan_to_num(jnp.nanmedian(jnp.where(middle, brightness, jnp.nan)))
    return 1 / (1 + (jnp.minimum(brightness - usual, 0.0) / DARKER) ** 2)


def _exposed(
    light: Float[Array, "9"],
    code: Float[Array, "components"],
    bands: Float[Array, "pixels 9"],
    basis: Float[Array, "pixels 3 components"],
    mean: Float[Array, "pixels 3"],
    weight: Float[Array, "pixels"],
    robust: Float[Array, "pixels"],
) -> tuple[Float[Array, "9"], Float[Array, "components"]]:
    """Brightness moved between light and skin, which leaves their product, to where both priors like it best.

    The alternation cannot: each of its steps leaves it where it was.
    """
    shading = precise_matmul(bands, light)
    skin = mean + precise_einsum("pck,k->pc", basis, code)
    # How the code changes as the skin gets darker by a logarithm of one.
    zeros, ones = jnp.zeros_like(code), jnp.ones_like(code)
    darker = -_ridge(basis, skin, robust, zeros, ones)
    level = jnp.sum(weight * shading) / jnp.maximum(jnp.sum(weight), 1e-6)
    over = jnp.log(jnp.maximum(level, 0.05) / EXPOSURE)
    sureness = jnp.where(over > 0, OVER_SIGMA, UNDER_SIGMA) ** -2
    shift = -(jnp.sum(code * darker) + sureness * over) / (jnp.sum(darker**2) + sureness)
    lit = jnp.nan_to_num(jnp.nanquantile(jnp.where(weight > 0, shading, jnp.nan), BRIGHTEST_SHARE), nan=1.0)
    shift = jnp.minimum(shift, DARKENED)
    shift = jnp.minimum(shift, jnp.log(BRIGHTEST / jnp.maximum(lit, 0.05)))
    return light * jnp.exp(shift), jnp.clip(code + shift * darker, -ALBEDO_LIMIT, ALBEDO_LIMIT)


def _ridge(
    design: Float[Array, "pixels channels n"],
    target: Float[Array, "pixels channels"],
    weight: Float[Array, "pixels"],
    mean: Float[Array, "n"],
    sigma: Float[Array, "n"],
) -> Float[Array, "n"]:
    """argmin of EVIDENCE * weighted mean square of (design x - target) / COLOUR_SIGMA + |(x - mean) / sigma|^2."""
    share = EVIDENCE / COLOUR_SIGMA**2 * weight / jnp.maximum(jnp.sum(weight), 1.0)
    normal = precise_einsum("p,pci,pcj->ij", share, design, design) + jnp.diag(sigma**-2)
    right = precise_einsum("p,pci,pc->i", share, design, target) + mean / sigma**2
    return jax.scipy.linalg.solve(normal, right, assume_a="pos")

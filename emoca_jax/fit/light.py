"""Light and albedo from one image in closed form: two alternating ridge regressions with outliers weighted down."""

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
TINT_SIGMA = 0.08
"""Prior spread of a colour channel's light about the common grey light: colour belongs to the skin first."""


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
    robust = weight
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

    def channel(c: int) -> jax.Array:
        spread = TINT_SIGMA * ambient[0] * jnp.ones(9)
        return _ridge((skin[:, c, None] * bands)[:, None], colour[:, c, None], robust, light, spread)

    return jnp.stack([channel(c) for c in range(3)], axis=-1), code


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

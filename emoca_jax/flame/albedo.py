"""Skin colour without light: a linear model in uv space."""

from __future__ import annotations

from jaxtyping import Array, Float

from emoca_jax.arrays import checks_arguments, to_rank
from emoca_jax.errors import InputError
from emoca_jax.flame.head import AlbedoModel
from emoca_jax.products import precise_einsum


@checks_arguments
def albedo_map(model: AlbedoModel, code: Float[Array, "*batch components"]) -> Float[Array, "*batch height width 3"]:
    """Albedo texture [*B, H, W, 3] RGB for the given coordinates; row 0 is the top of the texture (v = 1).

    Linear in the code and not clipped, so that its gradient never dies; codes within the model's range stay in [0, 1].
    Errors: InputError for a code of another length than the model's.
    """
    if code.shape[-1:] != model.basis.shape[-1:]:
        raise InputError(f"code must have shape [..., {model.basis.shape[-1]}], not {list(code.shape)}.")
    from_mean = precise_einsum("hwck,...k->...hwc", model.basis, code)
    return to_rank(model.mean, from_mean.ndim) + from_mean

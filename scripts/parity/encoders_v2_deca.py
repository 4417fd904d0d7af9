"""The jaw variant, whose E_expression also gives the jaw, and plain DECA."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp

from emoca_jax.nets.encoders import split_flame
from parity.assets import Assets
from parity.encoders import displacement, emoca_codes, encoder_output
from parity.golden import Comparison, Golden
from parity.noise import within_noise


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    jaw = assets.model("emoca_jaw")
    output = encoder_output(jaw.variables("expression_encoder"), assets.images)
    yield from golden.check("E_expression", output, within_noise("E_expression"))
    yield from emoca_codes(golden, assets, "emoca_jaw")

    deca = assets.model("deca")
    flat = encoder_output(deca.variables("flame_encoder"), assets.images)
    detail = encoder_output(deca.variables("detail_encoder"), assets.images)
    yield from golden.check("deca_E_flame", flat, within_noise("E_flame"))
    yield from golden.check("deca_E_detail", detail, within_noise("E_detail"))
    coarse = split_flame(flat)
    latent = jnp.concatenate([coarse.jaw, coarse.expression, detail], axis=-1)
    found = displacement(deca.variables("detail_decoder"), latent)
    yield from golden.check("deca_uv_z", found[:, None], within_noise("uv_z"))

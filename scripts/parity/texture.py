"""The two albedo models."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp

from emoca_jax.flame import albedo_map
from parity.assets import Assets
from parity.golden import Comparison, Golden, Tolerance
from parity.layout import to_first

COLOUR = Tolerance(absolute=1e-6)


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("texcode")
    codes = jnp.asarray(golden["texcode"])
    for name in ("BFM", "FLAME"):
        model = assets.albedo(name.lower())
        yield from golden.check(f"albedo_{name}", to_first(albedo_map(model, codes)), COLOUR)

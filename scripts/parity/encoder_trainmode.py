"""E_expression in training mode: batch statistics, and the running ones after one step."""

from __future__ import annotations

from collections.abc import Iterator

import jax

from emoca_jax.nets.encoders import EXPRESSION_OUTPUTS, Encoder
from parity.assets import Assets
from parity.golden import Comparison, Golden, Tolerance
from parity.noise import within_noise

CODES = Tolerance(absolute=1e-4)
"""The reference's for codes: the statistics of four images amplify rounding, and no noise floor was measured."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    network = Encoder(EXPRESSION_OUTPUTS)
    variables = assets.model("emoca").variables("expression_encoder")

    @jax.jit
    def step(variables, images):
        return network.apply(variables, images, train=True, mutable=["batch_stats"])

    output, changed = step(variables, assets.images)
    yield from golden.check("train_mode_E_expression", output, CODES)
    first = changed["batch_stats"]["trunk"]["conv1"]["norm"]
    yield from golden.check("bn1_running_mean_after", first["mean"], within_noise("E_expression"))
    yield from golden.check("bn1_running_var_after", first["var"], within_noise("E_expression"))

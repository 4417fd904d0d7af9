"""EmoNet on the made-up images, enlarged to 256 pixels."""

from __future__ import annotations

from collections.abc import Iterator

import jax

from emoca_jax.nets.emotion.emonet import EmoNet, emonet_images
from parity.assets import Assets
from parity.golden import Comparison, Golden
from parity.layout import to_first
from parity.noise import NETWORK


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    read = jax.jit(lambda variables, images: EmoNet().apply(variables, emonet_images(images)))
    found = read(assets.variables("emonet"), assets.images)
    yield from golden.check("heatmap", to_first(found.heat_maps), NETWORK)
    yield from golden.check("expression", found.expression_logits, NETWORK)
    yield from golden.check("valence", found.valence, NETWORK)
    yield from golden.check("arousal", found.arousal, NETWORK)
    reason = "state of PyTorch modules after eval(); our networks take `train` as an argument and have no such state"
    yield from golden.exceptions(reason, "training_flag_after_eval")

"""Swin-B that reads emotion from a face, as EMOCA's release has it beside the ResNet-50."""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.nets.emotion.swin_blocks import WINDOW, PatchMerging, SwinBlock, dense, layer_norm
from emoca_jax.nets.encoders import IMAGE_SIZE
from emoca_jax.products import PRECISION

PATCH = 4
"""Pixels a side of what the first layer sees as one."""
SWIN_SIZE = IMAGE_SIZE
"""Pixels a side of the input: the last stage then has one window."""


class EmotionSwin(nn.Module):
    """RGB faces [B, 224, 224, 3] in [0, 1], no mean subtracted, to emotion; features are the 1024 pooled ones.

    Defaults are Swin-B's (arXiv:2103.14030, section 3.3). Other sizes of image must be multiples of a window at every
    stage. No stochastic depth: for inference and fine-tuning.
    """

    channels: int = 128
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)

    @nn.compact
    def __call__(self, images: Float[AnyArray, "batch height width 3"], *, train: bool = False) -> AffectRead:
        del train  # nothing differs
        x = nn.Conv(self.channels, (PATCH, PATCH), PATCH, padding="VALID", precision=PRECISION, name="patch_embed")(
            images
        )
        x = layer_norm("patch_norm")(x)
        for stage, (depth, heads) in enumerate(zip(self.depths, self.heads, strict=True)):
            if stage:
                x = PatchMerging(name=f"downsample{stage - 1}")(x)
            for block in range(depth):
                x = SwinBlock(heads, block % 2 * (WINDOW // 2), name=f"stage{stage}_block{block}")(x)
        pooled = layer_norm("norm")(x).mean(axis=(1, 2))
        return affect_read(dense(AFFECT_OUTPUTS, "head")(pooled), pooled)

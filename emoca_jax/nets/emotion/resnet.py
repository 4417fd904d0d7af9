"""The ResNet-50 that reads emotion from a face: EMOCA's emotion network (arXiv:2204.11312, section 3.2)."""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.convolution import TORCH_START
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.nets.resnet import ResNet50
from emoca_jax.products import PRECISION


class EmotionResNet50(nn.Module):
    """RGB faces [B, 224, 224, 3] in [0, 1], no mean subtracted, to emotion.

    Features are the 2048 pooled ones, those of the emotion consistency loss. The trunk has the layout of VGGFace2's
    ResNet-50, from which its training starts.
    """

    folded: bool = False
    """Whether the parameters come from `fold_batch_norms`: for inference."""

    @nn.compact
    def __call__(self, images: Float[AnyArray, "batch height width 3"], *, train: bool = False) -> AffectRead:
        pooled = ResNet50("vggface2", folded=self.folded, name="trunk")(images, train=train)
        head = nn.Dense(AFFECT_OUTPUTS, precision=PRECISION, kernel_init=TORCH_START, name="head")
        return affect_read(head(pooled), pooled)

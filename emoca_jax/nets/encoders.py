"""E_flame, E_expression, E_detail: what a photo says about a face (EMOCA, arXiv:2204.11312, figure 2)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.convolution import TORCH_START, fold_batch_norms, with_winograd
from emoca_jax.nets.resnet import ResNet50, has_stride
from emoca_jax.products import PRECISION, Precision

FLAME_OUTPUTS = 236
EXPRESSION_OUTPUTS = 50
EXPRESSION_JAW_OUTPUTS = 53
DETAIL_OUTPUTS = 128
HIDDEN = 1024
IMAGE_SIZE = 224
"""Pixels a side of the crops that the encoders were trained on; faces are fitted and drawn at this size as well."""

CROP_MARGIN = 1.1 * 1.25
"""Side of the crop over the mean of the landmark box's sides: EMOCA's two enlargements."""

FLAME_PARTS = {"shape": 100, "albedo": 50, "expression": 50, "pose": 3, "jaw": 3, "camera": 3, "light": 27}
"""The order of E_flame's numbers, fixed by the official weights."""


class FlameCodes(NamedTuple):
    """E_flame's answer, under the names of `emoca_jax.codes.Codes`."""

    shape: Float[Array, "*batch shapes"]
    albedo: Float[Array, "*batch components"]
    expression: Float[Array, "*batch expressions"]
    pose: Float[Array, "*batch 2 3"]
    """Axis-angle of the whole head; the neck stays 0."""
    jaw: Float[Array, "*batch 3"]
    camera: Float[Array, "*batch 3"]
    light: Float[Array, "*batch 9 3"]


class ExpressionCodes(NamedTuple):
    """E_expression's answer; `jaw` is None for networks that leave it to E_flame."""

    expression: Float[Array, "*batch expressions"]
    jaw: Float[Array, "*batch 3"] | None


class Encoder(nn.Module):
    """RGB images [B, 224, 224, 3] in [0, 1], not normalised -> `outputs` numbers: ResNet-50, 1024 ReLUs, linear.

    Called with `train`, the batch norms use the batch's statistics and update the running ones ("batch_stats").
    """

    outputs: int
    folded: bool = False
    """Whether the parameters come from `fold_batch_norms`: for inference."""
    dtype: Any = jnp.float32
    """What the convolutions compute in, bfloat16 for speed; parameters, statistics and dense layers stay float32."""
    precision: Precision = PRECISION
    """Of products of float32; `DEFAULT` lets a GPU use TF32."""

    def setup(self) -> None:
        self.trunk = ResNet50(folded=self.folded, dtype=self.dtype, precision=self.precision)
        self.hidden = nn.Dense(HIDDEN, precision=self.precision, kernel_init=TORCH_START)
        self.head = nn.Dense(self.outputs, precision=self.precision, kernel_init=TORCH_START)

    def __call__(
        self, images: Float[AnyArray, "batch height width 3"], *, train: bool = False
    ) -> Float[Array, "batch outputs"]:
        return self.regress(self.trunk(images, train=train))

    def regress(self, features: Float[Array, "batch 2048"]) -> Float[Array, "batch outputs"]:
        """From the trunk's features on."""
        return self.head(nn.relu(self.hidden(features)))


def inference_variables(variables: Mapping, *, winograd: bool = True) -> dict:
    """An encoder's variables for `Encoder(outputs, folded=True)` and `run_encoder`: batch norms folded and, with
    `winograd`, 3 x 3 kernels transformed, which pays on a CPU alone and doubles the time to compile."""
    folded = fold_batch_norms(variables)
    return with_winograd(folded, takes=lambda path: not has_stride(path)) if winograd else folded


@functools.partial(jax.jit, static_argnames=("dtype", "precision"))
def _features(
    trunk: Mapping, images: Float[AnyArray, "batch 224 224 3"], dtype: Any, precision: Precision
) -> Float[Array, "batch 2048"]:
    network = ResNet50(folded=not trunk.get("batch_stats"), dtype=dtype, precision=precision)
    features: Any = network.apply(trunk, images)
    return features


@functools.partial(jax.jit, static_argnames="precision")
def _regress(layers: Mapping, features: Float[Array, "batch 2048"], precision: Precision) -> Any:
    encoder = Encoder(layers["head"]["bias"].shape[-1], precision=precision)
    return encoder.apply({"params": layers}, features, method="regress")


def run_encoder(
    variables: Mapping,
    images: Float[AnyArray, "batch 224 224 3"],
    *,
    dtype: Any = jnp.float32,
    precision: Precision = PRECISION,
) -> Float[Array, "batch outputs"]:
    """What an `Encoder` with these variables makes of the images; its size, and whether it is folded, show in them.

    Not jitted as a whole: all encoders share one compiled trunk, and those called one after another run side by side.
    dtype, precision: as in `Encoder`. Differentiable to variables and images.
    """
    trunk = {name: collection["trunk"] for name, collection in variables.items() if collection}
    layers = {name: value for name, value in variables["params"].items() if name != "trunk"}
    return _regress(layers, _features(trunk, images, dtype, precision), precision)


def split_flame(flat: Float[Array, "*batch 236"]) -> FlameCodes:
    """E_flame's numbers by name."""
    batch, parts, start = flat.shape[:-1], {}, 0
    for name, size in FLAME_PARTS.items():
        parts[name] = flat[..., start : start + size]
        start += size
    parts["pose"] = jnp.stack([parts["pose"], jnp.zeros_like(parts["pose"])], axis=-2)
    parts["light"] = parts["light"].reshape(*batch, 9, 3)
    return FlameCodes(**parts)


def split_expression(flat: Float[Array, "*batch outputs"]) -> ExpressionCodes:
    """E_expression's 50 or 53 numbers by name."""
    jaw = flat[..., EXPRESSION_OUTPUTS:]
    return ExpressionCodes(flat[..., :EXPRESSION_OUTPUTS], jaw if jaw.shape[-1] else None)

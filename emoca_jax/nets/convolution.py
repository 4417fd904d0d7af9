"""Convolutions of the official networks, each with its batch norm, and how both become one convolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import lax
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray
from emoca_jax.nets.batch_norm import TORCH_EPSILON, BatchNorm
from emoca_jax.nets.winograd import PATCH, transform_kernel, winograd_convolution
from emoca_jax.products import PRECISION, Precision

ImageFeatures = Float[AnyArray, "batch _height _width _channels"]
"""Each with numbers of its own but for the batch."""

# He et al., arXiv:1502.01852, as torchvision starts its ResNets.
RESNET_START = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# Uniform within 1 / sqrt(fan in): where torch.nn.Linear and Conv2d start from.
TORCH_START = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Conv(nn.Module):
    """Square convolution, NHWC, padded by `size // 2` zeros on every side; kernel [size, size, in, out].

    1 x 1 convolutions are matrix products over the channels: their gradients are then 1.4 to 1.6 times as fast on a
    CPU, and their values as fast. A kernel from `with_winograd` is taken as it is: [16, in, out].
    """

    features: int
    size: int = 3
    stride: int = 1
    use_bias: bool = False
    dtype: Any = jnp.float32
    """Of the computation and its result; parameters stay float32."""
    start: Any = RESNET_START
    precision: Precision = PRECISION

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        x = x.astype(self.dtype)
        if self.has_variable("params", "winograd"):
            assert self.stride == 1, "Winograd's convolution knows no stride"
            shape = (PATCH * PATCH, x.shape[-1], self.features)
            x = winograd_convolution(x, self.param("winograd", self.start, shape).astype(self.dtype))
        else:
            shape = (self.size, self.size, x.shape[-1], self.features)
            x = _convolve(x, self.param("kernel", self.start, shape).astype(self.dtype), self.stride, self.precision)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            x = x + bias.astype(self.dtype)[None, None, None]
        return x


def _convolve(
    x: ImageFeatures, kernel: Float[AnyArray, "size size in out"], stride: int, precision: Precision
) -> Array:
    size = kernel.shape[0]
    if size == 1:
        return jnp.einsum("bhwc,cd->bhwd", x[:, ::stride, ::stride], kernel[0, 0], precision=precision)
    pad = (size // 2, size // 2)
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), (pad, pad), dimension_numbers=layout, precision=precision
    )


class ConvNorm(nn.Module):
    """A convolution and its batch norm; `folded`: one convolution with a bias, from `fold_batch_norms`' parameters."""

    features: int
    size: int = 3
    stride: int = 1
    use_bias: bool = False
    """Of the convolution that is not folded."""
    epsilon: float = TORCH_EPSILON
    folded: bool = False
    dtype: Any = jnp.float32
    start: Any = RESNET_START
    precision: Precision = PRECISION

    @nn.compact
    def __call__(self, x: ImageFeatures, *, train: bool = False) -> ImageFeatures:
        use_bias = self.use_bias or self.folded
        rules = (use_bias, self.dtype, self.start, self.precision)
        x = Conv(self.features, self.size, self.stride, *rules, name="conv")(x)
        return x if self.folded else BatchNorm(self.epsilon, name="norm")(x, train=train)


def fold_batch_norms(variables: Mapping, *, epsilon: float = TORCH_EPSILON) -> dict:
    """Variables of the same network with `folded=True`: every batch norm goes into the convolution in front of it.

    For inference only: the running statistics become constants. `epsilon` is that of the network's `ConvNorm`s.
    Computed in NumPy, in float64.
    """
    params: dict = dict(flatten_dict(dict(variables["params"]), sep="/"))
    statistics: dict = dict(flatten_dict(dict(variables.get("batch_stats", {})), sep="/"))
    for place in [path.removesuffix("norm/scale") for path in params if path.endswith("/norm/scale")]:
        norm = {name: params.pop(f"{place}norm/{name}") for name in ("scale", "bias")}
        norm |= {name: statistics.pop(f"{place}norm/{name}") for name in ("mean", "var")}
        bias = params.get(f"{place}conv/bias", 0.0)
        folded = _fold(params[f"{place}conv/kernel"], bias, norm, epsilon)
        params[f"{place}conv/kernel"], params[f"{place}conv/bias"] = folded
    return {"params": unflatten_dict(params, sep="/"), "batch_stats": unflatten_dict(statistics, sep="/")}


def _fold(kernel: Any, bias: Any, norm: Mapping[str, Any], epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of the convolution that does what the convolution and its norm do."""
    scale, shift, mean, variance = (np.asarray(norm[name], np.float64) for name in ("scale", "bias", "mean", "var"))
    factor = scale / np.sqrt(variance + epsilon)
    together = shift + (np.asarray(bias, np.float64) - mean) * factor
    return (np.asarray(kernel) * factor).astype(np.float32), together.astype(np.float32)


def with_winograd(variables: Mapping, *, takes: Callable[[str], bool] = lambda path: True) -> dict:
    """The same variables with the kernels of 3 x 3 convolutions transformed: for inference on a CPU, see `winograd`.

    `takes` is asked with the path of each ("trunk/layer1_0/conv2/conv/kernel"): it must refuse those with a stride.
    """
    params: dict = dict(flatten_dict(dict(variables["params"]), sep="/"))
    for path in list(params):
        if path.endswith("kernel") and np.shape(params[path])[:2] == (3, 3) and takes(path):
            params[path.removesuffix("kernel") + "winograd"] = transform_kernel(np.asarray(params.pop(path)))
    return {**variables, "params": unflatten_dict(params, sep="/")}


def max_pool(x: ImageFeatures, before: int, after: int) -> ImageFeatures:
    """Largest of 3 x 3 with stride 2; `before` and `after` are the rows and columns of padding at the two ends.

    Axis by axis on shifted views: 1.6 times as fast as XLA's windows on a CPU, and its gradient needs no search.
    """
    for axis in (1, 2):
        padding = [(0, 0, 0)] * 4
        padding[axis] = (before, after, 0)
        padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), padding)
        last = (padded.shape[axis] - 3) // 2 * 2
        parts = [lax.slice_in_dim(padded, i, i + last + 1, stride=2, axis=axis) for i in range(3)]
        x = jnp.maximum(jnp.maximum(parts[0], parts[1]), parts[2])
    return x

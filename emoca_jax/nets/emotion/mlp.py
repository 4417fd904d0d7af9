"""EMO-MLP: emotion from the codes of a 3D face, with no pixel seen (EMOCA, section 3.4 and supplementary material)."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emoca_jax.arrays import AnyArray, checks_arguments
from emoca_jax.nets.batch_norm import BatchNorm
from emoca_jax.nets.convolution import TORCH_START
from emoca_jax.nets.emotion.affect import AFFECT_OUTPUTS, AffectRead, affect_read
from emoca_jax.products import PRECISION

HIDDEN_LAYERS = 4
HIDDEN_FEATURES = 2048
SLOPE = 0.2
"""Of the leaky ReLUs on the negative side."""
CODE_INPUTS = 100 + 50 + 3
"""FLAME's shape and expression coordinates and the jaw's axis-angle, as DECA has them."""
DETAIL_INPUTS = 128
"""More where the network sees EMOCA's detail code as well."""


class EmotionMLP(nn.Module):
    """4 x [dense 2048, batch norm, leaky ReLU], then a dense layer; input as `emotion_inputs` orders it.

    layers, features: others than the official ones for other codes. folded: batch norms are part of the dense layers.
    """

    layers: int = HIDDEN_LAYERS
    features: int = HIDDEN_FEATURES
    folded: bool = False

    @nn.compact
    def __call__(self, x: Float[AnyArray, "*batch inputs"], *, train: bool = False) -> AffectRead:
        for index in range(self.layers):
            x = _dense(self.features, f"hidden{index}")(x)
            x = nn.leaky_relu(x if self.folded else BatchNorm(name=f"norm{index}")(x, train=train), SLOPE)
        return affect_read(_dense(AFFECT_OUTPUTS, "output")(x), x)


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, precision=PRECISION, kernel_init=TORCH_START, name=name)


@checks_arguments
def emotion_inputs(
    shape: Float[Array, "*batch 100"],
    expression: Float[Array, "*batch 50"],
    jaw: Float[Array, "*batch 3"],
    *,
    detail: Float[Array, "*batch 128"] | None = None,
) -> Float[Array, "*batch inputs"]:
    """The codes in the order the network was trained on; the detail code only for a network that takes it."""
    parts = [shape, expression, jaw] + ([] if detail is None else [detail])
    return jnp.concatenate(parts, axis=-1)

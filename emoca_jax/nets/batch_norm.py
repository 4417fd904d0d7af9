"""Batch normalisation as PyTorch has it, so that its checkpoints can be trained on."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

TORCH_EPSILON = 1e-5
TORCH_MOMENTUM = 0.1
"""Share of the new batch in the running statistics: torch.nn.BatchNorm2d's default."""


class BatchNorm(nn.Module):
    """Normalises the last axis over all others; arXiv:1502.03167.

    Unlike `flax.linen.BatchNorm`, the running variance takes the batch's unbiased variance, as PyTorch does. Statistics
    are means over the whole array: under jit with the batch sharded over devices they are those of the global batch.
    Computed in float32 whatever the input's type; the result has the input's type.
    """

    epsilon: float = TORCH_EPSILON
    momentum: float = TORCH_MOMENTUM

    @nn.compact
    def __call__(self, x: Float[Array, "*batch channels"], train: bool = False) -> Float[Array, "*batch channels"]:
        channels = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_variance = self.variable("batch_stats", "var", jnp.ones, channels)
        mean, variance = running_mean.value, running_variance.value
        if train:
            mean, variance = _batch_statistics(x)
            if not self.is_initializing():
                self._remember(running_mean, mean)
                count = x.size // x.shape[-1]
                self._remember(running_variance, variance * (count / max(count - 1, 1)))
        factor = scale * lax.rsqrt(variance + self.epsilon)
        return (x.astype(jnp.float32) * factor + (bias - mean * factor)).astype(x.dtype)

    def _remember(self, running: nn.Variable, batch: Array) -> None:
        """Moves a running statistic towards the batch's, which gets no gradient through it."""
        running.value = (1 - self.momentum) * running.value + self.momentum * lax.stop_gradient(batch)


def _batch_statistics(x: Float[Array, "*batch channels"]) -> tuple[Array, Array]:
    """Mean and biased variance per channel, in two passes: a channel far from zero loses no digits."""
    axes = tuple(range(x.ndim - 1))
    x = x.astype(jnp.float32)
    mean = x.mean(axes)
    return mean, jnp.square(x - mean).mean(axes)

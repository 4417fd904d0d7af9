"""Products that keep float32's digits on every platform, and where they are computed.

A GPU multiplies in TF32 and a TPU in bfloat16 unless asked not to: three digits, where geometry and parity need six.
Everything outside the networks multiplies by these; a network's layers take PRECISION (TF32 would be off by 1e-3 where
parity asks for 1e-5, and move MediaPipe's landmarks by a tenth of a pixel), or less by configuration.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Num

Precision = lax.Precision
PRECISION = Precision.HIGHEST

CUBLAS = {"xla_gpu_enable_triton_gemm": False}
"""`compiler_options` for an outermost `jax.jit`: on a GPU its products go to cuBLAS; elsewhere it does nothing.

XLA would write a kernel of its own for each, in some dozens of tilings that it compiles and times in the first run:
long for a network of a hundred small dense layers. And jaxlib 0.10 finds no tiling for products that windows of 7 x 7
(Swin) or resized maps flow into, and gives up where it may not time any.
"""


def precise_einsum(subscripts: str, *operands: Num[Array | np.ndarray, "..."]) -> Num[Array, "..."]:
    """`jnp.einsum` at full precision. Differentiable."""
    return jnp.einsum(subscripts, *operands, precision=PRECISION)


def precise_matmul(left: Num[Array | np.ndarray, "..."], right: Num[Array | np.ndarray, "..."]) -> Num[Array, "..."]:
    """`jnp.matmul` at full precision. Differentiable."""
    return jnp.matmul(left, right, precision=PRECISION)

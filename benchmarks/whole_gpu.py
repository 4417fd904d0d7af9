"""What surrounds drawing on a GPU: the whole decode with gradients, and encoders at several precisions.

Run by `benchmarks/rasterize_gpu.py`; runs on a CPU as well, slowly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rasterize import SEED, measure

from emoca_jax.codes import Codes
from emoca_jax.flame import load_head
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import decode
from emoca_jax.nets.encoders import (
    DETAIL_OUTPUTS,
    EXPRESSION_OUTPUTS,
    FLAME_OUTPUTS,
    IMAGE_SIZE,
    Encoder,
    inference_variables,
    run_encoder,
)
from emoca_jax.products import Precision

OUTPUTS = (FLAME_OUTPUTS, EXPRESSION_OUTPUTS, DETAIL_OUTPUTS)
SPREAD = 0.5
"""Standard deviations of identity and albedo codes that are decoded."""
SCALE = 7.0
"""Of their camera: the head fills the picture."""


class Rate(NamedTuple):
    seconds: float
    """Of a batch, median."""
    first: float
    """Of compiling and the first call."""


def decoding(batch: int, *, seconds: float) -> Rate:
    """A batch of open heads decoded at 224 pixels, and the gradient of its pictures to all codes."""
    head = jax.device_put(load_head("open"))

    def loss(codes: Codes) -> jax.Array:
        return jnp.mean(decode(head, codes, (IMAGE_SIZE, IMAGE_SIZE)).rendering ** 2)

    time = measure(jax.jit(jax.grad(loss)), people(head, batch), runs=20, seconds=seconds)
    return Rate(time.median, time.first)


def people(head: FaceHead, batch: int) -> Codes:
    """Random people at random expressions before the camera."""
    rng = np.random.default_rng(SEED)

    def zeros(*shape: int) -> jax.Array:
        return jnp.zeros((batch, *shape))

    def normal(count: int) -> jax.Array:
        return jnp.asarray(SPREAD * rng.normal(size=(batch, count)), jnp.float32)

    assert head.albedo is not None
    return Codes(
        shape=normal(head.shape_dirs.shape[-1]),
        expression=jnp.asarray(rng.uniform(size=(batch, head.expression_dirs.shape[-1])), jnp.float32),
        pose=zeros(2, 3), jaw=zeros(3), eyes=zeros(2, 3), camera=zeros(3).at[:, 0].set(SCALE),
        light=zeros(9, 3).at[:, 0].set(3.0).at[:, 3].set(0.5), albedo=normal(head.albedo.basis.shape[-1]),
    )  # fmt: skip


class Encoding(NamedTuple):
    rate: Rate
    off: float
    """Largest difference of a code to float32's, in standard deviations of that encoder's codes."""


def encoding(batch: int, *, seconds: float) -> dict[str, Encoding]:
    """E_flame, E_expression and E_detail, with made-up weights, forward on a batch of noise, by precision."""
    rng = np.random.default_rng(SEED)
    images = jnp.asarray(rng.uniform(size=(batch, IMAGE_SIZE, IMAGE_SIZE, 3)), jnp.float32)
    variables = [_made_up(outputs, number) for number, outputs in enumerate(OUTPUTS)]
    ways: dict[str, dict[str, Any]] = {
        "float32": {}, "TF32": {"precision": Precision.DEFAULT},
        "bfloat16": {"dtype": jnp.bfloat16, "precision": Precision.DEFAULT},
    }  # fmt: skip
    found, exact = {}, None
    for way, options in ways.items():

        def codes(variables: Any, images: Any, options: dict[str, Any] = options) -> list[jax.Array]:
            return [run_encoder(own, images, **options) for own in variables]

        run = jax.jit(codes)
        time = measure(run, variables, images, runs=20, seconds=seconds)
        told = [np.asarray(x) for x in run(variables, images)]
        exact = exact or told
        off = max(float(np.abs(a - b).max() / b.std()) for a, b in zip(told, exact, strict=True))
        found[way] = Encoding(Rate(time.median, time.first), off)
    return found


def _made_up(outputs: int, seed: int) -> Any:
    """Folded variables of an encoder that has learned nothing."""
    network = Encoder(outputs)
    picture = jnp.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3))
    return inference_variables(jax.jit(network.init)(jax.random.key(seed), picture), winograd=False)

"""What a ResNet is made of, against torch; batch norm over devices. The whole: `test_encoders`, `test_identity`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.nets.batch_norm import BatchNorm
from emoca_jax.nets.convolution import Conv, max_pool
from emoca_jax.nets.resnet import Bottleneck


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def nchw(x):
    return np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1))


def test_batch_norm_trains_as_torch_does(torch):
    """Three steps: results, gradients, and running statistics with their unbiased variance."""
    rng = np.random.default_rng(0)
    theirs = torch.nn.BatchNorm2d(5, eps=0.8)
    theirs.weight.data = torch.from_numpy(rng.uniform(0.5, 1.5, 5).astype(np.float32))
    module = BatchNorm(epsilon=0.8)
    variables: Any = module.init(jax.random.key(0), jnp.zeros((1, 2, 2, 5)))
    params = {"scale": jnp.asarray(theirs.weight.detach().numpy()), "bias": jnp.zeros(5)}
    statistics = variables["batch_stats"]
    for _ in range(3):
        x = rng.normal(3, 2, (2, 3, 1, 5)).astype(np.float32)
        weights = rng.normal(size=x.shape).astype(np.float32)

        def loss(params, x, statistics=statistics, weights=weights):
            variables = {"params": params, "batch_stats": statistics}
            y, state = module.apply(variables, x, train=True, mutable=["batch_stats"])
            return jnp.sum(y * weights), state["batch_stats"]

        (value, statistics), (by_params, by_x) = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, x)
        theirs.zero_grad()
        input_ = torch.from_numpy(nchw(x)).requires_grad_()
        total = (theirs(input_) * torch.from_numpy(nchw(weights))).sum()
        total.backward()
        np.testing.assert_allclose(value, total.item(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(by_params["scale"], theirs.weight.grad, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(nchw(by_x), input_.grad, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(statistics["mean"], theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(statistics["var"], theirs.running_var, rtol=1e-5)


@pytest.mark.parametrize("ceil", [False, True], ids=["torchvision", "vggface2"])
@pytest.mark.parametrize("size", [112, 15, 16])
def test_max_pool_pads_as_torch_does(torch, size, ceil):
    x = np.random.default_rng(size).normal(size=(1, size, size, 2)).astype(np.float32)
    theirs = torch.nn.MaxPool2d(3, 2, padding=0 if ceil else 1, ceil_mode=ceil)(torch.from_numpy(nchw(x)))
    # Ceil mode pads only where a window would stick out.
    padding = (0, 1 - size % 2) if ceil else (1, 1)
    np.testing.assert_array_equal(nchw(max_pool(jnp.asarray(x), *padding)), theirs)


@pytest.mark.parametrize("size, stride", [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
def test_convolution_and_its_gradients_are_torch_s(torch, size, stride):
    rng = np.random.default_rng(size + stride)
    x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 12, 10, 3), (size, size, 3, 4)))
    module = Conv(4, size, stride)

    def run(kernel, x) -> Any:
        return module.apply({"params": {"kernel": kernel}}, x)

    y, back = jax.vjp(run, kernel, x)
    weights = rng.normal(size=y.shape).astype(np.float32)
    by_kernel, by_x = back(jnp.asarray(weights))
    tx, tk = (torch.from_numpy(a).requires_grad_() for a in (nchw(x), kernel.transpose(3, 2, 0, 1).copy()))
    expected = torch.nn.functional.conv2d(tx, tk, stride=stride, padding=size // 2)
    (expected * torch.from_numpy(nchw(weights))).sum().backward()
    np.testing.assert_allclose(nchw(y), expected.detach(), atol=2e-5)
    np.testing.assert_allclose(by_kernel, tk.grad.numpy().transpose(2, 3, 1, 0), atol=1e-4)
    np.testing.assert_allclose(nchw(by_x), tx.grad, atol=5e-5)


@pytest.mark.thorough
def test_bfloat16_computes_in_bfloat16_with_float32_parameters():
    module = Bottleneck(8, 2, project=True, dtype=jnp.bfloat16)
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 16))
    variables = module.init(jax.random.key(0), x)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    exact: Any = Bottleneck(8, 2, project=True).apply(variables, x)
    rounded: Any = module.apply(variables, x)
    assert rounded.dtype == jnp.bfloat16
    error = np.abs(rounded.astype(jnp.float32) - exact).max() / np.sqrt(np.mean(exact**2))
    assert 1e-4 < error < 0.1


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from emoca_jax.nets.convolution import ConvNorm
module = ConvNorm(4, 3, dtype=jnp.float32)
x = jax.random.normal(jax.random.key(1), (8, 6, 6, 3)) * jnp.arange(1, 9, dtype=jnp.float32)[:, None, None, None]
variables = module.init(jax.random.key(0), x)
step = jax.jit(lambda v, x: module.apply(v, x, train=True, mutable=["batch_stats"]))
alone = step(variables, x)
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
parted = step(jax.device_put(variables, NamedSharding(mesh, P())), jax.device_put(x, NamedSharding(mesh, P("data"))))
assert len(parted[0].sharding.device_set) == 4
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), alone, parted)
"""


@pytest.mark.thorough
def test_statistics_are_those_of_the_whole_batch_when_it_is_sharded():
    """Four simulated devices, whose shares have different variances, against one."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

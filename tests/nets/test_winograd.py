"""Winograd's convolution against the plain one."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.nets.convolution import Conv, with_winograd
from emoca_jax.nets.winograd import transform_kernel, winograd_convolution


@pytest.mark.parametrize("height, width", [(8, 8), (7, 7), (5, 6), (1, 2)])
def test_equals_the_plain_convolution(height, width):
    rng = np.random.default_rng(height)
    x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((2, height, width, 5), (3, 3, 5, 4)))
    expected: Any = Conv(4).apply({"params": {"kernel": kernel}}, x)
    actual = winograd_convolution(jnp.asarray(x), jnp.asarray(transform_kernel(kernel)))
    np.testing.assert_allclose(actual, expected, atol=2e-5)


def test_a_convolution_takes_transformed_kernels_where_it_finds_them():
    rng = np.random.default_rng(0)
    variables = {"params": {"conv2": {"conv": {"kernel": rng.normal(size=(3, 3, 5, 4)).astype(np.float32)}},
                            "layer2_0": {"conv2": {"conv": {"kernel": np.zeros((3, 3, 2, 2), np.float32)}}},
                            "shortcut": {"kernel": np.zeros((1, 1, 5, 4), np.float32)}}}  # fmt: skip
    fast: Any = with_winograd(variables, takes=lambda path: "layer2_0" not in path)["params"]
    assert set(fast["conv2"]["conv"]) == {"winograd"}
    assert set(fast["layer2_0"]["conv2"]["conv"]) == set(fast["shortcut"]) == {"kernel"}
    x = rng.normal(size=(1, 6, 6, 5)).astype(np.float32)
    plain: Any = Conv(4).apply({"params": variables["params"]["conv2"]["conv"]}, x)
    found: Any = Conv(4).apply({"params": fast["conv2"]["conv"]}, x)
    np.testing.assert_allclose(found, plain, atol=2e-5)

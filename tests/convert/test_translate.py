"""Names and layouts from PyTorch: checked against torch's own layers on the same numbers."""

from __future__ import annotations

import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.convert.readers.translate import UNKNOWN, translate
from emoca_jax.errors import InputError

TABLE = {"0": "conv", "1": "norm", "2": "pointwise", "head.4": "head"}


class Small(nn.Module):
    """A convolution, a batch norm, a 1 x 1 convolution kept as a matrix, a dense layer, a bare table."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(5, (2, 3), padding="VALID", name="conv")(x)
        x = nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="norm")(x)
        x = nn.Dense(4, use_bias=False, name="pointwise")(x).mean(axis=(1, 2))
        return nn.Dense(3, name="head")(x) + self.param("table", nn.initializers.zeros, (3,))[None]


@pytest.fixture(scope="module")
def torch_side():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, (2, 3)), torch.nn.BatchNorm2d(5), torch.nn.Conv2d(5, 4, 1, bias=False),
        torch.nn.Linear(4, 3),
    ).eval()  # fmt: skip
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(layers[1], name).data.uniform_(0.5, 1.5)
    x, table = torch.randn(2, 3, 6, 7), torch.randn(3)
    with torch.no_grad():
        expected = layers[3](layers[:3](x).mean((2, 3))) + table
    state = {key: value.numpy() for key, value in layers.state_dict().items() if not key.startswith("3.")}
    state |= {"head.4.weight": layers[3].weight.detach().numpy(), "head.4.bias": layers[3].bias.detach().numpy()}
    return state | {"table": table.numpy()}, x.numpy().transpose(0, 2, 3, 1), expected.numpy()


@pytest.fixture(scope="module")
def template():
    return jax.eval_shape(Small().init, jax.random.key(0), jnp.zeros((1, 6, 7, 3)))


@pytest.mark.parametrize("rename", [TABLE | {"": ""}, (TABLE | {"": ""}).get], ids=["table", "function"])
def test_a_translated_network_computes_what_torch_computes(torch_side, template, rename):
    state, x, expected = torch_side
    variables, rows = translate(state, rename, template, what="small network")
    found: Any = Small().apply(variables, x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert jax.tree.structure(variables) == jax.tree.structure(template)
    assert [row.source for row in rows] == list(state)
    by_source = {row.source: row for row in rows}
    assert by_source["0.weight"][1:] == ("params/conv/kernel", (5, 3, 2, 3), "OIHW -> HWIO")
    assert by_source["2.weight"].note == "OI11 -> IO"
    assert by_source["1.running_var"].target == "batch_stats/norm/var"
    assert by_source["1.num_batches_tracked"].target is None


def test_keys_without_a_place_are_reported_with_the_reason(torch_side, template):
    state = torch_side[0] | {"fc.weight": np.zeros((2, 2)), "loss.mean": np.zeros(3), "0.gain": np.zeros(1)}
    rows = translate(
        state, TABLE | {"": ""}, template, what="x", skipped=lambda key: "training only" if "loss" in key else None
    ).rows
    notes = {row.source: row.note for row in rows if row.target is None}
    assert notes == {
        "1.num_batches_tracked": "count of training batches",
        "fc.weight": UNKNOWN,
        "0.gain": UNKNOWN,
        "loss.mean": "training only",
    }


@pytest.mark.parametrize("rename", [TABLE | {"": ""}, (TABLE | {"": ""}).get], ids=["table", "function"])
def test_one_error_names_what_is_missing_and_what_has_the_wrong_shape(torch_side, template, rename):
    state = {key: value for key, value in torch_side[0].items() if key != "1.running_mean"}
    state |= {"0.weight": np.zeros((5, 3, 3, 2)), "2.weight": np.zeros((4, 6, 1, 1)), "head.4.weight": np.zeros((3, 5))}
    with pytest.raises(InputError) as error:
        translate(state, rename, template, what="small network")
    message = str(error.value)
    for part in ("complete small network", "lacks 1.running_mean [5]", "0.weight should be [5, 3, 2, 3] and is",
                 "2.weight should be [4, 5, 1, 1] and is", "head.4.weight should be [3, 4] and is [3, 5]"):  # fmt: skip
        assert part in message


def test_a_missing_module_is_named_as_the_official_file_spells_it(torch_side, template):
    state = {key: value for key, value in torch_side[0].items() if not key.startswith(("head", "0"))}
    with pytest.raises(InputError, match=re.escape("head.4.weight [3, 4]")):
        translate(state, TABLE | {"": ""}, template, what="small network")


def test_two_keys_for_one_place_are_a_mistake(torch_side, template):
    state = torch_side[0] | {"9.weight": torch_side[0]["0.weight"]}
    with pytest.raises(ValueError, match="conv/kernel"):
        translate(state, TABLE | {"": "", "9": "conv"}, template, what="x")

"""Checkpoints against what torch itself loads from them: every kind, stride and sharing."""

import tracemalloc
from collections import OrderedDict
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from emoca_jax.safe_files.torch_files import read_torch
from tests.safe_files.torch_checkpoints import PLAIN, WIDENED, assert_same, saved

LATER = ["uint16", "uint32", "uint64"]


def every_bit_pattern(kind: str) -> torch.Tensor:
    """Bytes 0, 1, 2, ... seen as the kind; whole range of the 16-bit kinds."""
    raw = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
    if kind == "bool":
        raw = raw & 1
    return torch.from_numpy(raw.copy()).view(getattr(torch, kind))


@pytest.mark.parametrize(
    ("kind", "legacy"),
    [(kind, False) for kind in (*PLAIN, *LATER, *WIDENED)] + [(kind, True) for kind in (*PLAIN, "bfloat16")],
)
def test_every_kind_is_exact(kind: str, legacy: bool, tmp_path: Path) -> None:
    tensor = every_bit_pattern(kind)
    ours = read_torch(saved(tmp_path / "a.pt", {"a": tensor, "b": tensor[3:4]}, legacy=legacy))
    expected = tensor.to(getattr(torch, WIDENED.get(kind, kind)))
    assert_same(ours["a"], expected)
    assert_same(ours["b"], expected[3:4])


@pytest.mark.parametrize("legacy", [False, True])
def test_views_share_their_storage(legacy: bool, tmp_path: Path) -> None:
    base = torch.arange(60.0)
    value = OrderedDict(
        whole=base,
        transposed=base.view(6, 10).T,
        sliced=base.view(3, 4, 5)[1:, ::2, 1],
        expanded=base[:3, None].expand(3, 4),
        windows=base.as_strided((5, 6), (2, 3), 7),
        scalar=base[7],
        empty=base[:0].view(0, 4),
        parameter=torch.nn.Parameter(base.view(6, 10)[2:4]),
    )
    ours = read_torch(saved(tmp_path / "a.pt", value, legacy=legacy))
    assert list(ours) == list(value)
    for name, tensor in value.items():
        assert_same(ours[name], tensor.detach())
        assert not ours[name].flags.writeable
        assert name == "empty" or np.shares_memory(ours[name], ours["whole"])


@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_checkpoint(legacy: bool, tmp_path: Path) -> None:
    """Modules with tied weights and buffers, an optimiser's state, plain values."""
    torch.manual_seed(0)
    first, norm, last = torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 2, 1)
    last.bias = torch.nn.Parameter(norm.weight[:2])
    network = torch.nn.Sequential(first, norm, last)
    moments = {0: {"step": torch.tensor(1.0), "exp_avg": torch.rand(3, 2, 3, 3)}, 1: {"exp_avg": torch.rand(3)}}
    value = {
        "state_dict": network.state_dict(),
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.99)}]}],
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "kind": (1, 2.5, None, True, "é", b"\0\1", {3, 4}, 1 << 70),
    }
    path = saved(tmp_path / "a.ckpt", value, legacy=legacy)
    ours, theirs = read_torch(path), torch.load(path, weights_only=False)
    for name, tensor in theirs["state_dict"].items():
        assert_same(ours["state_dict"][name], tensor)
    steps = ours["optimizer_states"][0]["state"]
    for index, state in theirs["optimizer_states"][0]["state"].items():
        for name, tensor in state.items():
            assert_same(steps[index][name], tensor)
    assert ours["size"] == (1, 2) and ours["device"] == "cpu" and ours["kind"] == value["kind"]


def test_conjugate_and_negative_bits(tmp_path: Path) -> None:
    conjugate = torch.tensor([1 + 2j, 3 - 4j]).conj()
    negative = torch.tensor([1 + 2j, 3 - 4j]).conj().imag
    assert conjugate.is_conj() and negative.is_neg()
    ours = read_torch(saved(tmp_path / "a.pt", [conjugate, negative.clone(), conjugate]))
    assert_same(ours[0], conjugate)
    assert_same(read_torch(saved(tmp_path / "b.pt", negative)), negative)


def test_attributes_of_parameters_are_left_out(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    vars(weight)["note"] = "made-up"
    tensor = torch.zeros(2)
    vars(tensor)["note"] = "made-up"
    ours = read_torch(saved(tmp_path / "a.pt", [weight, tensor]))
    assert_same(ours[0], weight.detach())
    assert_same(ours[1], tensor)


def test_infinite_parts_stay_apart(tmp_path: Path) -> None:
    parts = torch.tensor([[1.0, float("inf")], [float("-inf"), 2.0]]).half()
    ours = read_torch(saved(tmp_path / "a.pt", torch.view_as_complex(parts)))
    np.testing.assert_array_equal(ours.real, parts[:, 0].float().numpy())
    np.testing.assert_array_equal(ours.imag, parts[:, 1].float().numpy())


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_a_bare_tensor_and_a_bare_storage(tmp_path: Path) -> None:
    tensor = torch.arange(4.0)
    assert_same(read_torch(saved(tmp_path / "a.pt", tensor)), tensor)
    assert_same(read_torch(saved(tmp_path / "b.pt", tensor.storage())), tensor)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(data=st.data(), legacy=st.booleans())
def test_any_view_reads_as_torch_has_it(
    data: st.DataObject, legacy: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    count = data.draw(st.integers(1, 40))
    sizes = data.draw(st.lists(st.integers(0, 4), max_size=4))
    strides = [data.draw(st.integers(0, 5)) for _ in sizes]
    reach = sum(max(size - 1, 0) * stride for size, stride in zip(sizes, strides, strict=True))
    hypothesis.assume(reach < count)
    offset = data.draw(st.integers(0, count - 1 - reach))
    tensor = torch.arange(count, dtype=torch.int32).as_strided(sizes, strides, offset)
    path = saved(tmp_path_factory.mktemp("views") / "a.pt", [tensor], legacy=legacy)
    assert_same(read_torch(path)[0], tensor)


def test_nothing_is_read_before_it_is_used(tmp_path: Path) -> None:
    """40 MB of tensors add next to nothing to the memory that Python and NumPy hold."""
    path = saved(tmp_path / "a.pt", {str(i): torch.zeros(1_000_000) for i in range(10)})
    tracemalloc.start()
    ours = read_torch(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ours) == 10
    assert peak < 1 << 20

"""Checkpoints against what torch itself loads from them: every kind, stride, sharing and format."""

import io
import os
import pickle
import struct
import sys
import tarfile
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from emoca_jax.errors import InputError
from emoca_jax.safe_files.torch_files import read_torch

PLAIN = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64", "complex128"]
LATER = ["uint16", "uint32", "uint64"]
# Kind -> what it is read as: every value of the kind is exactly one of the wider kind.
WIDENED = {
    "bfloat16": "float32",
    "complex32": "complex64",
    "float8_e4m3fn": "float16",
    "float8_e4m3fnuz": "float16",
    "float8_e5m2": "float16",
    "float8_e5m2fnuz": "float16",
}


def saved(path: Path, value: object, *, legacy: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def every_bit_pattern(kind: str) -> torch.Tensor:
    """Bytes 0, 1, 2, ... seen as the kind; whole range of the 16-bit kinds."""
    raw = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
    if kind == "bool":
        raw = raw & 1
    return torch.from_numpy(raw.copy()).view(getattr(torch, kind))


def assert_same(ours: np.ndarray, theirs: torch.Tensor) -> None:
    expected = theirs.resolve_conj().resolve_neg().numpy()
    assert ours.dtype == expected.dtype
    assert ours.shape == expected.shape
    np.testing.assert_array_equal(ours, expected)


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
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 2, 1))
    network[2].bias = torch.nn.Parameter(network[1].weight[:2])
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
    weight.note = "made-up"
    tensor = torch.zeros(2)
    tensor.note = "made-up"
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


def big_endian_copy(source: Path, target: Path) -> Path:
    """The file as a big-endian machine writes it: the marker, and 4-byte elements turned round."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if "/data/" in name:
                content = np.frombuffer(content, "<u4").astype(">u4").tobytes()
            new.writestr(name, b"big" if name.endswith("byteorder") else content)
    return target


def test_big_endian(tmp_path: Path) -> None:
    value = {"f": torch.arange(6.0).view(2, 3).T, "i": torch.tensor([1, -2, 1 << 20], dtype=torch.int32)}
    path = big_endian_copy(saved(tmp_path / "a.pt", value), tmp_path / "b.pt")
    ours, theirs = read_torch(path), torch.load(path)
    for name, expected in theirs.items():
        assert_same(expected.numpy(), value[name])
        assert_same(ours[name], expected)
        assert ours[name].dtype.isnative


def test_a_repacked_deflated_checkpoint(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.pt", {"zeros": torch.zeros(100, 100), "one": torch.ones(1)})
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    ours = read_torch(tmp_path / "b.pt")
    assert_same(ours["zeros"], torch.zeros(100, 100))
    assert_same(ours["one"], torch.ones(1))


def tar_checkpoint(path: Path, tensor: torch.Tensor, split: int) -> Path:
    """A file as PyTorch 0.1 wrote it: one storage, a view of it from `split` on, a tensor over each."""
    raw = tensor.contiguous().numpy()

    def described(key: int, storage: int, sizes: tuple, strides: tuple, offset: int) -> bytes:
        numbers = struct.pack(f"<{2 * len(sizes) + 1}q", *sizes, *strides, offset)
        return pickle.dumps((key, storage, torch.FloatTensor), 2) + struct.pack("<i4x", len(sizes)) + numbers

    def storage_class() -> bytes:
        return pickle.dumps((11, "cpu", torch.FloatStorage), 2)

    class References(pickle.Pickler):
        def persistent_id(self, value: object) -> str | None:
            return str(value["tensor"]) if isinstance(value, dict) and "tensor" in value else None

    contents = io.BytesIO()
    References(contents, 2).dump(OrderedDict(whole={"tensor": 21}, rest={"tensor": 22}))
    files = {
        "sys_info": pickle.dumps({"protocol_version": 1000, "little_endian": True}, 2),
        "storages": pickle.dumps(1, 2)
        + storage_class()
        + struct.pack("<q", raw.size)
        + raw.tobytes()
        + pickle.dumps([(12, 11, split, raw.size - split)], 2),
        "tensors": pickle.dumps(2, 2)
        + described(21, 11, tuple(tensor.shape), tuple(tensor.stride()), 0)
        + described(22, 12, (raw.size - split - 1,), (1,), 1),
        "pickle": contents.getvalue(),
    }
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_tar_of_the_first_versions(tmp_path: Path) -> None:
    tensor = torch.arange(12.0).view(3, 4)
    path = tar_checkpoint(tmp_path / "a.tar", tensor, 5)
    ours = read_torch(path)
    try:
        theirs = torch.load(path, weights_only=False)
    except (RuntimeError, AttributeError) as error:
        pytest.skip(f"this torch no longer reads its own tar files: {error}")
    for name in ("whole", "rest"):
        assert_same(ours[name], theirs[name])
    assert_same(ours["rest"], torch.arange(6.0, 12.0))
    assert np.shares_memory(ours["whole"], ours["rest"])


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


def lying_checkpoint(path: Path, *, count: int = 4, offset: int = 0, sizes: str = "4", strides: str = "1") -> Path:
    """A checkpoint of one tensor over 4 floats that says of it what we like (numbers as text, separated by spaces)."""

    def numbers(text: str) -> bytes:
        return b"(" + b"".join(b"I%s\n" % number.encode() for number in text.split()) + b"t"

    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpuI%d\ntQ" % count
    view = b"I%d\n" % offset + numbers(sizes) + numbers(strides)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"\x89ccollections\nOrderedDict\n)RtR"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\2" + tensor + b".")
        archive.writestr("a/version", "3\n")
        archive.writestr("a/data/0", np.arange(4, dtype="<f4").tobytes())
    return path


def test_the_lying_checkpoint_can_tell_the_truth(tmp_path: Path) -> None:
    path = lying_checkpoint(tmp_path / "a.pt", sizes="2 3", strides="1 1")
    np.testing.assert_array_equal(read_torch(path), [[0, 1, 2], [1, 2, 3]])
    np.testing.assert_array_equal(read_torch(path), torch.load(path, weights_only=False))
    assert read_torch(lying_checkpoint(tmp_path / "b.pt", sizes="1000 1000", strides="0 0")).shape == (1000, 1000)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"sizes": "1000000 1000000", "strides": "0 0"}, "claims far more"),
        ({"sizes": "1000000000000", "strides": "0"}, "claims far more"),
        ({"sizes": "1000000000000"}, "beyond its data"),
        ({"sizes": "1000000000000000000000 10", "strides": "1 1"}, "beyond its data"),
        ({"sizes": "4", "strides": "2"}, "beyond its data"),
        ({"offset": 1}, "beyond its data"),
        ({"offset": 10**12}, "beyond its data"),
        ({"offset": -1}, "negative"),
        ({"strides": "-1"}, "negative"),
        ({"sizes": "-4"}, "negative"),
        ({"sizes": "4 1"}, "as many strides"),
        ({"sizes": "1 " * 65, "strides": "1 " * 65}, "sizes expected"),
        ({"count": 10**12}, "shorter than announced"),
        ({"count": 5}, "shorter than announced"),
        ({"count": -1}, "negative"),
    ],
)
def test_tensors_that_lie_about_their_size(lie: dict, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"a\.pt.*{reason}"):
        read_torch(lying_checkpoint(tmp_path / "a.pt", **lie))


def test_many_views_may_not_add_up_to_a_terabyte(tmp_path: Path) -> None:
    wide = torch.zeros(1).expand(4096, 4096)
    saved(tmp_path / "few.pt", [wide, wide.T])
    assert len(read_torch(tmp_path / "few.pt")) == 2
    with pytest.raises(InputError, match="claim to be far larger"):
        read_torch(saved(tmp_path / "many.pt", [wide[:, i:] for i in range(10)]))


@pytest.mark.parametrize("cut", [0, 1, 20, 200, 5000, -1, -30])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_download_that_broke_off(cut: int, legacy: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "broken.pt", {"a": torch.zeros(1000), "b": torch.ones(1000)}, legacy=legacy)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"broken\.pt"):
        read_torch(path)


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"a": torch.zeros(1000)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="checksum"):
        read_torch(path)
    assert read_torch(path, check=False)["a"].shape == (1000,)


def test_a_checkpoint_saved_without_checksums(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path / "a.pt", {"a": torch.ones(3)})
    finally:
        torch.serialization.set_crc32_options(before)
    assert_same(read_torch(path)["a"], torch.ones(3))


def test_whole_modules_and_programs_are_refused_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        read_torch(path)
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"b/{name}", b"N.")
    with pytest.raises(InputError, match="TorchScript"):
        read_torch(tmp_path / "b.pt")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4" + b"\0" * 100, b"\0" * 2000, b"\x80\x02N."])
def test_what_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pt"):
        read_torch(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.pt", Path("a\0b")):
        with pytest.raises(InputError):
            read_torch(path)
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="not a file"):
            read_torch(tmp_path / "pipe")

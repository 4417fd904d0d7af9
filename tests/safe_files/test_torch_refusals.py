"""Checkpoints that lie, broke off or are none: refused with a sentence that names the file."""

import os
import pickle
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from emoca_jax.errors import InputError
from emoca_jax.safe_files.array_files import read_pickle
from emoca_jax.safe_files.torch_files import read_torch
from emoca_jax.safe_files.torch_legacy import MAGIC
from tests.safe_files.torch_checkpoints import saved


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


# Whole numbers hash to what they leave on division by this.
SAME_HASH = (1 << 61) - 1


@pytest.mark.thorough
def test_numbers_that_collide_cost_nothing(tmp_path: Path) -> None:
    """A dictionary of them takes time by the square of their count: a megabyte took a minute."""
    numbers = [count * SAME_HASH for count in range(30_000)]
    memo = b"N" + b"".join(b"p%d\n" % number for number in numbers) + b"."
    storages = b"".join(b"(S'storage'\nctorch\nFloatStorage\nL%dL\nS'cpu'\nI0\nNtQ0" % number for number in numbers)
    header = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, {}))
    started = time.monotonic()
    (tmp_path / "memo.pkl").write_bytes(memo)
    assert read_pickle(tmp_path / "memo.pkl") is None
    (tmp_path / "legacy.pt").write_bytes(header + b"\x80\x02" + storages + b"N." + pickle.dumps(numbers, 2))
    with pytest.raises(InputError, match="is used as a key"):
        read_torch(tmp_path / "legacy.pt")
    near = b"N" + b"".join(b"r%b" % (count << 14).to_bytes(4, "little") for count in range(200_000)) + b"."
    (tmp_path / "near.pkl").write_bytes(near)
    assert read_pickle(tmp_path / "near.pkl") is None
    assert time.monotonic() - started < 20

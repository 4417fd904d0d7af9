"""The containers of a checkpoint: big-endian, repacked, without checksums, tar of the first versions."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from emoca_jax.safe_files.torch_files import read_torch
from tests.safe_files.torch_checkpoints import assert_same, big_endian_copy, saved, tar_checkpoint


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


def test_a_checkpoint_saved_without_checksums(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path / "a.pt", {"a": torch.ones(3)})
    finally:
        torch.serialization.set_crc32_options(before)
    assert_same(read_torch(path)["a"], torch.ones(3))


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

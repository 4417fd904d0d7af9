"""Checkpoints as torch writes them, now and formerly, and when ours are the same."""

import io
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

PLAIN = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64", "complex128"]
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


def assert_same(ours: np.ndarray, theirs: torch.Tensor) -> None:
    expected = theirs.resolve_conj().resolve_neg().numpy()
    assert ours.dtype == expected.dtype
    assert ours.shape == expected.shape
    np.testing.assert_array_equal(ours, expected)


def big_endian_copy(source: Path, target: Path) -> Path:
    """The file as a big-endian machine writes it: the marker, and 4-byte elements turned round."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if "/data/" in name:
                content = np.frombuffer(content, "<u4").astype(">u4").tobytes()
            new.writestr(name, b"big" if name.endswith("byteorder") else content)
    return target


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

"""Tensors as PyTorch pickles them: a storage (bytes and a kind) and a view of it (offset, sizes, strides)."""

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from emoca_jax.errors import InputError
from emoca_jax.safe_files.pickle_machine import Machine
from emoca_jax.safe_files.refusal import Damage, quoted
from emoca_jax.safe_files.stand_ins import Name, as_size, as_sizes

PLAIN = (
    *(f"float{bits}" for bits in (16, 32, 64)),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("complex64", "complex128", "bool"),
)
WIDENED = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
"""Kinds that NumPy has no word for: bfloat16 is read as float32, the others as float16, complex32 as complex64:
exactly."""
KINDS: dict[str, np.dtype] = {
    **{kind: np.dtype(kind) for kind in PLAIN},
    **{kind: np.dtype(getattr(ml_dtypes, kind)) for kind in WIDENED},
    "complex32": np.dtype([("real", "f2"), ("imaginary", "f2")]),
}
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
    "_UntypedStorage": "uint8",
}
MOST_EXPANDED = 1 << 24
"""What a checkpoint may mean by one number expanded to many: an attention mask, not a terabyte."""


class Storage:
    """The bytes behind some tensors. `raw` is None while a file is only being surveyed."""

    def __init__(self, raw: memoryview | None, kind: str, *, big_endian: bool = False) -> None:
        self.raw = raw
        self.kind = kind
        self.big_endian = big_endian
        self._values: dict[str, np.ndarray] = {}

    def values(self, machine: Machine, kind: str) -> np.ndarray:
        """The whole storage as a read-only vector of one kind; asked twice, the same memory."""
        if kind not in self._values:
            assert self.raw is not None
            vector = _vector(machine, self.raw, kind, big_endian=self.big_endian)
            vector.flags.writeable = False
            self._values[kind] = vector
        return self._values[kind]


def _vector(machine: Machine, raw: memoryview, kind: str, *, big_endian: bool) -> np.ndarray:
    dtype = KINDS[kind]
    if kind in WIDENED and dtype.itemsize == 2:
        # bfloat16 is the upper half of a float32.
        bits = np.frombuffer(raw, ">u2" if big_endian else "<u2", len(raw) // 2)
        machine.budget.copy(2 * len(raw))
        widened = bits.astype("<u4")
        widened <<= 16
        return widened.view("<f4").astype(np.float32, copy=False)
    if dtype.itemsize > 1:
        dtype = dtype.newbyteorder(">" if big_endian else "<")
    vector = np.frombuffer(raw, dtype, len(raw) // dtype.itemsize) if len(raw) else np.zeros(0, dtype)
    if kind == "complex32":
        machine.budget.copy(2 * len(raw))
        widened = np.empty(len(vector), np.complex64)
        widened.real, widened.imag = vector["real"], vector["imaginary"]
        return widened
    if kind in WIDENED:
        machine.budget.copy(2 * len(raw))
        return vector.astype(np.float16)
    if kind == "bool":
        # A bool is any byte in the file, 0 or 1 in an array.
        machine.budget.copy(len(raw))
        return np.frombuffer(raw, np.uint8) != 0
    if not dtype.isnative:
        machine.budget.copy(len(raw))
        return vector.astype(dtype.newbyteorder("="))
    return vector


def storage_of(place: str, kind: Any, count: Any, raw: memoryview | None, *, big_endian: bool = False) -> Storage:
    """The storage of `count` elements at the beginning of `raw`; `kind` is a storage class as the file names it."""
    if not isinstance(kind, Name) or kind.name not in STORAGES:
        shown = quoted(kind.name if isinstance(kind, Name) else kind)
        raise InputError(f"{place} holds values of the kind {shown}: save it again as plain float tensors.")
    name = STORAGES[kind.name]
    needed = as_size(count) * KINDS[name].itemsize
    if raw is not None and needed > len(raw):
        raise Damage("a tensor's data are shorter than announced")
    return Storage(None if raw is None else raw[:needed], name, big_endian=big_endian)


def view(machine: Machine, storage: Any, offset: Any, sizes: Any, strides: Any, *, kind: str | None = None) -> Any:
    """The tensor as a read-only array over the storage's memory; None while the file is only being surveyed.

    Errors: Damage for a view that leaves its storage or promises far more elements than it has.
    """
    if not isinstance(storage, Storage):
        raise TypeError("a storage expected")
    sizes = as_sizes(sizes)
    strides = as_sizes(strides)
    offset = as_size(offset)
    if len(sizes) != len(strides):
        raise Damage("a tensor has as many strides as dimensions")
    if storage.raw is None:
        return None
    values = storage.values(machine, kind or storage.kind)
    count = math.prod(sizes)
    if count == 0:
        empty = np.zeros(sizes, values.dtype)
        empty.flags.writeable = False
        return empty
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if last >= len(values):
        raise Damage("a tensor reaches beyond its data")
    if count > max(len(values), MOST_EXPANDED):
        raise Damage("a tensor claims far more elements than the file holds")
    item = values.itemsize
    machine.budget.promise(count * item)
    return np.ndarray(sizes, values.dtype, values.data, offset * item, [stride * item for stride in strides])


def _with_bits(machine: Machine, array: Any, metadata: Any) -> Any:
    """Apply the bits that say "conjugate" and "negative" of a tensor which shares another one's storage."""
    for bit, apply in (("conj", np.conj), ("neg", np.negative)):
        if metadata and metadata.get(bit) and array is not None:
            machine.budget.copy(array.nbytes)
            array = apply(array)
    return array


def _rebuild(machine: Machine, arguments: tuple) -> Any:
    return view(machine, *arguments[:4])


def _rebuild_v2(machine: Machine, arguments: tuple) -> Any:
    return _with_bits(machine, view(machine, *arguments[:4]), arguments[6] if len(arguments) > 6 else None)


def _rebuild_v3(machine: Machine, arguments: tuple) -> Any:
    kind = arguments[6]
    if not isinstance(kind, Name) or kind.name not in KINDS:
        raise Damage("a tensor is of an unknown kind")
    array = view(machine, *arguments[:4], kind=kind.name)
    return _with_bits(machine, array, arguments[7] if len(arguments) > 7 else None)


def _rebuild_parameter(_machine: Machine, arguments: tuple) -> Any:
    array = arguments[0]
    if array is not None and not isinstance(array, np.ndarray):
        raise TypeError("a tensor expected")
    return array


def _rebuild_from_type(machine: Machine, arguments: tuple) -> Any:
    function, _, inner, _ = arguments
    if not isinstance(function, Name) or function.build not in (_rebuild, _rebuild_v2, _rebuild_v3, _rebuild_parameter):
        raise Damage("a tensor is rebuilt in an unexpected way")
    if type(inner) is not tuple:
        raise TypeError("arguments expected")
    return function.build(machine, inner)


def _never_called(_machine: Machine, _arguments: tuple) -> Any:
    raise Damage("it calls a class that may only be named")


TORCH_NAMES: dict[tuple[str, str], Callable[[Machine, tuple], Any]] = {
    ("torch._utils", "_rebuild_tensor"): _rebuild,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_v2,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
    **{(module, name): _never_called for module in ("torch", "torch.cuda", "torch.storage") for name in STORAGES},
    **{
        (module, name.replace("Storage", "Tensor")): _never_called
        for module in ("torch", "torch.cuda")
        for name in STORAGES
    },
    **{("torch", kind): _never_called for kind in KINDS},
    **{
        name: _never_called
        for name in (
            ("torch", "Tensor"),
            ("torch._tensor", "Tensor"),
            ("torch.nn.parameter", "Parameter"),
            ("torch.nn.parameter", "Buffer"),
        )
    },
}

"""Arrays, matrices and array expressions as NumPy, SciPy and chumpy pickle them, built without chumpy or SciPy."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from emoca_jax.safe_files.refusal import Damage, quoted
from emoca_jax.safe_files.stand_ins import SparseMatrix, Unfinished, as_bytes, as_size, as_sizes

MOST_TERMS = 64
DTYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,5}|O8?|\?)")
"""Booleans, integers, floats, complex numbers, fixed-length text and bytes, objects; no records, no dates."""


def dtype_of(code: Any) -> np.dtype:
    """The dtype of a code like "<f4". Errors: Damage for records, dates and anything else."""
    if isinstance(code, bytes):
        code = code.decode("ascii")
    if not isinstance(code, str) or not DTYPE.fullmatch(code):
        raise Damage(f"it holds an array of an unknown kind {quoted(code)}")
    return np.dtype(code.replace("O8", "O").replace("O4", "O"))


def array_from_raw(machine: Any, raw: Any, dtype: np.dtype, shape: Any, *, fortran: bool) -> np.ndarray:
    """An array over raw bytes, without a copy unless its byte order is foreign; read-only.

    Errors: Damage unless the bytes are exactly those the shape needs.
    """
    shape = as_sizes(shape)
    count = math.prod(shape)
    if dtype.hasobject:
        raise Damage("it holds objects where numbers were announced")
    if isinstance(raw, str):
        machine.budget.copy(len(raw))
    raw = as_bytes(raw)
    if len(raw) != count * dtype.itemsize:
        raise Damage("an array's size does not fit its data")
    machine.budget.promise(len(raw))
    flat = np.frombuffer(raw, dtype, count) if len(raw) else np.zeros(count, dtype)
    if not dtype.isnative:
        machine.budget.copy(len(raw))
        flat = flat.astype(dtype.newbyteorder("="))
    array = flat.reshape(shape, order="F" if fortran else "C")
    array.flags.writeable = False
    return array


def _dtype(_machine: Any, arguments: tuple) -> Unfinished:
    code = dtype_of(arguments[0])

    def finish(_machine: Any, state: Any) -> np.dtype:
        if any(state[2:5]):
            raise Damage("it holds an array of records")
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise Damage("it holds an array of an unknown byte order")
        return code if order in ("|", "=") else code.newbyteorder(order)

    return Unfinished("a dtype", finish)


def _finish_array(machine: Any, state: Any) -> np.ndarray:
    shape, dtype, fortran, raw = state[-4:]
    if not isinstance(dtype, np.dtype):
        raise TypeError("a dtype expected")
    if not dtype.hasobject:
        return array_from_raw(machine, raw, dtype, shape, fortran=bool(fortran))
    shape = as_sizes(shape)
    if type(raw) is not list or len(raw) != math.prod(shape):
        raise Damage("an array's size does not fit its data")
    machine.budget.spend(len(raw))
    flat = np.empty(len(raw), object)
    for index, value in enumerate(raw):
        flat[index] = value
    return flat.reshape(shape, order="F" if fortran else "C")


def _reconstruct(_machine: Any, _arguments: tuple) -> Unfinished:
    return Unfinished("an array", _finish_array)


def _scalar(machine: Any, arguments: tuple) -> Any:
    dtype, raw = arguments
    if not isinstance(dtype, np.dtype):
        raise TypeError("a dtype expected")
    return array_from_raw(machine, raw, dtype, (), fortran=False)[()]


def _from_buffer(machine: Any, arguments: tuple) -> np.ndarray:
    raw, dtype, shape, order = arguments[:4]
    axes = arguments[4] if len(arguments) > 4 else None
    if not isinstance(dtype, np.dtype):
        raise TypeError("a dtype expected")
    array = array_from_raw(machine, raw, dtype, shape, fortran=order == "F")
    return array if axes is None else array.transpose(as_sizes(axes))


def _refused(what: str) -> Callable[[Any, tuple], Any]:
    def build(_machine: Any, _arguments: tuple) -> Any:
        raise Damage(f"it calls {what}, which data does not need")

    return build


def _indices(values: Any, count: int, limit: int) -> np.ndarray:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu" or values.shape != (count,):
        raise Damage("a sparse matrix has no usable indices")
    if count and (values.min() < 0 or values.max() >= limit):
        raise Damage("a sparse matrix has entries outside itself")
    return values


def _sparse(layout: str) -> Callable[[Any, tuple], Unfinished]:
    """Builder of a matrix in coordinate ("coo") or compressed row or column layout ("csr", "csc")."""

    def finish(machine: Any, state: Any) -> SparseMatrix:
        shape = state.get("_shape", state.get("shape"))
        rows, columns = (as_size(size) for size in shape)
        values = state["data"]
        if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "biufc":
            raise Damage("a sparse matrix has no usable values")
        count = len(values)
        # The work grows with these, however often the file refers to the same arrays.
        machine.budget.copy(8 * (count + rows + columns))
        if layout == "coo":
            first, second = state["coords"] if "coords" in state else (state["row"], state["col"])
            return SparseMatrix((rows, columns), _indices(first, count, rows), _indices(second, count, columns), values)
        major, minor = (rows, columns) if layout == "csr" else (columns, rows)
        starts = _indices(state["indptr"], major + 1, count + 1).astype(np.int64)
        if starts[0] != 0 or starts[-1] != count or (np.diff(starts) < 0).any():
            raise Damage("a sparse matrix has no usable index pointers")
        outer = np.repeat(np.arange(major), np.diff(starts))
        inner = _indices(state["indices"], count, minor)
        return SparseMatrix((rows, columns), *((outer, inner) if layout == "csr" else (inner, outer)), values)

    return lambda _machine, _arguments: Unfinished("a sparse matrix", finish)


def _array_in(state: Any, key: str) -> np.ndarray:
    value = state[key]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value
    if isinstance(value, int | float):
        return np.asarray(value)
    raise Damage(f"a chumpy object's {key!r} is no array")


def _new_shape(shape: Any) -> tuple[int, ...]:
    """A shape one of whose sizes may be -1: "what is left"."""
    if isinstance(shape, np.ndarray) and shape.size <= MOST_TERMS:
        shape = shape.ravel().tolist()
    if isinstance(shape, int):
        shape = (shape,)
    if not isinstance(shape, tuple | list) or len(shape) > MOST_TERMS:
        raise TypeError("a shape expected")
    return tuple(size if isinstance(size, int) and size == -1 else as_size(size) for size in shape)


def _chumpy_value(_machine: Any, state: Any) -> np.ndarray:
    return _array_in(state, "x")


def _chumpy_select(machine: Any, state: Any) -> np.ndarray:
    indices, values = _array_in(state, "idxs"), _array_in(state, "a")
    machine.budget.copy(values.nbytes + indices.size * values.itemsize)
    picked = values.ravel()[indices]
    return picked.reshape(_new_shape(state["preferred_shape"])) if "preferred_shape" in state else picked


def _chumpy_reshape(machine: Any, state: Any) -> np.ndarray:
    values = _array_in(state, "a")
    machine.budget.copy(values.nbytes)
    return values.reshape(_new_shape(state["newshape"]))


def _chumpy_transpose(_machine: Any, state: Any) -> np.ndarray:
    axes = state.get("axes")
    return _array_in(state, "a").transpose(None if axes is None else as_sizes(axes))


def _chumpy_concatenate(machine: Any, state: Any) -> np.ndarray:
    terms = state["dterms"]
    if not isinstance(terms, list | tuple) or not all(isinstance(term, str) for term in terms[:MOST_TERMS]):
        raise TypeError("names of terms expected")
    if len(terms) > MOST_TERMS:
        raise Damage("a chumpy object joins an absurd number of arrays")
    parts = [_array_in(state, term) for term in terms]
    machine.budget.copy(sum(part.nbytes for part in parts))
    return np.concatenate(parts, axis=state["axis"])


def _chumpy_at_least(_machine: Any, state: Any) -> np.ndarray:
    makers = (np.atleast_1d, np.atleast_2d, np.atleast_3d)
    return makers[as_size(state["ndims"]) - 1](_array_in(state, "x"))


CHUMPY: dict[tuple[str, str], Callable[[Any, Any], np.ndarray]] = {
    ("chumpy.ch", "Ch"): _chumpy_value,
    ("chumpy", "Ch"): _chumpy_value,
    ("chumpy.reordering", "Select"): _chumpy_select,
    ("chumpy.reordering", "Reshape"): _chumpy_reshape,
    ("chumpy.reordering", "transpose"): _chumpy_transpose,
    ("chumpy.reordering", "Concatenate"): _chumpy_concatenate,
    ("chumpy.reordering", "AtleastNd"): _chumpy_at_least,
}
"""What each kind of chumpy object stands for, given its attributes."""


def _chumpy(finish: Callable[[Any, Any], np.ndarray]) -> Callable[[Any, tuple], Unfinished]:
    return lambda _machine, _arguments: Unfinished("a chumpy object", finish)


CORE = ("numpy.core", "numpy._core")
SCALARS = (
    *("bool_", "str_", "bytes_", "object_"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)

NUMPY_NAMES: dict[tuple[str, str], Callable[[Any, tuple], Any]] = {
    ("numpy", "dtype"): _dtype,
    **{("numpy", name): _refused(f"numpy.{name}") for name in ("ndarray", "matrix", *SCALARS)},
    ("numpy.matrixlib.defmatrix", "matrix"): _refused("numpy.matrix"),
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct for core in CORE},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in CORE},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in CORE},
    **{
        (f"scipy.sparse.{module}{layout}", f"{layout}_{kind}"): _sparse(layout)
        for layout in ("coo", "csr", "csc")
        for module in ("", "_")
        for kind in ("matrix", "array")
    },
    **{name: _chumpy(finish) for name, finish in CHUMPY.items()},
}

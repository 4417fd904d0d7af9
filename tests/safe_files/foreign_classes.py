"""Classes with the names of packages that are not installed, alive only while something is pickled."""

import pickle
import struct
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np


def foreign(name: str, base: type = object) -> type:
    """A class that pickles under a full name like "chumpy.ch.Ch"."""
    module, _, short = name.rpartition(".")
    return type(short, (base,), {"__module__": module, "__qualname__": short})


def with_state(kind: type[object], **state: Any) -> Any:
    """An object of the class with these attributes."""
    value = kind.__new__(kind)
    value.__dict__.update(state)
    return value


def pickled(make: Callable[[], Any], *classes: type, protocol: int = 2) -> bytes:
    """`make()` pickled while the classes can be imported under their names."""
    fakes: dict[str, types.ModuleType] = {}
    for kind in classes:
        parts = kind.__module__.split(".")
        for depth in range(1, len(parts) + 1):
            fakes.setdefault(".".join(parts[:depth]), types.ModuleType(".".join(parts[:depth])))
        setattr(fakes[kind.__module__], kind.__name__, kind)
    before = {name: sys.modules.get(name) for name in fakes}
    sys.modules.update(fakes)
    try:
        return pickle.dumps(make(), protocol)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _python_2_string(text: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(text)) + text if len(text) > 255 else b"U" + bytes([len(text)]) + text


def python_2_pickle(weights: np.ndarray) -> bytes:
    """`{"weights": weights, "name": "caf\\xe9!"}` as Python 2 pickled it: byte strings for names and an array's bytes.

    `weights` is a vector of float64.
    """
    return (
        b"\x80\x02}q\x00(U\x07weightsq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85"
        b"U\x01b\x87Rq\x04(K\x01M" + struct.pack("<H", len(weights)) + b"\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + _python_2_string(weights.astype("<f8").tobytes())
        + b"tbU\x04nameU\x05caf\xe9!u."
    )

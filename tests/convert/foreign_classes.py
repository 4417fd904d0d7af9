"""Classes with the names of packages that are not installed, alive only while something is pickled."""

import pickle
import sys
import types
from collections.abc import Callable
from typing import Any


def foreign(name: str, base: type = object) -> type:
    """A class that pickles under a full name like "chumpy.ch.Ch"."""
    module, _, short = name.rpartition(".")
    return type(short, (base,), {"__module__": module, "__qualname__": short})


def with_state(kind: type, **state: Any) -> Any:
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

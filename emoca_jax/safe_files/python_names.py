"""Plain Python values, and the objects that training frameworks leave in checkpoints, as plain values or inert ones."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from emoca_jax.safe_files.pickle_literals import LongText
from emoca_jax.safe_files.pickle_machine import Machine, checked_key
from emoca_jax.safe_files.refusal import Damage
from emoca_jax.safe_files.stand_ins import Attributes, Name, Unfinished, as_bytes, opaque

FIRST_BEYOND_LATIN = 0xC4


def _encode(machine: Machine, arguments: tuple) -> bytes:
    """Bytes that protocol 2 wrote as Latin-1 text."""
    text, encoding = arguments
    if encoding not in ("latin1", "latin-1"):
        raise Damage("it encodes text in an unexpected way")
    if not isinstance(text, LongText):
        machine.budget.copy(len(text))
        return text.encode("latin-1")
    machine.budget.copy(len(text.view))
    # Checked here, because one wide character would make Python keep four bytes for each of the others.
    if (np.frombuffer(text.view, np.uint8) >= FIRST_BEYOND_LATIN).any():
        raise Damage("bytes are expected where it holds text")
    return str(text.view, "utf-8").encode("latin-1")


def _items(machine: Machine, arguments: tuple) -> list:
    """The elements given to `list`, `set` and the like: none or one list or tuple."""
    if not arguments:
        return []
    (items,) = arguments
    if type(items) not in (list, tuple):
        raise TypeError("a list expected")
    machine.budget.spend(len(items))
    return list(items)


def _pairs(machine: Machine, arguments: tuple) -> list:
    if arguments and isinstance(arguments[0], dict):
        machine.budget.spend(len(arguments[0]))
        return list(arguments[0].items())
    return [(checked_key(key), value) for key, value in _items(machine, arguments)]


def _keys(machine: Machine, arguments: tuple) -> list:
    return [checked_key(item) for item in _items(machine, arguments)]


def _bytes(machine: Machine, arguments: tuple) -> bytes:
    raw = as_bytes(arguments[0]) if arguments else b""
    machine.budget.copy(len(raw))
    return bytes(raw)


def _path(kind: type) -> Callable[[Machine, tuple], str]:
    def build(machine: Machine, arguments: tuple) -> str:
        machine.budget.spend(len(arguments))
        if not all(isinstance(part, str) for part in arguments):
            raise TypeError("a path expected")
        machine.budget.copy(4 * sum(map(len, arguments)))
        return str(kind(*arguments))

    return build


def _default_dictionary(machine: Machine, arguments: tuple) -> dict:
    return dict(_pairs(machine, arguments[1:]))


def _reconstructor(machine: Machine, arguments: tuple) -> Any:
    """Protocols 0 and 1: an object of a class, its base `object` and no state of the base."""
    kind, base, state = arguments
    if not isinstance(kind, Name) or state is not None or not isinstance(base, Name) or base.name != "object":
        raise Damage("it rebuilds an object in an unexpected way")
    return kind.build(machine, ())


def _content(attribute: str) -> Callable[[Machine, tuple], Unfinished]:
    """An omegaconf node: what it holds, without its parents and its bookkeeping."""
    return lambda _machine, _arguments: Unfinished("a configuration node", lambda _, state: state[attribute])


def _never_called(_machine: Machine, _arguments: tuple) -> Any:
    raise Damage("it calls a class that may only be named")


def _dictionary(machine: Machine, arguments: tuple) -> dict:
    return dict(_pairs(machine, arguments))


def _size(machine: Machine, arguments: tuple) -> tuple:
    return tuple(_items(machine, arguments))


def _text(_machine: Machine, arguments: tuple) -> str:
    (text,) = arguments
    if not isinstance(text, str):
        raise TypeError("a text expected")
    return text


def _complex(_machine: Machine, arguments: tuple) -> complex:
    if len(arguments) != 2 or not all(isinstance(part, int | float) for part in arguments):
        raise TypeError("two numbers expected")
    return complex(*arguments)


BUILTINS: dict[str, Callable[[Machine, tuple], Any]] = {
    "set": lambda machine, arguments: set(_keys(machine, arguments)),
    "frozenset": lambda machine, arguments: frozenset(_keys(machine, arguments)),
    "list": _items,
    "tuple": _size,
    "dict": _dictionary,
    "bytes": _bytes,
    "bytearray": _bytes,
    "complex": _complex,
    **{name: opaque("builtins", name) for name in ("slice", "range", "xrange")},
    **{name: _never_called for name in ("object", "int", "long", "float", "bool", "str", "unicode", "NoneType")},
}
ATTRIBUTES = (("argparse", "Namespace"), ("types", "SimpleNamespace"))
DICTIONARIES = (
    ("pytorch_lightning.utilities.parsing", "AttributeDict"),
    ("lightning_fabric.utilities.data", "AttributeDict"),
    ("lightning.fabric.utilities.data", "AttributeDict"),
    ("lightning.pytorch.utilities.parsing", "AttributeDict"),
    ("yacs.config", "CfgNode"),
    ("easydict", "EasyDict"),
    ("munch", "Munch"),
    ("collections", "Counter"),
)
NODES = (
    *("AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode"),
    *("BytesNode", "PathNode", "EnumNode", "InterpolationResultNode"),
)
CALLBACKS = {
    "model_checkpoint": "ModelCheckpoint",
    "early_stopping": "EarlyStopping",
    "lr_monitor": "LearningRateMonitor",
    "gpu_stats_monitor": "GPUStatsMonitor",
    "progress": "ProgressBar",
    "progress.base": "ProgressBarBase",
    "progress.tqdm_progress": "TQDMProgressBar",
    "progress.rich_progress": "RichProgressBar",
    "model_summary": "ModelSummary",
    "stochastic_weight_avg": "StochasticWeightAveraging",
    "timer": "Timer",
}
INERT = (
    *(
        (f"{package}.callbacks.{module}", name)
        for package in ("pytorch_lightning", "lightning.pytorch")
        for module, name in CALLBACKS.items()
    ),
    ("omegaconf.base", "Metadata"),
    ("omegaconf.base", "ContainerMetadata"),
    ("omegaconf.base", "SCMode"),
    ("typing", "Any"),
    ("typing", "Union"),
    ("typing", "Optional"),
    ("typing", "Dict"),
    ("typing", "List"),
    ("datetime", "datetime"),
    ("datetime", "date"),
    ("datetime", "timedelta"),
    ("gdl.models.DECA", "DecaMode"),
)

PYTHON_NAMES: dict[tuple[str, str], Callable[[Machine, tuple], Any]] = {
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): lambda machine, arguments: OrderedDict(_pairs(machine, arguments)),
    ("collections", "defaultdict"): _default_dictionary,
    ("collections", "deque"): lambda machine, arguments: _items(machine, arguments[:1]),
    **{(module, "_reconstructor"): _reconstructor for module in ("copy_reg", "copyreg")},
    **{(module, name): build for module in ("builtins", "__builtin__") for name, build in BUILTINS.items()},
    **{
        (module, kind.replace("Pure", pure)): _path(path)
        for module in ("pathlib", "pathlib._local")
        for pure in ("", "Pure")
        for kind, path in (("PurePosixPath", PurePosixPath), ("PureWindowsPath", PureWindowsPath))
    },
    **{name: lambda _machine, _arguments: Attributes() for name in ATTRIBUTES},
    **{name: _dictionary for name in DICTIONARIES},
    ("omegaconf.dictconfig", "DictConfig"): _content("_content"),
    ("omegaconf.listconfig", "ListConfig"): _content("_content"),
    **{("omegaconf.nodes", node): _content("_val") for node in NODES},
    **{(module, name): opaque(module, name) for module, name in INERT},
    ("torch", "Size"): _size,
    ("torch", "device"): lambda machine, arguments: _text(machine, arguments[:1]),
}

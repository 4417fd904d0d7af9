"""State dictionaries of PyTorch networks as Flax variables: names, layouts, and an account of every key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from emoca_jax.errors import InputError

Rename = Mapping[str, str] | Callable[[str], str | None]
"""Official module path ("layer1.0.conv1") to ours ("layer1_0/conv1"): a table, or a function that answers None where it
does not know. Only a table lets an error name a missing module as the official file spells it."""

UNKNOWN = "unknown"
"""Note of a key that no rule speaks of."""

STATISTICS = {"running_mean": "mean", "running_var": "var"}
COUNTER = "num_batches_tracked"
WEIGHTS = ("kernel", "scale", "embedding")
SHOWN = 6
"""A module's weight is whichever of these its template has: convolution or dense layer, norm, table."""


class Row(NamedTuple):
    """What became of one key of the source."""

    source: str
    target: str | None
    """Path in the variables ("params/conv1/kernel"); None where the key is skipped."""
    shape: tuple[int, ...]
    """As in the source."""
    note: str
    """How the layout changed, or why the key is skipped; empty where the array is taken as it is."""


class Translated(NamedTuple):
    """A network's variables and the account of where they came from."""

    variables: dict
    """{"params": ..., "batch_stats": ...}, nested dictionaries of float32 NumPy arrays."""
    rows: list[Row]
    """One per key of the source, in its order."""


def translate(
    state: Mapping[str, np.ndarray],
    rename: Rename,
    template: Any,
    *,
    what: str,
    skipped: Callable[[str], str | None] = lambda key: None,
) -> Translated:
    """Flax variables from a PyTorch state dictionary.

    Convolutions go from OIHW to HWIO (to [in, out] where the template has a 1 x 1 convolution as a matrix), dense
    layers from [out, in] to [in, out], batch norm's weight, bias, running_mean, running_var to scale, bias (params),
    mean, var (batch_stats); other names and layouts stay.

    state: official key -> array. rename: official module path -> path of the module in the template; the root is "".
    template: shapes of the variables to fill, as `jax.eval_shape(module.init, ...)` gives them. what: what the file
    should be, for the error's sentence. skipped: official key -> why it is left out, None where it is not; asked before
    `rename`.

    Errors: InputError where the state lacks keys, or arrays have other shapes than the template: one for all, which
    names the first few of either. ValueError where two keys lead to one place.
    """
    shapes: Any = flatten_dict(dict(template), sep="/")
    wanted = {path: tuple(leaf.shape) for path, leaf in shapes.items()}
    find = rename.get if isinstance(rename, Mapping) else rename
    rows: list[Row] = []
    filled: dict[str, np.ndarray] = {}
    wrong: list[str] = []
    for key, value in state.items():
        shape = tuple(np.shape(value))
        reason = skipped(key)
        if reason is None and key.rpartition(".")[2] == COUNTER:
            reason = "count of training batches"
        target = None if reason is not None else _target(key, find, wanted)
        if target is None:
            rows.append(Row(key, None, shape, reason or UNKNOWN))
            continue
        if target in filled:
            raise ValueError(f"{what}: two keys lead to {target}, the second is {key}")
        expected = wanted[target]
        filled[target], note = _relayout(value, target, len(expected))
        if filled[target].shape != expected:
            wrong.append(f"{key} should be {_official_shape(target, expected, len(shape))} and is {list(shape)}")
        rows.append(Row(key, target, shape, note))
    missing = [path for path in wanted if path not in filled]
    if missing or wrong:
        raise InputError(_complaint(what, missing, wrong, wanted, _inverse(rename, state)))
    ordered = {path: filled[path] for path in wanted}
    return Translated(unflatten_dict(ordered, sep="/"), rows)


def _target(key: str, find: Callable[[str], str | None], wanted: Mapping[str, tuple[int, ...]]) -> str | None:
    """Path of a key in the template; None where the template has no such place."""
    module, _, leaf = key.rpartition(".")
    place = find(module)
    if place is None:
        return None
    if leaf in STATISTICS:
        candidates = [_join("batch_stats", place, STATISTICS[leaf])]
    elif leaf == "weight":
        candidates = [_join("params", place, name) for name in WEIGHTS]
    else:
        candidates = [_join("params", place, leaf)]
    return next((path for path in candidates if path in wanted), None)


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _relayout(value: np.ndarray, target: str, dimensions: int) -> tuple[np.ndarray, str]:
    """The array in our layout, and what was done to it."""
    array, note = np.asarray(value), ""
    if target.endswith("/kernel") and array.ndim == 4:
        if dimensions == 2 and array.shape[2:] == (1, 1):
            array, note = array[:, :, 0, 0].T, "OI11 -> IO"
        else:
            array, note = array.transpose(2, 3, 1, 0), "OIHW -> HWIO"
    elif target.endswith("/kernel") and array.ndim == 2:
        array, note = array.T, "OI -> IO"
    return np.ascontiguousarray(array, np.float32).reshape(array.shape), note


def _official_shape(target: str, shape: tuple[int, ...], dimensions: int) -> list[int]:
    """A template's shape as the official file would have it; `dimensions` is what the file has, where known."""
    if not target.endswith("/kernel"):
        return list(shape)
    if len(shape) == 4:
        return [shape[3], shape[2], shape[0], shape[1]]
    return [*shape[::-1], *([1, 1] if dimensions == 4 else [])]


def _inverse(rename: Rename, keys: Iterable[str]) -> dict[str, str]:
    """Our module path -> official one, as far as it is known."""
    if isinstance(rename, Mapping):
        return {ours: official for official, ours in rename.items()}
    modules = {key.rpartition(".")[0] for key in keys}
    return {place: module for module in sorted(modules) if (place := rename(module)) is not None}


def _official_key(path: str, inverse: Mapping[str, str]) -> str:
    """Name of a template's array in the official file; our own path where its module is not known there."""
    collection, _, rest = path.partition("/")
    place, _, leaf = rest.rpartition("/")
    if place not in inverse:
        return path
    if collection == "batch_stats":
        leaf = next(name for name, ours in STATISTICS.items() if ours == leaf)
    elif leaf in WEIGHTS:
        leaf = "weight"
    return f"{inverse[place]}.{leaf}".lstrip(".")


def _complaint(
    what: str,
    missing: list[str],
    wrong: list[str],
    wanted: Mapping[str, tuple[int, ...]],
    inverse: Mapping[str, str],
) -> str:
    lacking = [f"{_official_key(path, inverse)} {_official_shape(path, wanted[path], 0)}" for path in missing]
    parts = []
    if lacking:
        parts.append(f"lacks {_some(lacking)}")
    if wrong:
        parts.append(f"has wrong shapes: {_some(wrong)}")
    return f"This is not a complete {what}: it {' and '.join(parts)}; take the official file again."


def _some(items: list[str]) -> str:
    """The items, or the first few and how many more there are."""
    more = len(items) - SHOWN
    return "; ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")

"""What the options of soft drawing may be: a sentence for those that make no sense."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from emoca_jax.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")
NUMBERS = ("sigma", "gamma", "blur_radius", "near", "far")
"""Options that are numbers."""


def softness_checked(function: Callable[P, R]) -> Callable[P, R]:
    """Turns down what is no number, and numbers that make no sense (those that are traced cannot be known): a sigma or
    gamma that is not positive, a blur radius below 0, and a far that is not beyond near."""
    defaults = inspect.unwrap(function).__kwdefaults__

    @functools.wraps(function)
    def checked(*args: P.args, **options: P.kwargs) -> R:
        for name in NUMBERS:
            _check_number(name, options.get(name))
        known = {name: number for name in NUMBERS if (number := _known((defaults | options).get(name))) is not None}
        for name in ("sigma", "gamma"):
            if name in known and not known[name] > 0:
                raise InputError(f"{name} is {known[name]}; give a positive number.")
        if "blur_radius" in known and not known["blur_radius"] >= 0:
            raise InputError(f"blur_radius is {known['blur_radius']}; give a squared distance, which is at least 0.")
        if "near" in known and "far" in known and not known["near"] < known["far"]:
            raise InputError(f"near is {known['near']} and far is {known['far']}; give a far beyond near.")
        for name in ("near", "far"):
            if not np.isfinite(known.get(name, 0.0)):
                raise InputError(f"{name} is {known[name]}; give a number that is not infinite.")
        return function(*args, **options)

    return checked


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        found = f"{value.dtype} {list(value.shape)}"
        right = value.ndim == 0 and value.dtype != jnp.bool_ and jnp.issubdtype(value.dtype, jnp.number)
    else:
        found, right = f"of type {type(value).__name__}", value is None or isinstance(value, int | float)
    if not right:
        raise InputError(f"{name} must be a number, not {found}.")


def _known(value: Any) -> float | None:
    """The number, where it is one already."""
    if isinstance(value, int | float):
        return value
    is_array = isinstance(value, jax.Array | np.ndarray | np.generic) and not isinstance(value, Tracer)
    return float(value) if is_array and value.ndim == 0 else None


def check_layers(faces_per_pixel: int | None) -> None:
    """Errors: InputError where no face would count."""
    if faces_per_pixel is not None and faces_per_pixel < 1:
        raise InputError(f"faces_per_pixel is {faces_per_pixel}; give at least 1, or None for all.")


def check_rows(rows: int, vertices: int, faces: int, chosen: bool) -> None:
    """Errors: InputError where there are not as many rows of attributes as vertices, or none to choose from."""
    if chosen and faces > 0 and rows == 0:
        raise InputError(f"{faces} faces have no attributes; give the rows that attribute_faces number.")
    if not chosen and rows != vertices:
        raise InputError(
            f"attributes must be one row for each of the {vertices} vertices, not {rows} rows; give attribute_faces "
            "where faces have rows of their own."
        )

"""What a public function makes of its array arguments: NumPy's become JAX's, wrong ones are named in one sentence."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, get_args, get_type_hints, no_type_check

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Shaped, jaxtyped

from emoca_jax.errors import InputError

if TYPE_CHECKING:
    AnyArray = Array
else:
    AnyArray = Array | np.ndarray
"""Of a pytree that may lie on the host: JAX's or NumPy's. A type checker sees JAX's, which decides what can be done."""

CHECKS = "checks_arguments"
"""Attribute of functions that do."""

P = ParamSpec("P")
R = TypeVar("R")
Kind = TypeVar("Kind", Array, np.ndarray)

# The kind of number and the shape in `Float[Array, '*batch vertices 3']`, as Python keeps an annotation.
ANNOTATION = re.compile(r"(\w+)\[[\w. |]+, '([^']*)'\]")
KINDS = {"Float": "floats", "Integer": "integers", "Num": "numbers", "Bool": "booleans"}
SIZE_ANNOTATION = "tuple[int, int]"
LONGEST_SIDE = 1 << 15
"""Pixels: the numbers of the pixels of a square picture still fit into 32 bits."""


def to_rank(array: Shaped[Kind, "*shape"], rank: int) -> Shaped[Kind, "*ones_and_shape"]:
    """The array with axes of size one in front until it has so many; one that has as many or more as it is."""
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def to_one_rank(*arrays: Shaped[AnyArray, "..."]) -> list[Shaped[AnyArray, "..."]]:
    """The arrays, each with axes of size one in front until it has as many as the one that has most."""
    return [to_rank(array, max(other.ndim for other in arrays)) for array in arrays]


def checks_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """The function, but it turns down an array, or a pair (height, width), that is not what its annotation says.

    NumPy arrays are taken for JAX's. Errors: InputError that names the argument, what it should be and what it is.
    Looks at kinds and shapes only, so it sees traced arrays as well and costs nothing once traced. Stands outermost:
    `jax.jit` has its own words for a size that is a list.
    """
    plain = inspect.unwrap(function)
    signature = inspect.signature(plain)
    asked = {name: match for name, text in plain.__annotations__.items() if (match := ANNOTATION.match(text))}
    sizes = [name for name, text in plain.__annotations__.items() if text == SIZE_ANNOTATION]

    @functools.cache
    def kinds_of() -> dict[str, tuple[Any, ...]]:
        hints = get_type_hints(plain)
        return {name: get_args(hints[name]) or (hints[name],) for name in asked}

    @functools.wraps(function)
    def checked(*args: P.args, **options: P.kwargs) -> R:
        bound = signature.bind(*args, **options)
        given = bound.arguments
        for name in sizes:
            if name in given:
                given[name] = _size(name, given[name])
        with jaxtyped("context"):
            for name, match in asked.items():
                if name in given:
                    given[name] = _taken(name, given[name], kinds_of()[name], *match.groups())
        return function(*bound.args, **bound.kwargs)

    setattr(checked, CHECKS, True)
    return checked


# Where every function is checked, as in the tests, each has sizes of its own for the names of dimensions: not this one.
@no_type_check
def _taken(name: str, value: Any, types: tuple[Any, ...], kind: str, shape: str) -> Any:
    """The argument as the function gets it."""
    if isinstance(value, types):
        return value
    if isinstance(value, int) and float in types:
        return float(value)
    if isinstance(value, np.ndarray | np.generic):
        value = jnp.asarray(value)
        if isinstance(value, types):
            return value
    with jaxtyped("context"):
        fits_alone = isinstance(value, types)
    dimensions = ", ".join("..." if word.startswith("*") else word.strip("#_") for word in shape.split())
    reason = " that go with the arguments before it" if fits_alone else ""
    found = f"{value.dtype} {list(value.shape)}" if isinstance(value, AnyArray) else f"of type {type(value).__name__}"
    raise InputError(f"{name} must be {KINDS[kind]} [{dimensions}]{reason}, not {found}.")


def _size(name: str, value: Any) -> tuple[int, int]:
    sides = value if isinstance(value, tuple) else ()
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and 1 <= side <= LONGEST_SIDE for side in sides):
        wanted = f"a tuple (height, width) of whole numbers from 1 to {LONGEST_SIDE}"
        raise InputError(f"{name} must be {wanted}, not {value!r}.")
    return int(sides[0]), int(sides[1])

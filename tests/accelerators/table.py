"""The table of programs that the package compiles, and how an entry is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from emoca_jax.texture import layout
from tests.accelerators.inputs import Shape, array, open_model, shapes_of

TRAINED_AT_ONCE = 8
"""Faces per chip of what training runs."""


class Call(NamedTuple):
    """What a program is called with."""

    arguments: tuple
    batched: tuple[int, ...] = ()
    """Which arguments have a face per row; the others are the same for all."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Static arguments by name."""


class Program(NamedTuple):
    """A function, jitted or not, and what it is called with on so many chips."""

    function: Callable
    call: Callable[[int], Call]
    slow: tuple[str, ...]
    """Targets whose compiler takes so long over it that only a slow run asks."""
    never: tuple[str, ...] = ()
    """Targets that it is not for."""


PROGRAMS: dict[str, Program] = {}


def program(
    function: Callable, *, slow: tuple[str, ...] = (), never: tuple[str, ...] = ()
) -> Callable[[Callable[[int], Call]], None]:
    def enter(call: Callable[[int], Call]) -> None:
        PROGRAMS[call.__name__] = Program(function, call, slow, never)

    return enter


SLOW_ON_TPU = NOT_FOR_TPU = ("v5e",)


def mesh_shapes() -> tuple[Shape, Shape]:
    """Vertices and faces of the open head."""
    head = open_model().head
    return shapes_of((head.template, head.faces))


def texture_shape() -> Shape:
    return array(layout.TEXTURE_SIZE, layout.TEXTURE_SIZE, 3)

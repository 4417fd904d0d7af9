"""A pickle interpreter that cannot run anything: it knows no imports, calls no object, sets no attribute.

Names become `Name`s if the table admits them and are refused otherwise; "calling" one makes what its entry in the table
makes of the arguments, a value or a stand-in. What a file may cost is bounded before it is spent: operations, copied
bytes, bytes that views promise. Opcodes as in CPython's `pickletools`, protocols 0 to 5.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from emoca_jax.errors import InputError
from emoca_jax.safe_files.budget import Budget
from emoca_jax.safe_files.pickle_literals import LITERALS, WIDE_ESCAPE, LongText, integer, line, text
from emoca_jax.safe_files.refusal import Damage, damaged, quoted
from emoca_jax.safe_files.stand_ins import Attributes, Name, Opaque, Unfinished

LONGEST_TEXT = 16 << 20
LARGEST_KEY = 1 << 60
"""Whole numbers up to here hash to themselves, so that nobody can choose keys that collide."""

LARGEST_INDEX = 0xFFFFFFFF
"""Of the memo, as all who pickle count it."""

Builder = Callable[[Any, tuple], Any]


class Machine:
    """One pickle being read: `run()` gives its value and leaves `position` behind it.

    `names` admits names, (module, name) -> builder(machine, arguments). `persistent_load` gets the ids a file uses for
    what lies outside the pickle; without it they are refused. `depth` counts the pickles around this one. Errors:
    InputError for a name that is not admitted; wrap it in `refusal.reading` for what damaged bytes set off.
    """

    def __init__(
        self,
        view: memoryview,
        *,
        place: str,
        names: Mapping[tuple[str, str], Builder],
        budget: Budget,
        position: int = 0,
        persistent_load: Callable[[Any], Any] | None = None,
        depth: int = 0,
    ) -> None:
        self.view = view
        self.place = place
        self.names = names
        self.budget = budget
        self.position = position
        self.persistent_load = persistent_load
        self.depth = depth
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int | str, Any] = {}

    def run(self) -> Any:
        view, literals, actions, budget = self.view, LITERALS, ACTIONS, self.budget
        while True:
            budget.operations -= 1
            if budget.operations < 0:
                budget.spend(0)
            code = view[self.position]
            self.position += 1
            read = literals.get(code)
            if read is not None:
                value, self.position = read(view, self.position)
                self.stack.append(value)
            elif code == STOP:
                return self.stack.pop()
            else:
                action = actions.get(code)
                if action is None:
                    raise damaged(
                        self.place, f"it uses the pickle operation {bytes([code])!r}, which data does not need"
                    )
                action(self)

    def read(self, reader: Callable[[memoryview, int], tuple[Any, int]]) -> Any:
        value, self.position = reader(self.view, self.position)
        return value

    def marked(self) -> list[Any]:
        """The values pushed since the last mark; what was below is the stack again."""
        items = self.stack
        self.stack = self.below.pop()
        return items

    def push_text(self, reader: Callable[[memoryview, int], tuple[str | LongText, int]]) -> None:
        value = self.read(reader)
        if isinstance(value, LongText) and not self.encodes():
            if len(value.view) > LONGEST_TEXT:
                raise Damage("it holds a text of absurd length")
            # One character outside the first plane makes Python keep four bytes for every character.
            self.budget.copy(4 * len(value.view))
            value = str(value.view, "utf-8", "surrogatepass")
        self.stack.append(value)

    def push_line_of_text(self) -> None:
        """Text of protocol 0: Latin-1 with escapes for what lies beyond."""
        raw = self.read(line)
        if WIDE_ESCAPE.search(raw):
            self.budget.copy(4 * len(raw))
        self.stack.append(str(raw, "raw-unicode-escape"))

    def encodes(self) -> bool:
        """Whether what comes next is an argument of `_codecs.encode`."""
        return bool(self.stack) and isinstance(self.stack[-1], Name) and self.stack[-1].module == "_codecs"

    def push_name(self, module: Any, name: Any) -> None:
        build = self.names.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if build is None:
            asked = f"{quoted(module)}.{quoted(name)}"
            raise InputError(
                f"{self.place} asks for {asked}, which no data needs: it is refused, nothing of it was run. "
                "If you trust it, load it where it was made and save plain arrays or a state_dict."
            )
        self.stack.append(Name(module, name, build))

    def put(self, index: int | str) -> None:
        value = self.stack[-1]
        if isinstance(value, Unfinished):
            value.memo_slots.append(index)
        self.memo[index] = value

    def call(self) -> None:
        """Make what the name on the stack makes of the arguments on top of it."""
        arguments = self.stack.pop()
        name = self.stack[-1]
        if not isinstance(name, Name) or type(arguments) is not tuple:
            raise damaged(self.place, "a pickle in it calls something that is not a class")
        self.stack[-1] = name.build(self, arguments)

    def call_with_keywords(self) -> None:
        if self.stack.pop() != {}:
            raise damaged(self.place, "a pickle in it makes an object with keyword arguments, which data does not need")
        self.call()

    def build(self) -> None:
        """Give the state on the stack to the object under it."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Unfinished):
            value = target.finish(self, state)
            self.stack[-1] = value
            for index in target.memo_slots:
                self.memo[index] = value
            target.memo_slots.clear()
        elif isinstance(target, Attributes):
            if not isinstance(state, dict):
                raise TypeError("attributes expected")
            self.budget.spend(len(state))
            target.update(state)
        elif isinstance(target, Opaque):
            target.state = state
        elif not isinstance(target, dict | list):
            # Attributes of dictionaries and lists (a state_dict's _metadata) hold no arrays and are left out.
            raise damaged(self.place, f"a pickle in it gives a state to a {type(target).__name__}")

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("a list expected")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise TypeError("a dictionary expected")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def push_dictionary(self) -> None:
        items = self.marked()
        self.stack.append({})
        self.set_items(items)

    def add_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise TypeError("a set expected")
        target.update(checked_key(item) for item in items)

    def persistent(self, identity: Any) -> None:
        if self.persistent_load is None:
            raise damaged(self.place, "it refers to something outside itself")
        self.stack.append(self.persistent_load(identity))

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def two_pops(self) -> list[Any]:
        value = self.stack.pop()
        return [self.stack.pop(), value]

    def fold(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError("a tuple lacks elements")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def frame(self) -> None:
        (size,) = struct.unpack_from("<Q", self.view, self.position)
        self.position += 8
        if self.position + size > len(self.view):
            raise Damage("it ends too early")

    def push_global(self) -> None:
        module, self.position = line(self.view, self.position)
        name, self.position = line(self.view, self.position)
        self.push_name(str(module, "utf-8"), str(name, "utf-8"))

    def index(self, layout: str) -> int | str:
        """A memo index: laid out as `layout`, or a line of digits if that is empty."""
        if not layout:
            index = integer(self.read(line))
            # Larger ones may be chosen so that they collide; nobody can choose texts that do.
            return index if 0 <= index <= LARGEST_INDEX else str(index)
        (index,) = struct.unpack_from(layout, self.view, self.position)
        self.position += struct.calcsize(layout)
        return index


def checked_key(key: Any) -> Any:
    """A value that may be a key: one that hashes and compares in constant time. Errors: TypeError otherwise."""
    if key is None or isinstance(key, str | bytes | float | bool | Name):
        return key
    if isinstance(key, int | np.integer) and abs(int(key)) < LARGEST_KEY:
        return key
    if type(key) is tuple and len(key) <= 16 and all(isinstance(part, str) for part in key):
        return key
    raise TypeError(f"a {type(key).__name__} is used as a key")


STOP = ord(".")
TEXT_1, TEXT_4, TEXT_8 = text("<B"), text("<I"), text("<Q")
ACTIONS: dict[int, Callable[[Machine], None]] = {
    code[0]: action
    for code, action in {
        b"\x80": lambda machine: machine.read(lambda view, position: (view[position], position + 1)),
        b"\x95": Machine.frame,
        b"(": Machine.mark,
        b"0": lambda machine: machine.stack.pop() if machine.stack else machine.marked(),
        b"1": lambda machine: machine.marked(),
        b"2": lambda machine: machine.stack.append(machine.stack[-1]),
        b"]": lambda machine: machine.stack.append([]),
        b"}": lambda machine: machine.stack.append({}),
        b"\x8f": lambda machine: machine.stack.append(set()),
        b"l": lambda machine: _push_marked(machine, list),
        b"t": lambda machine: _push_marked(machine, tuple),
        b"\x91": lambda machine: _push_marked(machine, lambda items: frozenset(map(checked_key, items))),
        b"d": lambda machine: machine.push_dictionary(),
        b"\x85": lambda machine: machine.fold(1),
        b"\x86": lambda machine: machine.fold(2),
        b"\x87": lambda machine: machine.fold(3),
        b"a": lambda machine: machine.append([machine.stack.pop()]),
        b"e": lambda machine: machine.append(machine.marked()),
        b"s": lambda machine: machine.set_items(machine.two_pops()),
        b"u": lambda machine: machine.set_items(machine.marked()),
        b"\x90": lambda machine: machine.add_items(machine.marked()),
        b"V": Machine.push_line_of_text,
        b"X": lambda machine: machine.push_text(TEXT_4),
        b"\x8c": lambda machine: machine.push_text(TEXT_1),
        b"\x8d": lambda machine: machine.push_text(TEXT_8),
        b"p": lambda machine: machine.put(machine.index("")),
        b"q": lambda machine: machine.put(machine.index("<B")),
        b"r": lambda machine: machine.put(machine.index("<I")),
        b"\x94": lambda machine: machine.put(len(machine.memo)),
        b"g": lambda machine: machine.stack.append(machine.memo[machine.index("")]),
        b"h": lambda machine: machine.stack.append(machine.memo[machine.index("<B")]),
        b"j": lambda machine: machine.stack.append(machine.memo[machine.index("<I")]),
        b"c": Machine.push_global,
        b"\x93": lambda machine: machine.push_name(*machine.two_pops()),
        b"R": Machine.call,
        b"\x81": Machine.call,
        b"\x92": Machine.call_with_keywords,
        b"b": Machine.build,
        b"P": lambda machine: machine.persistent(str(machine.read(line), "ascii")),
        b"Q": lambda machine: machine.persistent(machine.stack.pop()),
    }.items()
}


def _push_marked(machine: Machine, make: Callable[[list[Any]], Any]) -> None:
    items = machine.marked()
    machine.stack.append(make(items))

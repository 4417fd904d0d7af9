"""Ways to damage the JSON of a file on purpose: entries of other kinds, absurd numbers, tables cut or doubled."""

import copy
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        3,
        255,
        5120,
        5126,
        1 << 31,
        10**12,
        -(10**12),
        1 << 64,
        0.5,
        1e308,
        -1e38,
        1e400,
    ),
    *("", "x", "../x", "/etc/passwd", "VEC3", "MAT4", "\ud800", "a" * 5000),
    *([], {}, [None], [0] * 1000, {"a": {}}, [[[[[[]]]]]]),
)


def mutated_json(chance: random.Random, document: Any) -> Any:
    """The document with one to six entries replaced, removed, repeated, or exchanged with others."""
    document = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        places = list(_places(document))
        if not places:
            return document
        holder, key = chance.choice(places)
        way = chance.randrange(6)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, list):
            holder.extend([holder[key]] * chance.choice((1, 2, 1000)))
        elif way == 2:
            other, other_key = chance.choice(places)
            # Copies, so that it stays a tree.
            holder[key] = copy.deepcopy(other[other_key])
        elif way == 3 and isinstance(holder[key], int | float):
            holder[key] = holder[key] + chance.choice((-1, 1, 2, 1 << 16))
        elif way == 4 and isinstance(holder, dict):
            holder[chance.choice(NAMES)] = copy.deepcopy(chance.choice(VALUES))
        else:
            holder[key] = copy.deepcopy(chance.choice(VALUES))
        if len(json.dumps(document)) > 1 << 20:
            break
    return document


def mutated_glb(chance: random.Random, data: bytes) -> bytes:
    """A binary glTF with damaged JSON, and lengths that fit or do not."""
    (length,) = struct.unpack_from("<I", data, 12)
    document, block = json.loads(data[20 : 20 + length]), data[20 + length :]
    text = json.dumps(mutated_json(chance, document)).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 4)
    size = 20 + len(text) + len(block) + (chance.choice((-4, 4, 1 << 31)) if chance.random() < 0.02 else 0)
    return struct.pack("<4sIII4s", b"glTF", 2, size % (1 << 32), len(text), b"JSON") + text + block


NAMES = (
    *("byteStride", "byteOffset", "count", "sparse", "normalized", "skin", "children", "matrix", "mode", "weights"),
    *("JOINTS_0", "WEIGHTS_0", "COLOR_0", "files", "origins", "sources", "missing", "scales", "albedo_file", "uri"),
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every entry of every table and list, by its holder and key."""
    todo = [value]
    while todo:
        holder = todo.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                todo.append(holder[key])

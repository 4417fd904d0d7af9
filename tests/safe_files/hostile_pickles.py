"""Pickles that attack whoever loads them: each would create a marker file, eat memory, or never end.

`code_pickles(marker)` run code in an ordinary unpickler; `greedy_pickles()` cost memory or time.
"""

import io
import os
import pickle
import struct
from pathlib import Path


class _Call:
    """Pickles as a call of a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def _global(name: str, call: bytes) -> bytes:
    module, _, short = name.rpartition(".")
    return f"c{module}\n{short}\n".encode() + call


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _bytes(raw: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(raw)) + raw


def code_pickles(marker: Path) -> dict[str, bytes]:
    """Name -> pickle; loading it with `pickle.loads` would create the marker (or try to)."""
    touch = f"touch {marker}"
    python = f"open({str(marker)!r}, 'w').close()"
    dictionary = _global("collections.OrderedDict", b")R")
    array = _global("numpy.core.multiarray._reconstruct", _global("numpy.ndarray", b"K\0\x85C\1b\x87R"))
    setter = b"}" + _text("__setstate__") + _global("os.system", b"s") + b"b" + _text(touch) + b"b."
    return {
        "os.system by REDUCE": pickle.dumps(_Call(os.system, touch), 2),
        "os.system, protocol 0": pickle.dumps(_Call(os.system, touch), 0),
        "os.system, protocol 4": pickle.dumps(_Call(os.system, touch), 4),
        "os.system by STACK_GLOBAL": _text("os") + _text("system") + b"\x93" + _text(touch) + b"\x85R.",
        "posix.system": _global("posix.system", _text(touch) + b"\x85R."),
        "subprocess": _global("subprocess.Popen", _text(touch) + b"\x85R."),
        "eval": pickle.dumps(_Call(eval, python), 2),
        "exec": pickle.dumps(_Call(exec, python), 4),
        "open": pickle.dumps(_Call(open, str(marker), "w"), 2),
        "getattr": _global("builtins.getattr", _global("os.path", _text("os") + b"\x86R.")),
        "apply of Python 2": _global("__builtin__.apply", _global("os.system", _text(touch) + b"\x85\x86R.")),
        "map": _global("builtins.map", _global("os.system", b"]" + _text(touch) + b"a\x86R.")),
        "dotted name": _text("collections") + _text("OrderedDict.__init__.__globals__") + b"\x93.",
        "dotted module": b"cos\npath.os.system\n" + _text(touch) + b"\x85R.",
        "INST": b"(" + _text(touch) + b"ios\nsystem\n.",
        "INST of an admitted name": b"(icollections\nOrderedDict\n.",
        "OBJ": b"(" + _global("os.system", _text(touch) + b"o."),
        "OBJ of an admitted name": b"(" + _global("collections.OrderedDict", b"o."),
        "NEWOBJ": _global("subprocess.Popen", _text(touch) + b"\x85\x81."),
        "NEWOBJ_EX": _global("subprocess.Popen", b")}" + _text("args") + _text(touch) + b"s\x92."),
        "copyreg.__newobj__": _global("copyreg.__newobj__", _global("subprocess.Popen", _text(touch) + b"\x86R.")),
        "_reconstructor": _global("copyreg._reconstructor", _global("subprocess.Popen", b"N\x86NN\x87R.")),
        "_reconstructor of a base": _global(
            "copyreg._reconstructor", _global("argparse.Namespace", _global("builtins.dict", b"}\x87R."))
        ),
        "BUILD of __setstate__": _global("argparse.Namespace", b")\x81") + setter,
        "BUILD of __dict__": dictionary + b"N}" + _text("__class__") + _global("os.system", b"s\x86b" + setter),
        "BUILD of a class": _global("collections.OrderedDict", setter),
        "BUILD of a builder": _global("_codecs.encode", b"}" + _text("build") + _global("os.system", b"sb.")),
        "REDUCE of text": _text("os.system") + _text(touch) + b"\x85R.",
        "REDUCE of an array": array + _text(touch) + b"\x85R.",
        "REDUCE with a list": _global("collections.OrderedDict", b"]R."),
        "REDUCE of an extension code": b"\x82\1)R.",
        "extension code of two bytes": b"\x83\1\0.",
        "extension code of four bytes": b"\x84\1\0\0\0.",
        "buffer outside": b"\x97.",
        "persistent id": b"Pos.system\n.",
        "torch.load by name": _global("torch.load", _text(str(marker)) + b"\x85R."),
        "torch.hub": _global("torch.hub.load", _text(str(marker)) + b"\x85R."),
        "numpy.load": _global("numpy.load", _text(str(marker)) + b"\x85R."),
        "numpy testing": _global("numpy.testing._private.utils.runstring", _text(python) + b"}\x86R."),
        "pickle in pickle": pickle.dumps(_Call(pickle.loads, pickle.dumps(_Call(os.system, touch))), 2),
        "embedded": _global(
            "torch.storage._load_from_bytes", _bytes(pickle.dumps(_Call(os.system, touch), 2)) + b"\x85R."
        ),
        "rebuild by another function": _global("torch._tensor._rebuild_from_type_v2", _global("os.system", b""))
        + _global("torch.Tensor", _text(touch) + b"\x85}t(R."),
        "chumpy expression": _global("chumpy.ch.MatVecMult", b")\x81}b."),
        "lambda of omegaconf": _global("omegaconf.resolvers.oc", b")R."),
        "main": _global("__main__.Model", b")\x81."),
        "codec": _global("_codecs.encode", _text("x") + _text("rot13") + b"\x86R."),
        "default factory": _global("collections.defaultdict", _global("os.getcwd", b"\x85R.")),
    }


def greedy_pickles() -> dict[str, bytes]:
    """Name -> pickle of a few bytes or megabytes that would cost gigabytes, minutes, or the interpreter's stack."""
    laughs = (
        b"("
        + b"K\0" * 10
        + b"lq\0"
        + b"".join(b"(" + b"h" + bytes([n]) + (b"h" + bytes([n])) * 9 + b"lq" + bytes([n + 1]) for n in range(40))
    )
    twins = b")q\0" + b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(60))
    modulus = (1 << 61) - 1
    collisions = (
        b"}(" + b"".join(b"\x8a\x0c" + (modulus * n).to_bytes(12, "little") + b"N" for n in range(1, 60_000)) + b"u."
    )
    dtype = _global(
        "numpy.dtype", _text("f8") + b"K\0K\1\x87R(K\3" + _text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    array = _global("numpy.core.multiarray._reconstruct", _global("numpy.ndarray", b"K\0\x85C\1b\x87R"))
    huge = b"\x8a\6" + (10**12).to_bytes(6, "little")
    wide = _text("a" * 1_000_000 + "\U0001f600")
    encode = _global("_codecs.encode", b"")
    long_text = b"X" + struct.pack("<I", 3_000_000) + b"a" * 3_000_000
    empty_state = b"(K\1K\0\x85" + dtype + b"\x89C\0tr" + struct.pack("<I", 60_000) + b"0"
    unfinished = empty_state + array + b"".join(b"r" + struct.pack("<I", n) for n in range(50_000))
    ten_thousand = b"(" + b"K\1" * 10_000 + b"tq\0"
    deep = io.BytesIO()
    deep.write(b"]" * 200_000 + b"a" * 199_999 + b".")
    return {
        "billion laughs": laughs + b".",
        "billion laughs as a key": b"}" + twins + b"Ns.",
        "billion laughs as a name": twins + b"2\x93.",
        "billion laughs in an error": _global("torch._utils._rebuild_tensor", b"") + twins + b"K\0))tR.",
        "keys that collide": collisions,
        "nesting": deep.getvalue(),
        "nesting of tuples": b")" + b"\x85" * 200_000 + b".",
        "nesting of marks": b"(" * 3_000_000,
        "contains itself": b"]q\0h\0a.",
        "contains itself deeper": b"]q\0}" + _text("a") + b"h\0sa.",
        "a million sets": b"(" + b"\x8f" * 2_000_000 + b"l.",
        "nothing, 20 million times": b"N0" * 10_000_000 + b"N.",
        "bytes longer than the file": b"\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
        "bytes longer than memory": b"\x8e" + b"\xff" * 8 + b"x.",
        "text longer than the file": b"X" + struct.pack("<I", 0xFFFFFFFF) + b"x.",
        "negative length": b"T" + struct.pack("<i", -5) + b"x.",
        "frame longer than the file": b"\x80\4\x95" + struct.pack("<Q", 1 << 60) + b"N.",
        "long integer": b"\x8b" + struct.pack("<i", 2_000_000) + b"\1" * 2_000_000 + b".",
        "long decimal": b"L" + b"9" * 2_000_000 + b"L\n.",
        "long decimal float": b"F" + b"9" * 2_000_000 + b"\n.",
        "no newline": b"S'" + b"a" * 5_000_000,
        "array of 10^12": array + b"(K\1" + huge + b"\x85" + dtype + b"\x89C\0tb.",
        "array of 10^24": array + b"(K\1" + huge + huge + b"\x86" + dtype + b"\x89C\x08abcdefghtb.",
        "ndarray called": _global("numpy.ndarray", huge + b"\x85R."),
        "bytearray of 10^12": _global("builtins.bytearray", huge + b"\x85R."),
        "range listed": _global("builtins.list", _global("builtins.range", huge + b"\x85R\x85R.")),
        "encoded again and again": long_text + b"q\0" + (encode + b"h\0" + _text("latin1") + b"\x86R") * 2000 + b"N.",
        "listed again and again": ten_thousand + (_global("builtins.list", b"h\0\x85R")) * 10_000 + b"N.",
        "state given again and again": unfinished + (b"2j" + struct.pack("<I", 60_000) + b"b0") * 20_000 + b".",
        "wide text": (wide + b"0") * 24 + b"N.",
        "stack empty": b"0.",
        "mark missing": b"t.",
        "nothing": b"",
        "stop only": b".",
        "unfinished array": array + b".",
        "list left in an array": array + b"q\0(K\1K\1\x85" + dtype + b"\x89C\0tb.",
    }

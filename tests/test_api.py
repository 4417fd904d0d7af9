"""What every public function promises: words, shapes, options by name and, where it draws, what gradients do."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jax
import numpy as np
import pytest

import emoca_jax
from emoca_jax.arrays import CHECKS

COMMAND_LINE = ("emoca_jax.cli", "emoca_jax.commands", "emoca_jax.__main__")
INSIDE = "emoca_jax.render.backends."
COMPILED = (f"{INSIDE}kernels.", f"{INSIDE}native.compiling", f"{INSIDE}native.dialect", f"{INSIDE}warp_kernels.")
"""numba's and warp's dialects: pieces of machine code for each other alone, and what compiles them."""
CALLED_BY_OTHERS = (f"{INSIDE}warp_kernels.presence",)
ROOMS = ("emoca_jax", "data_pipelines", "scripts", "benchmarks", "configs", "fuzz", "tests")
ARRAYS_OF_ANY_SHAPE = ("emoca_jax.safe_files", "emoca_jax.convert", "emoca_jax.training")
"""They read strangers' files, or train on batches of any stage: arrays that have the shapes they have."""
DIFFERENTIATED = ("emoca_jax.render.", "emoca_jax.model.", "emoca_jax.objectives.")
DEFAULTS_BY_PLACE = {
    "emoca_jax.flame.head_file.load_head": 'load_head("open") of the README; there is one thing to name',
    "emoca_jax.jobs.reconstruct.load_model": 'load_model("open") of the README',
    "emoca_jax.jobs.result.FaceResult.save": 'face.save(path, ["glb"]) of the README: what to write where',
    "emoca_jax.export.save.save_face": "FaceResult.save is its method",
    "emoca_jax.model.decode": "the texture is an array like those before it",
    "emoca_jax.model.decode_posed": "as decode",
}
"""Options that may be given by place: why."""

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(emoca_jax.__path__, "emoca_jax.")
    if not module.name.startswith(COMMAND_LINE)
    and (not module.name.startswith(COMPILED) or module.name in CALLED_BY_OTHERS)
)


def public_parts(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """Functions and classes that are defined in the module and not private, by their whole names."""
    for name, part in vars(module).items():
        defined_here = getattr(part, "__module__", None) == module.__name__ and hasattr(part, "__qualname__")
        if defined_here and not name.startswith("_"):
            yield f"{module.__name__}.{name}", part


def functions_of(name: str, part: Any) -> Iterator[tuple[str, Callable]]:
    """The function, or the public methods and properties of the class, without decorators."""
    if not inspect.isclass(part):
        yield name, inspect.unwrap(part)
        return
    for attribute, value in vars(part).items():
        bare = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        written = inspect.isfunction(bare) and inspect.unwrap(bare).__qualname__ == f"{part.__qualname__}.{attribute}"
        if written and (attribute == "__call__" or not attribute.startswith("_")):
            yield f"{name}.{attribute}", inspect.unwrap(bare)


def without_words(name: str, part: Any) -> Iterator[str]:
    words = part.__doc__ or ""
    # What dataclasses and named tuples write by themselves is no docstring.
    if not words.strip() or words.startswith(f"{part.__name__}("):
        yield f"{name} has no docstring"


def has_bare_array(hint: Any) -> bool:
    """Whether an annotation names an array without its shape."""
    return hint in (jax.Array, np.ndarray) or any(has_bare_array(inner) for inner in get_args(hint))


def without_shape(name: str, part: Any) -> Iterator[str]:
    if name.startswith(ARRAYS_OF_ANY_SHAPE):
        return
    fields = get_type_hints(part) if dataclasses.is_dataclass(part) or hasattr(part, "_fields") else {}
    annotations = {name: fields} | {place: get_type_hints(bare) for place, bare in functions_of(name, part)}
    for place, hints in annotations.items():
        yield from (
            f"{place}: {argument} is an array without shape" for argument in hints if has_bare_array(hints[argument])
        )


def options_by_place(name: str, part: Any) -> Iterator[str]:
    for place, bare in functions_of(name, part):
        for argument in inspect.signature(bare).parameters.values():
            by_place = argument.kind is not argument.KEYWORD_ONLY and argument.default is not argument.empty
            if by_place and place not in DEFAULTS_BY_PLACE:
                yield f"{place}: {argument.name} has a default and is not keyword-only"


def silent_about_gradients(name: str, part: Any) -> Iterator[str]:
    if not name.startswith(DIFFERENTIATED) or name.startswith(INSIDE):
        return
    for place, bare in functions_of(name, part):
        if not re.search(r"[Dd]ifferentiable|[Dd]ifferentiated|gradient", bare.__doc__ or ""):
            yield f"{place} does not say whether it is differentiable"


def broken_promises(module: types.ModuleType) -> list[str]:
    checks = (without_words, without_shape, options_by_place, silent_about_gradients)
    return [broken for name, part in public_parts(module) for check in checks for broken in check(name, part)]


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_keep_their_promises(name: str):
    assert not broken_promises(importlib.import_module(name))


@pytest.mark.parametrize("room", [emoca_jax.render, emoca_jax.flame])
def test_array_functions_check_their_arguments(room: types.ModuleType):
    functions = {name: part for name, part in vars(room).items() if inspect.isfunction(part) and name[0] != "_"}
    hints = {name: inspect.unwrap(part).__annotations__ for name, part in functions.items()}
    taking = [name for name in hints if any("Array, " in str(hints[name][to]) for to in hints[name] if to != "return")]
    assert len(taking) > 5
    assert [name for name in taking if not hasattr(functions[name], CHECKS)] == []


def test_constants_have_no_underscore():
    underscored = re.compile(r"^_[A-Z][A-Z_0-9]*\b *[:=].*", re.MULTILINE)
    assert underscored.search("import re\n_WORDS: Any = re.compile('')")
    root = Path(__file__).parents[1]
    files = [file for room in ROOMS for file in (root / room).rglob("*.py")]
    assert len(files) > 300
    assert {str(file): found for file in files if (found := underscored.findall(file.read_text("utf-8")))} == {}


def test_every_exception_is_still_needed():
    places = {
        place
        for name in MODULES
        for whole, part in public_parts(importlib.import_module(name))
        for place, bare in functions_of(whole, part)
        if any(
            argument.kind is not argument.KEYWORD_ONLY and argument.default is not argument.empty
            for argument in inspect.signature(bare).parameters.values()
        )
    }
    assert set(DEFAULTS_BY_PLACE) == places


def test_each_broken_promise_is_seen():
    module = types.ModuleType("emoca_jax.render.made_up")
    code = """
import jax
from jaxtyping import Array, Float

def blur(image: jax.Array, width: float = 1.0) -> Float[Array, "height width"]:
    return image

class Lens:
    "Sees."
    def look(self, image: Float[Array, "height width"], *, width: float = 1.0) -> list[jax.Array]:
        return [image]

def _private(image=None):
    return image
"""
    exec(code, vars(module))
    assert broken_promises(module) == [
        "emoca_jax.render.made_up.blur has no docstring",
        "emoca_jax.render.made_up.blur: image is an array without shape",
        "emoca_jax.render.made_up.blur: width has a default and is not keyword-only",
        "emoca_jax.render.made_up.blur does not say whether it is differentiable",
        "emoca_jax.render.made_up.Lens.look: return is an array without shape",
        "emoca_jax.render.made_up.Lens.look does not say whether it is differentiable",
    ]

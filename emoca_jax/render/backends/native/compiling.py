"""Kernels to machine code by numba: `python -m emoca_jax.render.backends.native.compiling LIBRARY FILE`.

A process of its own: numba and its compiler take 200 MB, and what it compiles here is not to be found by others who use
it. What imports numba, all of `kernels`, is only imported here.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from llvmlite import binding

from emoca_jax.render.backends.kernels.sharing import entries
from emoca_jax.render.backends.native.dialect import ENTRY

PARTS = {
    "hard": ("hard", "surface_gradient"),
    "soft": ("soft",),
    "blend": ("blend",),
    "outline": ("outline",),
    "colour": ("attributes", "textures", "lights", "normals"),
}
"""Modules of `kernels` that are compiled together."""
# A numba function returns a status and takes places for its result and for an exception.
ENTRY_POINT = """
declare i32 @"{inner}"(ptr, ptr, i64)
define i64 @{name}(i64 %argument) {{
  %result = alloca i64
  %exception = alloca ptr
  %status = call i32 @"{inner}"(ptr %result, ptr %exception, i64 %argument)
  %told = load i64, ptr %result
  ret i64 %told
}}
"""


def object_code(library: str) -> bytes:
    """One relocatable object with a C function `emoca_NAME` for each kernel of a library, for this processor."""
    modules = [importlib.import_module(f"emoca_jax.render.backends.kernels.{name}") for name in PARTS[library]]
    kernels = {name: kernel for module in modules for name, kernel in module.KERNELS.items()}
    machine = _target_machine()
    whole = binding.parse_assembly("")
    names = []
    for name, (stages, items, work) in kernels.items():
        # Numba's own copy of the code, which nobody runs, wants an address for what only the whole has.
        binding.add_symbol(f"emoca_{name}_task", 1)
        for symbol, function in entries(f"emoca_{name}", stages, items, work).items():
            names.append(symbol)
            whole.link_in(_compiled(symbol, function))
    for symbol in names:
        whole.get_function(symbol).linkage = "external"
    whole.verify()
    return machine.emit_object(whole)


def _compiled(symbol: str, function: Any) -> binding.ModuleRef:
    function.compile(ENTRY)
    (made,) = function.overloads.values()
    module = binding.parse_assembly(str(made.library._final_module))
    for other in module.functions:
        if not other.is_declaration and other.name != made.fndesc.llvm_func_name:
            other.linkage = "internal"
    module.link_in(binding.parse_assembly(ENTRY_POINT.format(inner=made.fndesc.llvm_func_name, name=symbol)))
    module.get_function(made.fndesc.llvm_func_name).linkage = "internal"
    return module


def _target_machine() -> binding.TargetMachine:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3, reloc="pic",
        codemodel="default",
    )  # fmt: skip


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(object_code(sys.argv[1]))

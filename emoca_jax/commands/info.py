"""`emoca info`: what is installed and where things are kept."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata

from emoca_jax import compile_cache
from emoca_jax.version import package_version

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "pillow")


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("info", help="print versions, devices, the head and the cache folder")
    parser.add_argument("--head", default="open", metavar="open|PATH", help="head to describe (default: open)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a short table. Errors: InputError where the head cannot be read."""
    folder = compile_cache.enable()
    import jax

    from emoca_jax import flame

    head = flame.load_head(arguments.head)
    state = "filled" if compile_cache.is_warm(folder) else "empty: the next run compiles"
    rows = {
        "emoca_jax": package_version(),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: metadata.version(name) for name in PACKAGES},
        "devices": ", ".join(f"{device.device_kind} ({device.platform})" for device in jax.devices()),
        "head": (
            f"{head.name}: {head.template.shape[0]} vertices, {head.faces.shape[0]} triangles, "
            f"{head.shape_dirs.shape[-1]} identity and {head.expression_dirs.shape[-1]} expression directions"
        ),
        "parts": ", ".join(head.part_names),
        "cache": f"{folder} ({state})" if folder else "none: no folder can be written, every run compiles",
    }
    for name, value in rows.items():
        print(f"{name:10} {value}")
    return 0

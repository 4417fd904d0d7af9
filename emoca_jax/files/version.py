"""Which version wrote a file."""

from __future__ import annotations

from importlib import metadata


def package_version() -> str:
    """Version of the installed emoca-jax, "0+source" where it runs from its source folder uninstalled."""
    try:
        return metadata.version("emoca-jax")
    except metadata.PackageNotFoundError:
        return "0+source"

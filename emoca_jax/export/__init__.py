"""Faces out: files that other programs read, and the picture that people look at."""

from emoca_jax.export.save import FORMATS, save_face

__all__ = ["FORMATS", "save_face"]

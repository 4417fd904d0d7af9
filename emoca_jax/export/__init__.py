"""Faces out: files that other programs read, and the picture that people look at."""

from emoca_jax.export.save import save_face

__all__ = ["save_face"]

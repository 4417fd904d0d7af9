"""Attributes and textures at the pixels: the kernels that are compiled together."""

from __future__ import annotations

from emoca_jax.render.backends.kernels import attributes, textures

KERNELS = attributes.KERNELS | textures.KERNELS

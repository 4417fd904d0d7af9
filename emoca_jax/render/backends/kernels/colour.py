"""Normals, and attributes, textures and light at the pixels: the kernels that are compiled together."""

from __future__ import annotations

from emoca_jax.render.backends.kernels import attributes, lights, normals, textures

KERNELS = attributes.KERNELS | textures.KERNELS | lights.KERNELS | normals.KERNELS

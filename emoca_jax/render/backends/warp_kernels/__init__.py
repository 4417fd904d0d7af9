"""Kernels for NVIDIA GPUs, which NVIDIA's warp compiles at run time; on its CPU device they run too, for the tests.

No GPU has run them yet. They compile for one, and give plain JAX's numbers on the CPU device (docs/rendering.md).
Nothing outside of this folder imports warp, and in it `presence.py` only where it is asked for.
"""

"""Kernels for CPUs that numba compiles on the user's machine and XLA calls directly, without Python.

`library` finds, compiles, keeps and registers them; everything else here is what numba compiles, and is imported only
where there is something to compile.
"""

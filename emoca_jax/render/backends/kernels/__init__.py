"""Kernels for CPUs that numba compiles on the user's machine and XLA calls directly, without Python (`native`)."""

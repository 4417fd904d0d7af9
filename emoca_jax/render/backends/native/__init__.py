"""Drawing by kernels on a CPU: what JAX calls, and how the kernels are compiled, kept and made known to XLA.

The kernels themselves are in `kernels`, which is imported only where there is something to compile.
"""

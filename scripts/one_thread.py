"""Imported before NumPy and JAX: they add up in one thread from then on, whatever cores there are.

Sums that are cut into other parts round otherwise, and what is searched for on a grid then jumps: built by one core and
by two, six of the head's 468 points lay on other faces.
"""

import os
import sys

if "numpy" in sys.modules:
    raise ImportError("import one_thread before numpy, which has begun its threads")
for library in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMBA"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
# XLA has as many threads as the process has cores, whatever it is told; only Linux lets a process give cores up.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

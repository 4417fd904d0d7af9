"""Sizes that the kernels and those who call them agree on; warp need not be installed to know them."""

from __future__ import annotations

MOST_FACES = 64
"""Per pixel, in the local memory of a thread: 1.8 kB with what the compiler keeps beside them."""
GROUP = 32
"""Boxes in the box around them."""

"""The first of equals: a head has two like halves, so extremes come in pairs that only rounding tells apart, and how a
processor rounds hangs on its vector instructions."""

from __future__ import annotations

import numpy as np

TIE = 1e-6
"""Decimetres. The average head's halves differ by 3e-8 where numpy adds in vectors of another width."""


def first_smallest(values: np.ndarray) -> int:
    """Lowest index among the values [N] that equal the smallest but for rounding."""
    return int(first_smallest_of_each(values))


def first_smallest_of_each(values: np.ndarray) -> np.ndarray:
    """The same for each row of the values [..., N]. Errors: ValueError where some are not numbers."""
    if np.isnan(values).any():
        raise ValueError("values to choose the smallest of are not numbers")
    return np.argmax(values <= np.min(values, axis=-1, keepdims=True) + TIE, axis=-1)


def first_largest(values: np.ndarray) -> int:
    """Lowest index among the values [N] that equal the largest but for rounding."""
    return first_smallest(-values)

"""How close a network must come to the official one."""

from __future__ import annotations

import json

import numpy as np

from tests.shared_data import shared_path

ALLOWED = 10
"""Times the official code's own rounding error (its float32 against its float64)."""


def noise_floor(name: str) -> float:
    """The official code's rounding error of a quantity, over its root mean square."""
    return json.loads(shared_path("reference/tolerance.json").read_text())[name]["max_rel_to_rms"]


def assert_close(actual, expected: np.ndarray, relative: float) -> None:
    """Largest difference over the expected values' root mean square."""
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    scale = np.sqrt(np.mean(expected.astype(np.float64) ** 2))
    assert np.abs(actual - expected).max() <= relative * scale

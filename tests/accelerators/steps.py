"""Every stage's whole training step, as its configuration has it, on eight chips: one table of all."""

from __future__ import annotations

from tests.accelerators import steps_of_faces, steps_of_recognisers
from tests.accelerators.step_table import STEPS

__all__ = ["STEPS", "steps_of_faces", "steps_of_recognisers"]

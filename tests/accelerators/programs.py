"""Every program that the package compiles, at the shapes it has in use. A new one is an entry in a table, room by room.

Under each function stands what it is called with on so many chips. Programs that take many faces take so many per chip;
those that the package runs for one face run for it on every chip. Whole training steps are in `steps.py`.
"""

from __future__ import annotations

from tests.accelerators import of_drawing, of_networks, of_the_main_job
from tests.accelerators.table import PROGRAMS

__all__ = ["PROGRAMS", "of_drawing", "of_networks", "of_the_main_job"]

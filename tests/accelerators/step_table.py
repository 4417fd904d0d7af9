"""The table of training steps, and how an entry is made."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from emoca_jax.training.loop import Settings, Stage
from tests.accelerators.inputs import array

ON_EIGHT = 8
Made = tuple[Stage, dict[str, Any], Settings]


class TrainingStep(NamedTuple):
    """A stage with what a batch is like."""

    made: Callable[[], Made]
    slow: tuple[str, ...]
    """Targets that only a slow run compiles it for."""
    kept: int
    """Bytes on a chip of what networks keep for their gradients."""


STEPS: dict[str, TrainingStep] = {}
EVERYWHERE = ("h100", "v5e")
OF_RESNET = 4 * (64 << 20)
"""Bytes that a ResNet-50 keeps of four faces for its gradient: the maps of 224 pixels, each a few times."""


def training_step(*, slow: tuple[str, ...] = EVERYWHERE, kept: int = 0) -> Callable[[Callable[[], Made]], None]:
    def enter(made: Callable[[], Made]) -> None:
        # Networks that are trained and networks that answer have the same names.
        STEPS[f"{made.__name__}_step"] = TrainingStep(made, slow, kept)

    return enter


def configured(name: str) -> Any:
    return importlib.import_module(f"configs.{name}").get_config()


def made_of(config: Any, stage: Stage, entries: dict[str, Any]) -> Made:
    """entries: of one example, shape and kind."""
    batch = {name: array(config.batch, *shape, dtype=kind) for name, (shape, kind) in entries.items()}
    return stage, batch, Settings(**config.settings)

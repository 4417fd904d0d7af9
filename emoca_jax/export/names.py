"""What expression units are called, in every file."""

from __future__ import annotations

from emoca_jax.flame.head import FaceHead


def unit_names(head: FaceHead) -> list[str]:
    """The head's own names, or expression_000 and so on for a head whose directions have none (FLAME)."""
    return list(head.expression_names) or [f"expression_{index:03d}" for index in range(head.expression_dirs.shape[-1])]

"""The images that everything else was computed on."""

from __future__ import annotations

from collections.abc import Iterator

from parity.assets import Assets
from parity.golden import Comparison, Golden


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("images_u8")

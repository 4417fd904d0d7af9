"""The code on docs/rendering.md runs as it stands, from top to bottom."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "rendering.md"


@pytest.mark.slow
def test_all_blocks_run_one_after_the_other():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 6
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), str(PAGE), "exec"), names)
    image, smooth, sky, slope = (names[name] for name in ("image", "smooth", "sky", "slope"))
    assert image.shape == smooth.shape == sky.shape == (120, 160, 3) and image.max() > 0.5
    assert abs(slope).max() > 0

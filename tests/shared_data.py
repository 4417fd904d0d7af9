"""Where the reference data lies; tests that need it skip with a reason on machines without it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


def shared_path(relative: str) -> Path:
    """The file under the reference folder beside the repository, or a skipped test."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"reference file shared/{relative} is not beside the repository")
    return path

"""How many cores there are, by the operating system's and a container's word."""

import os

import pytest

from emoca_jax import running_on


@pytest.mark.parametrize(
    "share, expected",
    [
        ("max 100000\n", 4),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("200000 100000\n", 2),
        ("900000 100000\n", 4),
    ],
)
def test_a_container_may_use_its_share(share, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5}, raising=False)
    monkeypatch.setattr(running_on, "CONTAINER_SHARE", tmp_path / "cpu.max")
    assert running_on.cores() == 4
    (tmp_path / "cpu.max").write_text(share)
    assert running_on.cores() == expected

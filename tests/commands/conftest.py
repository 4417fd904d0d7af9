"""What commands on photos need in tests."""

import pytest

from emoca_jax.commands import compile_cache
from emoca_jax.jobs import reconstruct as capture
from tests.commands.made_up_photos import made_up_reconstruct


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder for photos; the slow part of the command is made up, and the home folder's cache left alone."""
    monkeypatch.setattr(capture, "load_model", lambda *_, **__: None)
    monkeypatch.setattr(capture, "reconstruct", made_up_reconstruct)
    monkeypatch.setattr(compile_cache, "enable", lambda: None)
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder

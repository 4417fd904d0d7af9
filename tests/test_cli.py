"""The command as a user types it: usage, help, and a sentence for what no subcommand can be given."""

import os
import subprocess
import sys

import pytest

from emoca_jax.cli import main
from emoca_jax.commands import compile_cache
from emoca_jax.flame import save_head
from tests.commands.made_up_photos import photo
from tests.export.made_up_face import made_up_head


@pytest.mark.parametrize(
    "words", [["reconstruct"], ["reconstruct", "a.jpg", "--format", "fbx"], ["reconstruct", "a.jpg", "--size", "9"]]
)
def test_bad_usage(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and "emoca reconstruct: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["reconstruct,,--output,o", "render,a.glb,--output,", "reconstruct,a.jpg,--output=", "convert,", "info,"]
)
def test_an_empty_name_is_not_the_folder_one_happens_to_be_in(tmp_path, capsys, monkeypatch, words):
    photo(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert main(words.split(",")) == 2 and "one of the arguments is empty" in capsys.readouterr().err
    assert os.listdir() == ["a.jpg"]


def test_a_working_folder_that_is_gone(tmp_path, capsys, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["reconstruct", "a.jpg"]) == 2
    assert capsys.readouterr().err == "emoca: a.jpg: No such file or directory; check the folder and its permissions\n"


def test_without_words_it_shows_what_it_can_do(capsys):
    assert main([]) == 2
    assert "emoca reconstruct photo.jpg" in capsys.readouterr().err


def test_info_describes_the_head_and_where_the_cache_is(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compile_cache, "enable", lambda: tmp_path)
    save_head(made_up_head(), tmp_path / "head.npz")
    assert main(["info", "--head", str(tmp_path / "head.npz")]) == 0
    out = capsys.readouterr().out
    assert "made-up: 168 vertices, 288 triangles, 3 identity and 4 expression directions" in out
    assert f"{tmp_path} (empty" in out and "jaxlib" in out
    assert main(["info", "--head", str(tmp_path / "none.npz")]) == 2


def test_help_does_not_wait_for_jax():
    code = "import sys, emoca_jax.cli; sys.exit(emoca_jax.cli.main([]) + 10 * ('jax' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 2

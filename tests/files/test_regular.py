"""Strange files and names: every command answers with one sentence and exit code 2, and hangs nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emoca_jax.capture.images import find_images, read_photo
from emoca_jax.cli import main
from emoca_jax.errors import InputError
from emoca_jax.files.regular import open_regular, read_regular, user_path

SOURCE = os.fspath(Path(__file__).parents[2])
STRANGE = {
    "fifo": os.mkfifo,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
    "folder": lambda path: path.mkdir(),
    "~nosuchuser": lambda path: None,
    "x" * 300: lambda path: None,
    os.fsdecode(b"caf\xe9"): lambda path: None,
}
COMMANDS = {
    "reconstruct": ["reconstruct", "{}"],
    "model": ["reconstruct", "photo.png", "--model", "{}"],
    "head": ["reconstruct", "photo.png", "--head", "{}"],
    "render": ["render", "{}"],
    "convert": ["convert", "{}"],
    "info": ["info", "{}"],
    "info-head": ["info", "--head", "{}"],
}
CODE = """
import sys, resource
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
from emoca_jax.cli import main
for line in open(0, encoding="utf-8", errors="surrogateescape"):
    arguments = line.rstrip("\\n").split("\\t")
    print("exit", main(arguments), file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from PIL import Image

    folder = tmp_path_factory.mktemp("strange")
    Image.new("RGB", (32, 32)).save(folder / "photo.png")
    for name, make in STRANGE.items():
        for suffix in ("", ".png", ".ply", ".npz"):
            if len(name) < 100:
                make(folder / (name + suffix))
    return folder


@pytest.mark.thorough
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_answer_strange_files_with_one_sentence(place, command):
    suffix = {"render": ".ply", "reconstruct": ".png", "head": ".npz", "info-head": ".npz"}.get(command, "")
    lines = ["\t".join(COMMANDS[command]).format(name + suffix) for name in STRANGE]
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=place,
        input=os.fsencode("\n".join(lines) + "\n"),
        env=os.environ | {"PYTHONPATH": SOURCE, "EMOCA_JAX_CACHE": ""},
        capture_output=True,
        timeout=240,
        check=False,
    )
    err = done.stderr.decode(errors="replace")
    answers = err.replace("emoca: compiling (no cache folder can be written)\n", "").split("exit ")
    assert len(answers) == len(STRANGE) + 1 and "Traceback" not in err, err
    codes = [int(answer.partition("\n")[0]) for answer in answers[1:]]
    sentences = [answers[0], *(answer.partition("\n")[2] for answer in answers[1:-1])]
    for name, sentence, code in zip(STRANGE, sentences, codes, strict=True):
        if command in ("info", "convert") and name not in ("zero", "folder"):
            assert code in (1, 2)
        elif command not in ("info", "convert"):
            assert code == 2, (name, sentence)
            assert sentence.startswith("emoca: ") and sentence.count("\n") == 1, (name, sentence)
            assert sentence.count(f" {name}{suffix}: ") <= 1, (name, sentence)


@pytest.mark.parametrize("name", [name for name in STRANGE if name != "folder"])
def test_a_sentence_for_each(tmp_path, name):
    if len(name) < 100:
        STRANGE[name](tmp_path / name)
    with pytest.raises(InputError, match=r": (is|has|does not exist)"):
        read_regular(tmp_path / name)
    with pytest.raises(InputError, match="is no name"):
        open_regular("a\0b")


def test_regular_files_are_read_through_links_and_only_as_far_as_asked(tmp_path):
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_regular(tmp_path / "b", most=4) == b"data"
    with pytest.raises(InputError, match="more than 3 bytes"):
        read_regular(tmp_path / "b", most=3)
    assert user_path("~nosuchuser/a") == Path("~nosuchuser/a") and user_path("~/a") == Path.home() / "a"


@pytest.mark.parametrize("name", ["https://example.org/a.jpg?width=9", "s3://bucket/a.png", "file:///home/anna/a.jpg"])
def test_an_address_is_told(tmp_path, monkeypatch, name):
    """Its ? is no pattern; and nothing is fetched from there."""
    monkeypatch.chdir(tmp_path)
    assert find_images([name]) == [Path(name)]
    for read in (open_regular, read_photo):
        with pytest.raises(InputError, match="is an address; save what is there and give the file"):
            read(name)


def test_a_file_may_be_called_like_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Path("https:/example.org")
    place.mkdir(parents=True)
    (place / "a.bin").write_bytes(b"here")
    assert read_regular("https://example.org/a.bin") == b"here"


@pytest.mark.parametrize("words", ["reconstruct a.jpg -1.jpg", "info -1.jpg", "render -1.jpg --output b.png"])
def test_a_file_whose_name_begins_with_a_dash_is_told(tmp_path, monkeypatch, capsys, words):
    """`*.jpg` gives such names; argparse asks for an INPUT, or knows no such option."""
    monkeypatch.chdir(tmp_path)
    Path("-1.jpg").write_bytes(b"")
    assert main(words.split()) == 2 and "write ./-1.jpg" in capsys.readouterr().err
    # Behind --, as itself, or where there is no such file, it is what it was.
    assert main(["render", "--output", "b.png", "--", "-1.jpg"]) == main(["render", "./-1.jpg"]) == 2
    assert "option" not in capsys.readouterr().err

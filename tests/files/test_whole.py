"""Files appear whole, in their folder, over nothing that somebody else made."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emoca_jax.errors import InputError
from emoca_jax.files.whole import MARK, is_result, open_folder, write_file, write_results

SOURCE = os.fspath(Path(__file__).parents[2])


def test_only_results_are_replaced_and_none_is_written_where_one_cannot_be(tmp_path):
    photo, new = tmp_path / "a_0.png", tmp_path / "a_0.glb"
    photo.write_bytes(b"a photo")
    with pytest.raises(InputError, match=r"a_0\.png: is there already and is no result of emoca; give another"):
        write_results({new: MARK.encode(), photo: MARK.encode()})
    assert photo.read_bytes() == b"a photo" and not new.exists()
    photo.write_bytes(b"x" * 200_000 + MARK.encode())
    assert is_result(photo)
    write_results({photo: b"new"})
    assert photo.read_bytes() == b"new"


def test_a_link_in_the_way_is_no_result_and_is_never_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text(MARK)
    (tmp_path / "out").mkdir()
    link = tmp_path / "out" / "a"
    link.symlink_to(outside)
    assert not is_result(link)
    with pytest.raises(InputError, match="is there already"):
        write_results({link: b"new"})
    write_file(link, b"new")
    assert not link.is_symlink() and outside.read_text() == MARK


def test_temporary_names_cannot_be_guessed_or_prepared(tmp_path, monkeypatch):
    names = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda part, path: (names.append(Path(part).name), replace(part, path)))
    write_file(tmp_path / "a", b"1")
    write_file(tmp_path / "a", b"2")
    assert len({*names}) == 2 and all(len(name) >= 40 and str(os.getpid()) != name.split("-")[1] for name in names)


WRITER = """
import os, sys, time
from emoca_jax.files.whole import write_file
os.replace = lambda *_: (print("ready", flush=True), time.sleep(60))
from emoca_jax.files.ending import end_on_signals
end_on_signals()
write_file(sys.argv[1], b"data")
"""


@pytest.mark.parametrize(("ended_by", "code", "left"), [("SIGKILL", -9, 1), ("SIGTERM", 143, 0), ("SIGINT", 130, 0)])
def test_a_run_that_is_ended_leaves_nothing_for_long(tmp_path, ended_by, code, left):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "a")],
        env=os.environ | {"PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    write_file(tmp_path / "b", b"")
    assert len(list(tmp_path.glob(".emoca-*"))) == 1, "a part that is being written stays"
    started = time.monotonic()
    process.send_signal(getattr(signal, ended_by))
    _, err = process.communicate(timeout=30)
    assert process.returncode == code and time.monotonic() - started < 2
    assert err.count("\n") == (0 if ended_by == "SIGKILL" else 1)
    assert len(list(tmp_path.glob(".emoca-*"))) == left
    (tmp_path / ".emoca-1-2.part").write_bytes(b"of an older version")
    write_file(tmp_path / "b", b"")
    assert sorted(os.listdir(tmp_path)) == ["b"]


def test_a_folder_that_cannot_be(tmp_path):
    for name in ("x" * 300, "null\0"):
        with pytest.raises(InputError, match="cannot be written to"):
            open_folder(tmp_path / name)


def test_what_fails_while_it_writes_leaves_the_old_file(tmp_path):
    def fills_the_disk(file):
        file.write(b"half of i")
        raise OSError(28, "No space left on device")

    path = tmp_path / "maps.npy"
    write_file(path, b"old")
    with pytest.raises(InputError, match=r"maps\.npy: cannot be written \(No space left on device\)"):
        write_file(path, fills_the_disk)
    assert [file.name for file in tmp_path.iterdir()] == ["maps.npy"] and path.read_bytes() == b"old"
    write_file(path, lambda file: [file.write(part) for part in (b"ne", b"w")])
    assert path.read_bytes() == b"new"

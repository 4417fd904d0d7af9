"""Packaging: every dataset's records are its folder's samples; a wrong folder gets a sentence; nothing half-written."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_pipelines import NAMES, sources
from data_pipelines.build import build, main
from data_pipelines.samples import Split
from emoca_jax.errors import InputError
from tests.datasets.conftest import ROOT
from tests.datasets.official_folders import MAKERS


def test_every_dataset_has_a_folder_to_test_it_with():
    assert set(MAKERS) == set(NAMES)


@pytest.mark.thorough
@pytest.mark.parametrize("name", NAMES)
def test_records_are_the_folders_samples(built: Path, name: str):
    splits = sources.splits_of_folder(name, manual_dir=built / "official" / name)
    for split in splits:
        records = sources.open_records(name, split, data_dir=built / "records")
        folder = sources.open_folder(name, split, manual_dir=built / "official" / name)
        assert len(records) == len(folder) > 0
        for column, values in folder.columns.items():
            np.testing.assert_array_equal(records.columns[column], values)
        for i in range(len(folder)):
            assert_same(records[i], folder[i])
        for one, i in zip(records.__getitems__([len(folder) - 1, 0]), (-1, 0), strict=True):
            assert_same(one, folder[i % len(folder)])


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert np.asarray(value).dtype == np.asarray(other[name]).dtype or isinstance(value, int), name
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_records_hold_one_sample_a_group(built: Path, name: str):
    """So that reading a sample decompresses that sample only."""
    array_record_module = importlib.import_module("array_record.python.array_record_module")
    for path in sorted((built / "records" / name).rglob("*.array_record-*")):
        reader = array_record_module.ArrayRecordReader(os.fspath(path))
        assert "group_size:1," in reader.writer_options_string() + ","


def test_another_run_writes_the_same_bytes(built: Path, tmp_path: Path):
    """The fixture's were written by another process, with other hash seeds."""
    build("afew_va", manual_dir=built / "official" / "afew_va", data_dir=tmp_path)
    for path in (tmp_path / "afew_va" / "1.0.0").iterdir():
        assert path.read_bytes() == (built / "records" / "afew_va" / "1.0.0" / path.name).read_bytes(), path.name


def test_tfds_reads_what_we_package(built: Path):
    """By its own parser and decoder."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(built / "records" / "affectnet" / "1.0.0")
    read: Any = builder.as_data_source
    source = read("train_clean")
    assert source[0]["image"].shape == (40, 48, 3) and source[1]["expression"] == 1
    np.testing.assert_allclose(source[1]["valence"], 0.8, atol=1e-7)


def test_parts_of_splits_keep_their_columns(built: Path):
    records = sources.open_records("affectnet", "train_other[1:]+train_clean", data_dir=built / "records")
    assert list(records.columns["expression"]) == [records[i]["expression"] for i in range(3)] == [5, 0, 1]


def test_a_second_build_leaves_the_first_alone(built: Path, capsys: pytest.CaptureFixture[str]):
    record = next((built / "records" / "affectnet").rglob("*.array_record-*"))
    before = record.stat()
    code = main(
        ["affectnet", "--manual_dir", str(built / "official" / "affectnet"), "--data_dir", str(built / "records")]
    )
    assert code == 0 and "train_clean 2, train_other 2, validation_clean 1" in capsys.readouterr().out
    assert record.stat() == before


def test_no_folder_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["affectnet", "--data_dir", str(tmp_path)]) == 2
    assert "give --manual_dir with Manually_Annotated_Images/ and" in capsys.readouterr().err
    assert main(["affectnet", "--manual_dir", str(tmp_path / "gone"), "--data_dir", str(tmp_path)]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_damage_ends_a_build_without_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Found while writing: the second picture of a split ends in the middle."""
    MAKERS["affectnet"](tmp_path / "official")
    picture = tmp_path / "official" / "Manually_Annotated_Images" / "1" / "b.jpg"
    picture.write_bytes(picture.read_bytes()[:-200])
    arguments = ["affectnet", "--manual_dir", str(tmp_path / "official"), "--data_dir", str(tmp_path / "records")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "1/b.jpg: is damaged" in error and error.count("\n") == 1
    assert [path.name for path in (tmp_path / "records" / "affectnet").iterdir()] == []


SLOW_BUILD = """
import os, sys, time
from data_pipelines.affectnet import folder
from data_pipelines.build import main
read = folder.read
def slow(row):
    os.write(1, b"reading\\n")
    time.sleep(5)
    return read(row)
folder.read = slow
sys.argv[1:] = ["affectnet", "--manual_dir", sys.argv[1], "--data_dir", sys.argv[2]]
sys.exit(main())
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_interrupted(tmp_path: Path, number: int, code: int):
    """While it writes; what SIGKILL leaves goes with the next build, and two builds do not meet."""
    MAKERS["affectnet"](tmp_path / "official")
    folders = [str(tmp_path / "official"), str(tmp_path / "records")]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, *folders],
        env=os.environ | {"PYTHONPATH": os.fspath(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "reading\n"
        with pytest.raises(InputError, match="another process is building there"):
            build("affectnet", manual_dir=folders[0], data_dir=folders[1])
        started = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=30) == code and time.monotonic() - started < 4
    left = {path.name for path in (tmp_path / "records" / "affectnet").iterdir()} - {".lock"}
    assert len(left) == (1 if number == signal.SIGKILL else 0)
    if left:
        build("affectnet", manual_dir=folders[0], data_dir=folders[1])
        assert {path.name for path in (tmp_path / "records" / "affectnet").iterdir()} == {"1.0.0"}


def test_unknown_names(built: Path):
    with pytest.raises(InputError, match="there is no dataset 'celeba'; choose affectnet"):
        build("celeba", manual_dir=None, data_dir=built)
    with pytest.raises(InputError, match="affectnet has no split 'test'; choose train_clean"):
        sources.open_records("affectnet", "test", data_dir=built / "records")
    with pytest.raises(InputError, match=r"make it with python -m data_pipelines.build affectnet"):
        sources.open_records("affectnet", "train_clean", data_dir=built / "official")


def test_columns_are_as_long_as_rows():
    with pytest.raises(ValueError, match="column expression has 2 entries for 1 rows"):
        Split([0], dict, {"expression": np.zeros(2, np.int32)})

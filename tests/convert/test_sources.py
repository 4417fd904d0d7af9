"""Which files are taken: links, names, the best checkpoint of a run, its configuration."""

import contextlib
import time

import pytest

from emoca_jax.convert.convert import convert
from emoca_jax.convert.run_folders import find_runs, read_config, validation_loss
from emoca_jax.convert.sources import find_files
from emoca_jax.errors import InputError
from tests.convert import official_files


def test_links_are_followed_once_and_names_stay_apart(tmp_path):
    for folder, name in (("a", "one.bin"), ("b", "two.bin")):
        official_files.write_plain(tmp_path / folder, name)
        (tmp_path / folder / name).rename(tmp_path / folder / "mask.png")
    (tmp_path / "a/up").symlink_to(tmp_path, target_is_directory=True)
    found = find_files([tmp_path / "a"], None)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/mask.png", "a/up/b/mask.png"]
    outcome = convert([tmp_path / "a/mask.png", tmp_path / "b/mask.png"], tmp_path / "out")
    assert [report.path for report in outcome.reports] == ["mask.png", str(tmp_path / "b/mask.png")]
    assert (
        find_files([tmp_path], tmp_path / "b").keys().isdisjoint({tmp_path / "b/mask.png", tmp_path / "out/head.json"})
    )


def test_the_best_checkpoint_is_the_official_loaders(tmp_path):
    names = ("a-epoch=3-val_loss=0.7.ckpt", "a-epoch=9-val_loss=0.61.ckpt", "last.ckpt", "b=nan.ckpt")
    for name in (*names, "cfg.yaml"):
        (tmp_path / name).write_text("")
    (run,) = find_runs(tmp_path.iterdir())
    assert run.checkpoint.name == names[1] and {path.name for path, _ in run.others} == {*names} - {names[1]}
    assert validation_loss(tmp_path / "x=1/last.ckpt") is None


def test_a_configuration_never_runs_anything(tmp_path):
    path = tmp_path / "cfg.yaml"
    path.write_text("a: !!python/object/apply:os.system ['touch run']\nb: !!python/tuple [1, 2]\nc: {d: 1.0e-4}\n")
    assert read_config(path) == {"a": ["touch run"], "b": [1, 2], "c": {"d": 1e-4}}
    for text in ("[1]", "a: [", "!!map x", "\0"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"cfg\.yaml"):
            read_config(path)


def test_a_configuration_stays_small(tmp_path):
    """Nested merge keys double with every line; PyYAML needs a minute for megabytes."""
    path = tmp_path / "cfg.yaml"
    lines = ["a0: &a0 {x0: 1}"] + [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}], x{i}: 1}}" for i in range(1, 28)]
    for text in ("\n".join(lines), "a: 1\n" * 200_000, "[" * 100_000, "a: " + "1:" * 50_000 + "1"):
        path.write_text(text)
        started = time.monotonic()
        with contextlib.suppress(InputError):
            read_config(path)
        assert time.monotonic() - started < 5

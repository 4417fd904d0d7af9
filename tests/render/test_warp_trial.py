"""When the kernels for GPUs draw unasked: what a trial finds, what is kept of it, and that it costs nobody a run."""

import sys
from pathlib import Path

import numpy as np
import pytest

from emoca_jax.render.backends import choice
from emoca_jax.render.backends.warp import alike, trial
from emoca_jax.running_on import as_if_on
from tests.render.conftest import NO_WARP

ROOT = Path(__file__).parents[2]
KEY = "0123"
WELL = f"print('alike {KEY}')"


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code, KEY


@pytest.mark.parametrize(
    "code, reason",
    [
        (f"print('depths are 1e-3 off\\ndiffers {KEY}'); exit(1)", "depths are 1e-3 off"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "exit code -11"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_trial_that_fails_is_a_reason_that_is_kept(code, reason, tmp_path):
    kept = tmp_path / "trial"
    told = trial.verdict(kept, python(code))
    assert f"({reason})" in told and f"remove {kept} to have them tried again" in told
    # Nobody tries again until then.
    assert trial.verdict(kept, python(WELL)) == told
    kept.unlink()
    assert trial.verdict(kept, python(WELL)) == ""


@pytest.mark.parametrize(
    "command, reason",
    [
        (python("raise MemoryError('out of memory')"), "MemoryError: out of memory"),
        (python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)"), "exit code -15"),
        (python("import time; time.sleep(60)"), "no answer within 1 seconds"),
        # What is no Python, or another emoca_jax, ends well and says nothing, or another key.
        (python(""), "exit code 0"),
        (python("print('alike 4567')"), "alike 4567"),
        (python("import os; os.write(2, bytes([128, 10])); exit(3)"), "\ufffd"),
        (("/no/such/python", KEY), "could not be begun"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_what_may_end_otherwise_the_next_time_is_not_kept(command, reason, tmp_path):
    kept = tmp_path / "trial"
    told = trial.verdict(kept, command, longest=1 if "sleep" in command[-2] else 60)
    assert reason in told and "the next process tries again" in told and not kept.exists()


def test_a_trial_that_goes_well_is_not_made_again(tmp_path):
    kept = tmp_path / "trial"
    assert trial.verdict(kept, python(WELL)) == ""
    assert trial.verdict(kept, python("exit(1)")) == ""
    # What is damaged, or was emptied by a full disk, is nothing.
    for damaged in (b"", b"\xff\xfe"):
        kept.write_bytes(damaged)
        assert "exit code 1" in trial.verdict(kept, python("exit(1)"))
    assert trial.verdict(tmp_path / "missing" / "trial", python(WELL)) == ""
    # A trial that fails beside one that went well loses.
    kept.unlink()
    beside = f"open({str(kept)!r}, 'w').write('alike'); print('other faces\\ndiffers {KEY}')"
    assert trial.verdict(kept, python(beside)) == "" and kept.read_text() == "alike"


def test_the_trial_leaves_the_gpus_memory_and_hears_no_wishes(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOCA_JAX_BACKEND", "warp")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    code = f"""
import os
assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" and os.environ["EMOCA_JAX_BACKEND"] == "jax"
assert "JAX_PLATFORMS" not in os.environ
{WELL}
"""
    assert trial.verdict(tmp_path / "trial", python(code)) == ""


def test_every_difference_is_told():
    shape = (1, 4, 5)
    surface = alike.Drawn(np.zeros(shape, np.int32), np.ones(shape, np.float32), np.ones((1, 3, 3), np.float32))
    outline = alike.Softened(np.ones(shape, np.float32), np.ones((1, 3, 3), np.float32))
    assert [*alike.other_surface(surface, surface), *alike.other_outline(outline, outline)] == []
    other = surface.face_index.copy()
    other[0, 1, 2] = 7
    assert list(alike.other_surface(surface._replace(face_index=other), surface)) == ["other faces in 1 of 20 pixels"]
    deeper = surface._replace(depth=surface.depth + np.float32(1e-5))
    assert list(alike.other_surface(deeper, surface)) == ["depths are 1.0e-05 off"]
    for value in (1.001, np.nan):
        steeper = surface._replace(gradient=np.float32(value) * surface.gradient)
        assert next(alike.other_surface(steeper, surface)).startswith("the gradient is")
    fainter = outline._replace(values=np.float32(0.99) * outline.values)
    assert list(alike.other_outline(fainter, outline)) == ["soft values are 1.0e-02 of the largest off"]


def test_the_trials_scene_shows_what_may_go_wrong():
    """Both back ends that are here agree on it, it has much to see, and every rule changes it."""
    shown = alike.scene()
    here = [alike.drawn(shown, "jax", rules) for rules in alike.RULES]
    assert all((seen.face_index >= 0).mean() > 0.3 and len(np.unique(seen.face_index)) > 20 for seen in here)
    assert (here[0].face_index != here[1].face_index).mean() > 0.1
    assert list(alike.other_surface(here[0], here[0])) == [] != list(alike.other_surface(here[1], here[0]))
    crowd = alike.drawn(alike.crowd(), "jax", alike.RULES[0])
    assert (crowd.face_index >= 0).mean() > 0.3 and len(np.unique(crowd.face_index)) > 3_000


@pytest.mark.thorough
@pytest.mark.parametrize("name, outlined, same", alike.OUTLINED)
def test_a_thousandth_of_a_picture_further_is_another_outline(name, outlined, same):
    shown = alike.scene()
    seen, moved = (outlined(shown._replace(vertices=shown.vertices + np.float32(by)), "jax") for by in (0, 1e-3))
    assert np.ptp(seen.values) > 0.5 and list(alike.other_outline(seen, seen, name=name, same=same)) == []
    assert len(list(alike.other_outline(moved, seen, name=name, same=same))) == 2


def test_nothing_is_tried_for_a_gpu_that_is_only_described():
    with as_if_on("gpu"):
        assert not choice.draws_by_warp(None)


@pytest.mark.skipif(not NO_WARP, reason="warp is here")
def test_without_warp_plain_jax_draws_and_one_warning_says_what_to_install():
    """As on a GPU; nothing in it asks where it runs."""
    trial._why_not_unasked.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match=r"plain JAX: warp is missing.*pip install 'emoca-jax\[gpu\]'") as told:
            assert not trial.draw_unasked() and not trial.draw_unasked()
        assert len(told) == 1
    finally:
        trial._why_not_unasked.cache_clear()


@pytest.mark.thorough
@pytest.mark.skipif(bool(NO_WARP), reason=NO_WARP or "-")
def test_the_kernels_pass_it_here_as_a_gpu_has_them_tried(tmp_path, monkeypatch):
    """By warp's CPU device; a Python that has another key tells so."""
    monkeypatch.setenv("EMOCA_JAX_CACHE", str(tmp_path))
    assert trial._tried() == ""
    (kept,) = tmp_path.rglob("warp-trial-*")
    assert kept.read_text() == "alike" and kept.name.endswith(trial.key_here())
    command = (sys.executable, "-P", "-c", trial.CODE, str(ROOT), "another")
    assert "has another emoca_jax" in trial.verdict(tmp_path / "other", command)
